"""Beam's in-process runner with worker processes, for jobs on one machine."""
