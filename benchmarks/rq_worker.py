"""A worker process of RQ that has imported the task before it forks for each job, as its manual advises."""

import benchmarks.queue_marks  # noqa: F401
from benchmarks.queue_rivals_redis import redis_client

if __name__ == "__main__":
    from rq import Worker

    Worker(["default"], connection=redis_client()).work(logging_level="ERROR")
