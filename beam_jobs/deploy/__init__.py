"""What it takes to run the data job away from here: images, the flex template."""
