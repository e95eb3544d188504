"""`Reseal`: after it, the older keys are not needed any more."""

import pytest

import penstock
from penstock import BatchJob, Job, field
from penstock.jobs import Reseal
from penstock.keyring import Keyring, key_version
from penstock.states import State
from penstock.store.rows import KeptInput, KeptOutput


class Secretive(Job, kind="tests.jobs.reseal.Secretive"):
    word: str = field(encrypted=True)
    open_word: str = "plain"

    def perform(self):
        raise ValueError(self.word)


class Lines(BatchJob, kind="tests.jobs.reseal.Lines"):
    encrypt = True
    collect_output = True
    destroy_on_complete = False
    slice_size = 2

    def perform(self, line):
        if line == "bad":
            raise ValueError(line)
        return line.upper()


def rotate(keys):
    """Make a new key the active one; returns its version."""
    return Keyring.update(keys, lambda ring: ring.rotate()).active_version


def retire(keys, version):
    Keyring.update(keys, lambda ring: ring.retire(version))


@pytest.fixture
def stored(driver, keys):
    """Return jobs that were stored under the first key: one with a field, one half done, one that is to be done."""
    secretive = Secretive.create(word="hunter2")
    done = Lines()
    done.upload(["a", "b", "bad", "c", "d"])
    done.save()
    driver.run()
    waiting = Lines(run_at=penstock.clock.now().replace(year=2040))
    waiting.upload(["e", "f", "g"])
    waiting.save()
    return secretive.reload(), done.reload(), waiting


def reseal(driver):
    job = Reseal.create()
    driver.run()
    return job.reload()


def test_all_that_is_stored_opens_without_the_older_key(driver, stored, keys, configured_store):
    secretive, done, waiting = stored
    old = Keyring.load(keys).active_version
    new = rotate(keys)
    job = reseal(driver)
    assert job.state == State.COMPLETED, job.exception
    assert job.resealed == {"fields": 1, "messages": 2, "slices": 5}
    retire(keys, old)
    assert Secretive.query.first().word == "hunter2"
    assert secretive.reload().exception.message == "hunter2"
    assert done.exception is not None
    (failed,) = done.each_failed_record()
    assert failed.record == "bad"
    assert versions(configured_store, done, waiting) == {new}
    done.edit_record(3, "good")
    done.retry()
    waiting.run_now()
    driver.run()
    assert list(done.reload().output.records()) == ["A", "B", "GOOD", "C", "D"]
    assert list(waiting.reload().output.records()) == ["E", "F", "G"]


def versions(store, *jobs):
    kept = [row for job in jobs for row in (*store.kept_inputs(job.id, b""), *store.kept_outputs(job.id, b""))]
    assert len(kept) == 5
    return {key_version(row.payload) for row in kept}


def test_run_again_it_finds_nothing_to_do(driver, stored, keys):
    rotate(keys)
    reseal(driver).destroy()
    assert reseal(driver).resealed == {"fields": 0, "messages": 0, "slices": 0}


def test_what_does_not_open_is_named_and_all_the_rest_is_done(driver, stored, keys, configured_store):
    secretive, done, _ = stored
    first = next(iter(configured_store.kept_outputs(done.id, b"")))
    configured_store.replace_payload(first, first.payload[:-1] + bytes([first.payload[-1] ^ 1]))
    rotate(keys)
    job = reseal(driver)
    assert job.state == State.FAILED
    assert (
        f"1 do not open and stay as they are; the first: job {done.id}, output main, slice 1" in job.exception.message
    )
    assert job.resealed == {"fields": 1, "messages": 2, "slices": 4}
    assert secretive.word == "hunter2"


def test_what_was_changed_meanwhile_stays_as_it_was_changed(stored, configured_store):
    _, done, waiting = stored
    kept = next(iter(configured_store.kept_inputs(waiting.id, b"")))
    out = next(iter(configured_store.kept_outputs(done.id, b"")))
    assert isinstance(kept, KeptInput)
    assert isinstance(out, KeptOutput)
    for row in (kept, out):
        assert configured_store.replace_payload(row, b"other")
        assert not configured_store.replace_payload(row, b"third")
    assert not configured_store.replace_exception(kept, "x")


def test_without_the_keyring_nothing_is_changed(driver, stored, configured_store):
    penstock.configure(keyring=None)
    job = reseal(driver)
    assert job.state == State.FAILED
    assert "NoKeyring" in job.exception.class_name
