"""Ranking of all items for every user of a split, and the metrics of the ranks."""
