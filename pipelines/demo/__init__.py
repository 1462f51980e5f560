"""The whole chain in one command: raw logs to recommendations over gRPC."""
