"""Events: who hears of what."""

import inspect

import pytest

from penstock import events
from penstock.events import Event, JobCompleted, JobEvent, JobFailed, ServerStopped, publish, subscribed
from penstock.ids import new_id

DONE = JobCompleted(new_id(), "Copy")


def test_a_subscriber_hears_its_type_and_what_is_derived_from_it():
    all_of_them, jobs, failures = [], [], []
    with (
        subscribed(Event, all_of_them.append),
        subscribed(JobEvent, jobs.append),
        subscribed(JobFailed, failures.append),
    ):
        publish(DONE)
        publish(ServerStopped("s"))
    assert (all_of_them, jobs, failures) == ([DONE, ServerStopped("s")], [DONE], [])


def test_subscribers_hear_in_the_order_of_subscription():
    heard = []
    with subscribed(Event, lambda _: heard.append(1)), subscribed(Event, lambda _: heard.append(2)):
        publish(DONE)
    assert heard == [1, 2]


def test_after_the_block_nothing_is_heard_even_when_it_raised():
    heard = []
    with pytest.raises(KeyError), subscribed(Event, heard.append):
        raise KeyError
    publish(DONE)
    assert heard == []


def test_a_subscriber_that_raises_is_logged_and_others_still_hear(caplog):
    heard = []

    def broken(_):
        raise RuntimeError("out of order")

    with subscribed(Event, broken), subscribed(Event, heard.append):
        publish(DONE)
    assert heard == [DONE]
    assert "out of order" in caplog.text
    assert "JobCompleted" in caplog.text


def test_one_subscriber_may_be_subscribed_twice_and_end_once():
    heard = []
    with subscribed(Event, heard.append):
        with subscribed(Event, heard.append):
            publish(DONE)
        publish(DONE)
    assert len(heard) == 3


def test_a_subscriber_may_end_its_subscription_while_it_is_told():
    heard = []
    subscription = subscribed(Event, lambda event: (heard.append(event), subscription.__exit__(None, None, None)))
    subscription.__enter__()
    publish(DONE)
    publish(DONE)
    assert heard == [DONE]


@pytest.mark.parametrize(
    "kind", [kind for _, kind in inspect.getmembers(events, inspect.isclass) if issubclass(kind, Event)]
)
def test_every_event_is_a_value_that_cannot_be_changed_and_says_what_happened(kind):
    assert kind.__struct_config__.frozen
    assert kind.__doc__
