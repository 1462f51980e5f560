"""Log files: their formats and records, and what becomes an interaction; no Beam."""
