"""Command lines over several stages: glue, no maths, no transforms."""
