"""Moves on jobs with sealed fields, where nobody has the key."""

import pytest

import penstock
from penstock import Job
from penstock.errors import KeyringError
from penstock.hooks import before_abort
from penstock.keyring import Keyring
from penstock.model.fields import field
from penstock.model.moves import move_job
from penstock.states import Move, State


class Sealed(Job, kind="tests.model.moves.Sealed"):
    password: str = field(encrypted=True)

    def perform(self):
        return None


class Watched(Sealed, kind="tests.model.moves.Watched"):
    @before_abort
    def look(self):
        assert self.password


@pytest.fixture
def made_elsewhere():
    """Return a function that makes a job under a key that this process does not have."""

    def make(cls):
        keyring = Keyring.generate()
        penstock.configure(keyring=lambda: keyring)
        job = cls.create(password="xyzzy")
        penstock.configure(keyring="/nowhere/keys.toml")
        return job

    return make


def test_a_job_whose_class_has_no_hooks_for_a_move_is_moved_without_being_opened(configured_store, made_elsewhere):
    job = made_elsewhere(Sealed)
    for move, state in ((Move.PAUSE, State.PAUSED), (Move.RESUME, State.QUEUED), (Move.ABORT, State.ABORTED)):
        assert move_job(configured_store, job.id, move).state is state


def test_hooks_need_the_key_and_without_it_nothing_is_moved(configured_store, made_elsewhere):
    job = made_elsewhere(Watched)
    with pytest.raises(KeyringError):
        move_job(configured_store, job.id, Move.ABORT)
    assert configured_store.job(job.id).state is State.QUEUED
    assert move_job(configured_store, job.id, Move.PAUSE).state is State.PAUSED
