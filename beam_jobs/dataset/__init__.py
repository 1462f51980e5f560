"""What lies in a dataset folder: how it is published, checked, shown, gone on from."""
