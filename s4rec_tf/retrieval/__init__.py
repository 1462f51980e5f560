"""Finding the best items for user vectors, inside an exported graph."""
