"""The folder of DAGs for Airflow."""
