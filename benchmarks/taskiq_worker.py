"""The broker that Taskiq's command is named."""

from benchmarks.queue_rivals_redis import taskiq_broker

broker, _ = taskiq_broker()
