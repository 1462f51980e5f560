"""One loaded version, and what goes into and comes out of it."""
