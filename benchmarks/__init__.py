"""Benchmarks: each is `python -m benchmarks.NAME`, its last line one JSON object.

Run from the repository's root. No part of the other packages imports this one.
"""
