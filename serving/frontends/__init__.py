"""The gRPC and the REST port, and what they share."""
