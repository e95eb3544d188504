"""Distributor and nodes: a dispatcher in the application, and workers that dial in over TCP."""
