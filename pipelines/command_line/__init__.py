"""The `s4rec` command: every command of the project by a short name."""
