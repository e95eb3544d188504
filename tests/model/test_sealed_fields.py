"""Fields that are sealed in the store: what is written, who can read it, and keys that change meanwhile."""

import base64
import json
import os

import pytest
from pydantic import ValidationError
from tests.tables import contents

import penstock
from penstock import BatchJob, Job, field
from penstock.errors import InvalidQuery, KeyringError, NoKeyring, RetiredKey, SealBroken, UnknownKey
from penstock.keyring import Keyring, key_version
from penstock.model.job import load_job
from penstock.states import State

SECRET = "xyzzy-plugh-4711"
"""What must never be found in a file."""


class Payment(Job, kind="sealed.Payment"):
    card: str | None = field(None, encrypted=True, user_editable=True, copy_on_restart=True)
    limits: dict[str, list[str]] = field(default_factory=dict, encrypted=True)
    photo: bytes = field(b"", encrypted=True)
    customer: str = "ada"
    destroy_on_complete = False
    broken: str = ""

    def perform(self):
        if self.broken:
            raise ValueError(f"{self.broken} {self.card}")
        self.limits["new"] = [f"{self.card}!"]
        self.customer = "grace"


@pytest.fixture
def keys(tmp_path, configured_store):
    """The path of the key file in force."""
    path = tmp_path / "keys.toml"
    Keyring.generate().save(path)
    penstock.configure(keyring=str(path))
    return path


