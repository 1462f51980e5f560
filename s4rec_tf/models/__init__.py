"""Models: one file a paper, one trainer for all."""
