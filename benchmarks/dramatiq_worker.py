"""The module of actors that Dramatiq's command is named."""

from benchmarks.queue_rivals_redis import dramatiq_actor

nothing = dramatiq_actor()
