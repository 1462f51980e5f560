"""Evaluation of a run on a split: metrics, tables, and the files of a run folder."""
