"""Analysis of a run: probe, clusters, gradients and a map of its embeddings."""
