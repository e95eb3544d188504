"""Plugins: what a job can do besides its work, one ability in a file."""
