"""The Celery application that its worker command is named."""

from benchmarks.queue_rivals_redis import celery_app

app = celery_app()
