"""Search for a model's settings by Optuna, every trial a training of its own."""
