"""Batch jobs: many records in, cut into slices; performed; results out in the same order."""
