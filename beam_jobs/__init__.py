"""Beam jobs: raw logs -> a published dataset folder."""
