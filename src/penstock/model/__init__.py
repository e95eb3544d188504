"""The job model: what a job class declares, and how a job is stored, found and moved."""