def holds(data: bytes, text: str = SECRET) -> bool:
    """Tell whether data holds the text, as it is or in one of the forms in which it may be written."""
    plain = text.encode()
    forms = [plain, plain.hex().encode(), json.dumps(text)[1:-1].encode(), text.encode("utf-16-le")]
    # In base64, at each of the three places at which it may begin.
    forms += [base64.b64encode(b"_" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    return any(form in data for form in forms)


def document_of(store, job) -> dict:
    return json.loads(store.job(job.id).fields)


def versions_in(store, job) -> set[int]:
    """Return the versions of the keys under which fields of a stored job are sealed."""
    values = [value["$sealed"] for value in document_of(store, job).values() if isinstance(value, dict) and value]
    return {key_version(base64.b64decode(value)) for value in values}


class TestOnDisk:
    def test_neither_the_store_nor_its_log_holds_what_a_sealed_field_does(self, keys, configured_store):
        Payment.create(card=SECRET, limits={SECRET: [SECRET]}, photo=SECRET.encode())
        data = contents(configured_store)
        assert holds(data, "sealed.Payment")  # It looks in the right place,
        assert holds(data, "$sealed")
        assert not holds(data)
        assert not holds(data, SECRET[:8])

    def test_the_search_finds_what_is_not_sealed(self, keys, configured_store):
        """Else the tests above and below would prove nothing."""
        Payment.create(customer=SECRET)
        assert holds(contents(configured_store))
        assert holds(base64.b64encode(b"ab" + SECRET.encode() + b"c"))

    def test_it_comes_back_as_it_was_given(self, keys):
        given = {"card": SECRET, "limits": {SECRET: [SECRET, ""]}, "photo": b"\x00\xff" + SECRET.encode()}
        job = Payment.create(**given)
        for seen in (Payment.query.first(), job.reload(), load_job(job.row)):
            assert {name: getattr(seen, name) for name in given} == given
        assert job.changed_values() == {}

    def test_a_save_of_an_edit_seals_it(self, keys, configured_store):
        job = Payment.create()
        job.card = SECRET
        job.save()
        job.limits["a"] = [SECRET]
        job.save()
        job.update(photo=SECRET.encode())
        Payment.query.update(card=f"{SECRET} by a query")
        assert not holds(contents(configured_store))
        back = Payment.query.first()
        assert (back.card, back.limits) == (f"{SECRET} by a query", {"a": [SECRET]})

    def test_many_at_once_are_sealed_each_for_itself(self, keys, configured_store):
        jobs = Payment.create_many([{"card": SECRET} for _ in range(3)])
        assert not holds(contents(configured_store))
        assert len({json.dumps(document_of(configured_store, job)["card"]) for job in jobs}) == 3

    def test_what_is_not_sealed_stays_readable_and_searchable(self, keys, configured_store):
        job = Payment.create(card=SECRET, customer="grace")
        assert document_of(configured_store, job)["customer"] == "grace"
        assert Payment.query.where(customer="grace").count() == 1

    def test_none_is_left_as_it_is(self, keys, configured_store):
        assert document_of(configured_store, Payment.create())["card"] is None

    def test_an_edit_of_another_field_leaves_what_is_sealed_as_it_stands(self, keys, configured_store):
        job = Payment.create(card=SECRET)
        before = document_of(configured_store, job)["card"]
        Payment.query.first().update(customer="grace")
        assert document_of(configured_store, job)["card"] == before

    def test_the_next_instance_is_sealed_for_itself(self, keys, configured_store):
        class Repeated(penstock.Restart, Payment):
            def perform(self):
                """Nothing."""

        job = Repeated.create(card=SECRET)
        job.abort()
        (following,) = Repeated.query.queued
        assert following.card == SECRET
        assert not holds(contents(configured_store))
        assert document_of(configured_store, following)["card"] != document_of(configured_store, job)["card"]

    def test_a_late_default_is_sealed_too(self, keys, configured_store):
        class Late(Job):
            token: str = field(default_factory=lambda job: SECRET, encrypted=True)

        job = Late.create()
        assert not holds(contents(configured_store))
        assert Late.query.first().token == job.token == SECRET

    def test_the_draft_of_a_batch_job_is_sealed_while_records_are_uploaded(self, keys, configured_store):
        class Batch(BatchJob):
            token: str = field(encrypted=True)

            def perform(self, record):
                return record

        job = Batch(token=SECRET)
        with job.upload() as writer:
            writer.write("a")
            assert configured_store.job(job.id).draft
            assert not holds(contents(configured_store))
        job.save()
        assert not holds(contents(configured_store))
        assert Batch.query.first().token == SECRET


class TestOnAServer:
    def test_what_goes_between_server_and_worker_is_sealed_and_so_is_what_a_job_changes(
        self, keys, configured_store, server
    ):
        job = Payment.create(card=SECRET)
        task = server.take()
        assert not holds(task.row.fields.encode())
        reply = server.perform(task)
        assert reply.failure is None
        assert not holds(json.dumps(reply.fields).encode())
        server.run()
        assert not holds(contents(configured_store))
        job.reload()
        assert (job.state, job.limits, job.customer) == (State.COMPLETED, {"new": [f"{SECRET}!"]}, "grace")

    def test_what_a_job_fails_with_is_sealed_and_told_to_who_has_the_key(self, keys, configured_store, server):
        job = Payment.create(card=SECRET, broken="no money on")
        server.run()
        assert not holds(contents(configured_store))
        job.reload()
        assert (job.state, job.exception.class_name) == (State.FAILED, "ValueError")
        assert job.exception.message == f"no money on {SECRET}"

    def test_what_a_job_fails_itself_with_is_sealed_too(self, keys, configured_store, server):
        class Giving(Payment, kind="sealed.Giving"):
            def perform(self):
                self.fail(f"no money on {self.card}")

        job = Giving.create(card=SECRET)
        server.run()
        assert not holds(contents(configured_store))
        assert job.reload().exception.message == f"no money on {SECRET}"

    def test_what_a_client_fails_it_with_is_sealed_too(self, keys, configured_store):
        job = Payment.create(card=SECRET)
        job.fail(f"{SECRET} is out of date")
        assert not holds(contents(configured_store))
        assert job.reload().exception.message == f"{SECRET} is out of date"

    def test_the_errors_that_retry_keeps_hold_nothing_of_it(self, keys, configured_store, server, clock):
        class Retried(penstock.Retry, Payment):
            retry_limit = 2

        job = Retried.create(card=SECRET, broken="bad")
        for _ in range(3):
            server.run()
            clock.advance(1000)
        assert not holds(contents(configured_store))
        job.reload()
        assert (job.state, len(job.errors), len(job.failed_at_list)) == (State.FAILED, 3, 3)

    def test_what_is_no_longer_valid_is_not_quoted_in_the_error(self, keys, configured_store, server):
        class Strict(Job, kind="sealed.Strict"):
            card: str = field(encrypted=True)

            def perform(self):
                """Nothing."""

        job = Strict.create(card=SECRET)

        class Stricter(Job, kind="sealed.Strict"):
            card: int = field(encrypted=True)

            def perform(self):
                """Nothing."""

        server.run()
        assert server.row(job.id).state is State.FAILED
        assert not holds(contents(configured_store))

    def test_a_failed_slice_of_a_batch_job_with_a_sealed_field_tells_nothing_of_it(
        self, keys, configured_store, server
    ):
        class Batch(BatchJob):
            token: str = field(encrypted=True)

            def perform(self, record):
                raise ValueError(self.token)

        job = Batch(token=SECRET)
        job.upload(["a"])
        job.save()
        server.run()
        assert job.reload().state is State.FAILED
        assert not holds(contents(configured_store))

    def test_without_the_key_a_job_fails_and_says_what_to_do_and_runs_when_it_is_there(
        self, keys, configured_store, server
    ):
        job = Payment.create(card=SECRET)
        penstock.configure(keyring=None)
        server.run()
        row = server.row(job.id)
        assert row.state is State.FAILED
        assert "penstock keys generate" in row.exception
        penstock.configure(keyring=str(keys))
        job.reload().retry()
        server.run()
        assert job.reload().state is State.COMPLETED


class TestKeys:
    def test_without_a_keyring_a_job_is_neither_stored_nor_read_and_the_error_says_what_to_do(self, keys):
        Payment.create(card=SECRET)
        penstock.configure(keyring=None)
        with pytest.raises(NoKeyring, match="no keyring is set; make a key file: penstock keys generate"):
            Payment.query.first()
        with pytest.raises(NoKeyring):
            Payment.create(card=SECRET)
        # What needs no key does not ask for it.
        assert Payment.query.count() == 1
        assert Payment.query.where(customer="ada").exists()
        assert Payment(card=SECRET).card == SECRET

    def test_a_key_file_that_is_gone_is_named(self, keys):
        Payment.create(card=SECRET)
        os.unlink(keys)
        with pytest.raises(KeyringError, match=r"keys\.toml"):
            list(Payment.query)

    def test_another_key_file_does_not_open_it(self, keys, tmp_path):
        Payment.create(card=SECRET)
        other = tmp_path / "other.toml"
        Keyring.generate().save(other)
        penstock.configure(keyring=str(other))
        with pytest.raises(SealBroken, match="another key file"):
            Payment.query.first()

    def test_a_function_may_give_the_keyring(self, configured_store):
        ring = Keyring.generate()
        penstock.configure(keyring=lambda: ring)
        Payment.create(card=SECRET)
        assert Payment.query.first().card == SECRET
        assert not holds(contents(configured_store))

    def test_after_a_rotation_old_and_new_jobs_are_readable_and_new_ones_have_the_new_key(self, keys, configured_store):
        old = Payment.create(card=f"{SECRET} old", photo=b"x")
        Keyring.update(keys, Keyring.rotate)
        new = Payment.create(card=f"{SECRET} new", photo=b"x")
        assert [job.card for job in Payment.query] == [f"{SECRET} old", f"{SECRET} new"]
        assert (versions_in(configured_store, old), versions_in(configured_store, new)) == ({1}, {2})

    def test_an_edit_after_a_rotation_leaves_a_job_with_both_keys_readable(self, keys, configured_store):
        job = Payment.create(card=SECRET, photo=b"x")
        Keyring.update(keys, Keyring.rotate)
        job.update(card=f"{SECRET} new")
        assert versions_in(configured_store, job) == {1, 2}
        back = Payment.query.first()
        assert (back.card, back.photo) == (f"{SECRET} new", b"x")

    def test_a_job_that_was_read_before_a_rotation_is_saved_and_moved_after_it(self, keys, configured_store):
        Payment.create(card=SECRET)
        job = Payment.query.first()
        Keyring.update(keys, Keyring.rotate)
        job.limits["a"] = ["b"]
        job.save()
        job.pause().resume()
        assert Payment.query.first().limits == {"a": ["b"]}

    def test_jobs_stored_before_during_and_after_a_rotation_all_run(self, keys, configured_store, server):
        jobs = [Payment.create(card=f"{SECRET} 1")]
        task = server.take()  # Claimed under the old key, performed under the new one.
        Keyring.update(keys, Keyring.rotate)
        jobs.append(Payment.create(card=f"{SECRET} 2"))
        server.perform(task)
        Keyring.update(keys, Keyring.rotate)
        jobs.append(Payment.create(card=f"{SECRET} 3"))
        server.run()
        for number, job in enumerate(jobs, 1):
            job.reload()
            assert (job.state, job.limits) == (State.COMPLETED, {"new": [f"{SECRET} {number}!"]})

    def test_under_a_retired_key_it_does_not_open_and_the_key_is_named(self, keys):
        Payment.create(card=SECRET)
        Keyring.update(keys, lambda ring: ring.rotate().retire(1))
        with pytest.raises(RetiredKey, match="key 1, which is retired"):
            Payment.query.first()

    def test_under_a_key_that_this_machine_does_not_have_yet_it_does_not_open(self, keys, tmp_path):
        ring = Keyring.load(keys)
        penstock.configure(keyring=lambda: ring)
        ring = ring.rotate()
        Payment.create(card=SECRET)
        older = Keyring.load(keys)
        penstock.configure(keyring=lambda: older)
        with pytest.raises(UnknownKey, match=r"key 2, which the keyring .* does not hold"):
            Payment.query.first()

    @pytest.mark.parametrize("swap", ["job", "field", "changed"])
    def test_a_value_that_was_moved_or_changed_in_the_store_does_not_open(self, keys, configured_store, swap):
        class Two(Job):
            first: str = field("", encrypted=True)
            second: str = field("", encrypted=True)

        mine, theirs = Two.create(first="a", second="b"), Two.create(first="c", second="d")
        document = document_of(configured_store, mine)
        if swap == "job":
            document["first"] = document_of(configured_store, theirs)["first"]
        elif swap == "field":
            document["first"] = document["second"]
        else:
            sealed = bytearray(base64.b64decode(document["first"]["$sealed"]))
            sealed[-1] ^= 1
            document["first"] = {"$sealed": base64.b64encode(sealed).decode()}
        configured_store.update_job(mine.id, {"fields": document})
        with pytest.raises(SealBroken):
            Two.query.first()


class TestRefused:
    @pytest.mark.parametrize(
        "condition",
        [{"card": SECRET}, {"card__ne": None}, {"card__contains": "x"}, {"card__in": ["x"]}, {"card": None}],
    )
    def test_it_cannot_be_asked_for(self, keys, condition):
        with pytest.raises(InvalidQuery, match=r"Payment\.card is encrypted: the store cannot compare it"):
            Payment.query.where(**condition)

    @pytest.mark.parametrize("name", ["card", "-card"])
    def test_it_cannot_order_jobs(self, keys, name):
        with pytest.raises(InvalidQuery, match="encrypted"):
            Payment.query.order_by(name)

    def test_it_cannot_be_indexed(self):
        with pytest.raises(TypeError, match="both indexed and encrypted"):
            field("", indexed=True, encrypted=True)

    def test_it_cannot_make_a_job_unique(self):
        with pytest.raises(TypeError, match=r"Wrong\.unique_by names 'card', which is encrypted"):

            class Wrong(Payment):
                unique_by = ["card"]  # noqa: RUF012

    def test_a_wrong_value_is_refused_as_of_any_field(self, keys):
        with pytest.raises(ValidationError, match="limits"):
            Payment(limits={"a": "b"})


class TestShown:
    def test_the_status_for_people_leaves_it_out(self, keys):
        told = Payment.create(card=SECRET, limits={"a": [SECRET]}).status()
        assert told["customer"] == "ada"
        assert not {"card", "limits", "photo"} & told.keys()

    def test_the_status_of_a_failed_job_tells_its_error_to_who_has_the_key(self, keys, server):
        job = Payment.create(card=SECRET, broken="bad")
        server.run()
        assert job.reload().status()["exception"].startswith("ValueError: ")

    @pytest.mark.parametrize("show", [repr, str], ids=["repr", "str"])
    def test_it_is_not_in_what_a_log_shows_of_a_job(self, keys, show):
        assert SECRET not in show(Payment(card=SECRET))
        assert "customer" in show(Payment(card=SECRET))


class TestChangedClasses:
    def test_a_field_that_is_no_longer_sealed_still_opens_and_is_plain_from_its_next_change_on(
        self, keys, configured_store
    ):
        class Sealed(Job, kind="sealed.Changing"):
            card: str = field("", encrypted=True)

        Sealed.create(card="first")

        class Open(Job, kind="sealed.Changing"):
            card: str = ""

        job = Open.query.first()
        assert job.card == "first"
        job.update(card="second")
        assert document_of(configured_store, job)["card"] == "second"

    def test_a_field_that_was_not_sealed_yet_is_read_and_sealed_with_its_next_change(self, keys, configured_store):
        class Token(Job, kind="sealed.Token"):
            token: str = ""

        Token.create(token="first")

        class Sealed(Job, kind="sealed.Token"):
            token: str = field("", encrypted=True)

        job = Sealed.query.first()
        assert job.token == "first"
        job.update(token=SECRET)
        assert not holds(contents(configured_store))
        assert Sealed.query.first().token == SECRET

    def test_a_subclass_keeps_it_sealed_when_it_overrides_the_default(self, keys, configured_store):
        class Preset(Payment):
            card = SECRET

        assert SECRET not in repr(Preset.create())
        assert not holds(contents(configured_store))
        assert Preset.query.first().card == SECRET

    def test_a_field_of_any_job_may_hold_what_looks_like_sealed_data(self, configured_store):
        class Odd(Job):
            data: dict[str, str] = {}  # noqa: RUF012

        for odd in ({"$sealed": "AAAA"}, {"$sealed": "", "other": ""}):
            job = Odd.create(data=odd)
            assert job.reload().data == odd
            job.destroy()
