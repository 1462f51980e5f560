"""Removal of users from what was made before: datasets, runs and exports."""
