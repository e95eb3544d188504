"""The pages, a file for each part. What they tell and do is in `service`."""
