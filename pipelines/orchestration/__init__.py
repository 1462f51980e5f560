"""The steps of a day on orchestrators: an Airflow DAG and a Kubeflow pipeline."""
