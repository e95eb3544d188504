"""What tests of an application need: a store of their own, a clock that stands still, and jobs run here and now.

With pytest the fixtures `penstock_store` and `penstock_clock` are there as soon as Penstock is installed:

    def test_a_report_is_sent(penstock_store):
        sign_up("ada")
        assert_enqueued(WelcomeMail, username="ada")
        drain()
        assert outbox == ["ada"]
"""

from penstock.clock import ManualClock, use
from penstock.testing.draining import Drained, Ran, drain
from penstock.testing.expecting import assert_enqueued, assert_not_enqueued, enqueued
from penstock.testing.stores import temporary_store

__all__ = [
    "Drained",
    "ManualClock",
    "Ran",
    "assert_enqueued",
    "assert_not_enqueued",
    "drain",
    "enqueued",
    "temporary_store",
    "use",
]
