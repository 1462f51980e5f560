from beam_stores import gcs, s3, store  # noqa: F401
