"""Subscribers of the user's own: called with every event, in a thread of their own."""

import sys
import threading
from types import ModuleType

import pytest

from penstock import events
from penstock.errors import AppImportError
from penstock.ids import new_id
from penstock.server.subscribers import subscribers_called


@pytest.fixture
def module(monkeypatch):
    made = ModuleType("subscribers_of_a_test")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def completed(kind="Copy"):
    return events.JobCompleted(new_id(), kind)


def test_events_come_in_their_order_and_all_are_told_before_the_end(module):
    told = []
    module.note = told.append
    published = [completed(str(number)) for number in range(1000)]
    with subscribers_called(["subscribers_of_a_test:note"]):
        for event in published:
            events.publish(event)
    assert told == published


def test_a_slow_subscriber_does_not_hold_up_who_publishes(module):
    go_on, told = threading.Event(), []
    module.slow = lambda event: (go_on.wait(), told.append(event))
    with subscribers_called(["subscribers_of_a_test:slow"]):
        events.publish(completed())
        assert told == []
        go_on.set()
    assert len(told) == 1


def test_one_that_raises_is_logged_and_the_next_is_called_all_the_same(module, caplog):
    told = []
    module.bad = lambda _: 1 / 0
    module.good = told.append
    with subscribers_called(["subscribers_of_a_test:bad", "subscribers_of_a_test:good"]):
        events.publish(completed())
    assert len(told) == 1
    assert "a subscriber failed" in caplog.text


@pytest.mark.parametrize("spec", ["subscribers_of_a_test", "subscribers_of_a_test:nothing", "no_such_module:f"])
def test_what_is_no_function_is_refused_by_name(module, spec):
    with pytest.raises(AppImportError, match=spec.partition(":")[0]), subscribers_called([spec]):
        pass
