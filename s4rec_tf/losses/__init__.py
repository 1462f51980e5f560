"""Losses: pure functions of tensors, one scalar each."""
