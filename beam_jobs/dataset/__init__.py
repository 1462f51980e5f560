"""Dataset folders: publishing, validation, history, and the dataset before."""
