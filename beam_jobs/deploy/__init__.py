"""Images and the flex template that run the data job elsewhere."""
