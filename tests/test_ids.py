"""Ids: UUIDs of version 7 that only go up."""

import os
import threading
import time
import uuid

import pytest

from penstock import ids
from penstock.errors import JobNotFound
from penstock.ids import new_id, parse_id


@pytest.fixture
def stepped(monkeypatch):
    """Set the clock that ids read, in milliseconds since 1970."""
    monkeypatch.setattr(ids, "_last", 0)

    def step(milliseconds):
        monkeypatch.setattr(time, "time_ns", lambda: milliseconds * 1_000_000)

    return step


def milliseconds_of(job_id):
    return job_id.int >> 80


def test_an_id_is_a_uuid_of_version_7():
    for job_id in (new_id() for _ in range(100)):
        assert (job_id.version, job_id.variant) == (7, uuid.RFC_4122)


def test_an_id_tells_the_millisecond_of_its_making(stepped):
    stepped(1_767_225_600_123)
    assert milliseconds_of(new_id()) == 1_767_225_600_123


def test_every_id_is_greater_than_the_one_before():
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_sort_alike_as_uuid_bytes_and_text():
    made = [new_id() for _ in range(1_000)]
    assert sorted(job_id.bytes for job_id in made) == [job_id.bytes for job_id in made]
    assert sorted(map(str, made)) == list(map(str, made))


def test_more_ids_than_a_millisecond_has_places_for_still_go_up(stepped):
    stepped(1_000)
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(made)
    assert all(job_id.version == 7 for job_id in made)


def test_a_forked_process_makes_other_ids_than_the_one_it_came_from(stepped):
    stepped(1_000)
    new_id()  # Now there are random numbers that both could take.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, new_id().bytes)
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 16) != new_id().bytes
    os.close(reader)
    os.close(writer)


def test_ids_go_up_when_the_clock_steps_back(stepped):
    stepped(2_000_000)
    first = new_id()
    stepped(1_000_000)
    second, third = new_id(), new_id()
    assert first < second < third
    stepped(3_000_000)
    assert milliseconds_of(new_id()) == 3_000_000


def test_ids_of_several_threads_never_repeat_and_go_up_in_each():
    made = {}
    start = threading.Barrier(4)

    def make(name):
        start.wait()
        made[name] = [new_id() for _ in range(3_000)]

    threads = [threading.Thread(target=make, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({job_id for found in made.values() for job_id in found}) == 12_000
    assert all(found == sorted(found) for found in made.values())


def test_the_text_of_an_id_is_read_with_blanks_around_it_and_without_dashes():
    job_id = new_id()
    assert parse_id(f" {job_id}\n") == job_id
    assert parse_id(job_id.hex.upper()) == job_id


@pytest.mark.parametrize("text", ["", "nonsense", "123", "0190f3a0-0000-7000-8000-00000000000g"])
def test_text_that_is_no_id_is_refused_with_what_to_do(text):
    with pytest.raises(JobNotFound, match="penstock jobs list") as caught:
        parse_id(text)
    assert repr(text) in str(caught.value)
