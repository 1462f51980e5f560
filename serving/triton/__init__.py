"""NVIDIA Triton over an export."""
