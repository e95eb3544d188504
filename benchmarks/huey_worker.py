"""The Huey application that its consumer is named."""

from benchmarks.queue_rivals import huey_app

huey, _ = huey_app()
