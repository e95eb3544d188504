"""Slices and outputs that are sealed or compressed: found nowhere in clear, refused where they do not belong."""

import base64
import json
import tempfile

import pytest
from tests.tables import change, contents

import penstock
from penstock import BatchJob, InputCategory, OutputCategory, field
from penstock.batch.payloads import SEALED, Payloads, place_of_input
from penstock.errors import NoKeyring, RetiredKey, SealBroken, UnknownKey
from penstock.hooks import after_complete
from penstock.ids import new_id
from penstock.keyring import MAGIC, Keyring, key_version
from penstock.model.failure import parse_failure
from penstock.model.sealing import opened_message
from penstock.records import encode_records
from penstock.states import State

MARK = "xyzzy-plugh-4711"
"""What must never be found in a file."""
BAD: set = set()


@pytest.fixture(autouse=True)
def _forgetful():
    BAD.clear()


class Secret(BatchJob, kind="tests.batch.sealed.Secret"):
    slice_size = 10
    encrypt = True
    output_categories = ["main", OutputCategory(name="short", format="csv", columns=["n", "of"])]  # noqa: RUF012
    on_record_error = "reject"
    destroy_on_complete = False
    card: str = field("", encrypted=True)

    def perform(self, record):
        number = int(record.split()[0])
        if number in BAD:
            raise ValueError(f"cannot take {record!r} of {self.card}")
        if number == 50 and "stop" in BAD:
            raise SystemExit(f"stopped at {record!r}")
        return penstock.Result({"n": number, "of": record}, "short") if number % 2 else record.upper()


class Clear(Secret, kind="tests.batch.sealed.Clear"):
    encrypt = False
    card: str = ""


def records(count=74):
    return [f"{n} {MARK}" for n in range(1, count + 1)]


def holds(data, text=MARK):
    """Tell whether data holds the text, in either case, as it is or in a form in which it may be written."""
    for plain in (text.encode(), text.upper().encode()):
        forms = [plain, plain.hex().encode(), plain.decode().encode("utf-16-le")]
        forms += [base64.b64encode(b"_" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
        if any(form in data for form in forms):
            return True
    return False


def test_what_is_sealed_is_found_nowhere_through_the_whole_life_of_a_job(
    driver, configured_store, keys, tmp_path, monkeypatch, caplog
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    caplog.set_level("DEBUG")

    def live(cls):
        BAD.update({3, 42, "stop"})
        job = cls(card=MARK)
        job.upload(records())
        seen = [contents(configured_store)]
        job.save()
        driver.crash(driver.take())
        driver.run()
        seen.append(contents(configured_store))
        assert job.reload().state is State.FAILED
        BAD.discard("stop")
        job.reject_failed(50)
        job.retry()
        driver.run()
        assert job.reload().state is State.COMPLETED
        seen.append(contents(configured_store))
        BAD.clear()
        job.resubmit({number: f"{number} {MARK}" for number in (3, 42)})
        seen.append(contents(configured_store))
        driver.run()
        seen.append(contents(configured_store))
        logs = caplog.text.encode() + b"".join(it.read_bytes() for it in temporary.rglob("*") if it.is_file())
        return job.reload(), seen, logs

    job, seen, logs = live(Secret)
    assert not any(map(holds, seen))
    assert not holds(logs)
    assert list(job.output.records()) == [record.upper() for record in records()[1::2] if record[:2] != "50"]
    assert job.download(tmp_path / "short.csv", "short") == 37
    (told,) = job.output["rejects"].records()
    assert (told["record"], told["reason"]) == (f"50 {MARK}", f"SystemExit: stopped at '50 {MARK}'")
    job, seen, _ = live(Clear)
    assert all(map(holds, seen))


def test_a_stored_error_is_sealed_where_only_an_output_is(driver, configured_store, keys):
    class Half(Clear):
        output_categories = [OutputCategory(encrypt=True)]  # noqa: RUF012
        on_record_error = "fail"

        def perform(self, record):
            raise ValueError(f"no {MARK}")

    job = Half()
    job.upload(["a"])
    job.save()
    driver.run()
    assert not holds(contents(configured_store))
    (failed,) = job.each_failed_record()
    assert failed.failure.summary == "ValueError: (sealed)"
    assert opened_message(job.id, failed.failure.message) == f"no {MARK}"


def test_an_error_in_a_hook_after_its_end_is_sealed_too(driver, configured_store, keys):
    class Hooked(Clear):
        encrypt = True

        @after_complete
        def tell(self):
            raise ValueError(f"no {MARK}")

    job = Hooked()
    job.upload(["1 a"])
    job.save()
    driver.run()
    assert driver.row(job.id).exception is not None
    assert not holds(contents(configured_store))


def test_last_words_of_a_worker_are_not_kept_of_a_job_of_which_only_this_one_is_sealed(driver, configured_store, keys):
    job = Clear(input_category=InputCategory(encrypt=True))
    job.upload(records())
    job.save()
    for _ in range(3):
        task = driver.take()
        driver.dispatcher.worker_died("w", "server-1:1", f"killed by SIGSEGV\nit said {MARK}", {task.key: 0})
        driver._handed.clear()
        driver._facts = []
        driver.turn()
    assert driver.store.slice_counts(job.id).get("failed") == 1
    assert not holds(contents(configured_store))


# What does not open -------------------------------------------------------------------------------


@pytest.fixture
def done(driver, keys):
    job = Secret()
    job.upload(records())
    job.save()
    driver.run()
    return job.reload()


def test_an_output_slice_swapped_with_another_is_refused_by_name(done, configured_store, tmp_path):
    first, second = list(configured_store.outputs(done.id, "main"))[:2]
    for row, payload in ((first, second.payload), (second, first.payload)):
        assert change(
            configured_store,
            "UPDATE output_slices SET payload = ? WHERE job_id = ? AND category = 'main' AND number = ?",
            payload,
            done.id,
            row.number,
        )
    with pytest.raises(SealBroken, match=rf"job {done.id}, output main, slice 1, part 0: does not open"):
        done.download(tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


def test_an_input_slice_swapped_with_another_fails_by_name_and_gives_no_output(driver, configured_store, keys):
    job = Secret()
    job.upload(records(20))
    swap = "UPDATE slice_payloads SET payload = (SELECT payload FROM slice_payloads ORDER BY slice_id {} LIMIT 1)"
    assert change(
        configured_store, swap.format("DESC") + " WHERE slice_id = (SELECT min(slice_id) FROM slice_payloads)"
    )
    job.save()
    driver.run()
    (row,) = configured_store.failed_slices(job.id)
    failure = parse_failure(row.exception)
    assert failure.class_name == "penstock.errors.SealBroken"
    assert "input, slice of record 1:" in opened_message(job.id, failure.message)
    assert list(job.output.records()) == [record.upper() for record in records(20)[11::2]]


@pytest.mark.parametrize("compress", [False, True])
def test_no_bit_of_a_sealed_payload_can_be_changed(configured_store, keys, compress):
    payloads = Payloads(new_id())
    sealed = payloads.wrap(encode_records(["a", 1]), place_of_input(1), compress=compress, encrypt=True)
    assert payloads.open(sealed, place_of_input(1)) == encode_records(["a", 1])
    for at in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            with pytest.raises((SealBroken, UnknownKey), match=r"job .*, input, slice of record 1: "):
                payloads.open(bytes(changed), place_of_input(1))
    for end in range(1, len(sealed)):
        with pytest.raises(SealBroken):
            payloads.open(sealed[:end], place_of_input(1))


def test_a_payload_of_another_job_or_place_does_not_open(configured_store, keys):
    mine = new_id()
    sealed = Payloads(mine).wrap(b"Ta\n", place_of_input(1), compress=False, encrypt=True)
    for job_id, place in ((new_id(), place_of_input(1)), (mine, place_of_input(2))):
        with pytest.raises(SealBroken):
            Payloads(job_id).open(sealed, place)


def test_without_its_key_a_download_says_which_version_is_missing(driver, configured_store, keys, tmp_path):
    Keyring.update(keys, Keyring.rotate)
    job = Secret()
    job.upload(records())
    job.save()
    driver.run()
    other = tmp_path / "other.toml"
    Keyring.generate().save(other)
    penstock.configure(keyring=str(other))
    with pytest.raises(UnknownKey, match=r"output main, slice 1, part 0: .*\b2\b"):
        job.download(tmp_path / "out.txt")
    penstock.configure(keyring=None)
    with pytest.raises(NoKeyring):
        job.download(tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()
    penstock.configure(keyring=str(keys))
    assert job.download(tmp_path / "out.txt") == 37


def test_without_a_keyring_nothing_is_uploaded(configured_store, stored):
    with pytest.raises(NoKeyring):
        Secret().upload(records())
    assert set(stored().values()) == {0}


# Keys that change ---------------------------------------------------------------------------------


def test_a_key_may_be_rotated_while_a_job_runs(driver, configured_store, keys, tmp_path):
    BAD.add(3)
    job = Secret()
    job.upload(records())
    job.save()
    driver.step()
    Keyring.update(keys, Keyring.rotate)
    driver.step()
    BAD.clear()
    job.resubmit({3: f"3 {MARK}"})
    driver.run()
    assert job.reload().state is State.COMPLETED
    versions = [key_version(row.payload) for row in configured_store.outputs(job.id, "main")]
    assert (versions[0], versions[-1]) == (1, 2)
    assert list(job.output.records()) == [record.upper() for record in records()[1::2]]
    Keyring.update(keys, lambda ring: ring.retire(1))
    with pytest.raises(RetiredKey, match="1"):
        job.download(tmp_path / "out.txt")


# Compressed ---------------------------------------------------------------------------------------


def test_what_is_compressed_is_smaller_and_the_same(driver, configured_store, balanced):
    class Small(Clear):
        compress = True
        output_categories = ["main", OutputCategory(name="short", compress=False)]  # noqa: RUF012

        def perform(self, record):
            return penstock.Result(record, "short") if record.startswith("1") else record

    job = Small(slice_size=1000)
    given = [f"{n} " + "x" * 500 for n in range(2000)]
    empty = len(contents(configured_store))
    job.upload(given)
    job.save()
    assert len(contents(configured_store)) - empty < len("".join(given)) / 2
    driver.run()
    assert list(job.output.records()) == [it for it in given if not it.startswith("1")]
    assert list(job.output["short"].records()) == [it for it in given if it.startswith("1")]
    assert all(row.payload.startswith(b"Z") for row in configured_store.outputs(job.id, "main"))
    assert all(row.payload.startswith(b"T") for row in configured_store.outputs(job.id, "short"))
    balanced(job)


def test_it_may_be_switched_on_while_a_job_runs(driver, configured_store, keys):
    job = Clear()
    job.upload(records())
    job.save()
    driver.step()
    document = json.loads(driver.row(job.id).fields)
    document["input_category"]["encrypt"] = True
    for category in document["output_categories"]:
        category["compress"] = True
    changed = {"fields": {name: document[name] for name in ("input_category", "output_categories")}}
    configured_store.update_job(job.id, changed)
    driver.run()
    assert list(job.reload().output.records()) == [record.upper() for record in records()[1::2]]


def test_a_failed_record_of_a_sealed_slice_is_shown_corrected_and_stays_sealed(driver, configured_store, keys):
    class Strict(Secret):
        on_record_error = "fail"
        compress = True

    BAD.add(42)
    job = Strict()
    job.upload(records())
    job.save()
    driver.run()
    assert next(job.each_failed_record()).record == f"42 {MARK}"
    job.edit_record(42, f"0 {MARK}")
    assert not holds(contents(configured_store))
    job.reload().retry()
    driver.run()
    assert job.reload().state is State.COMPLETED
    assert f"0 {MARK}".upper() in list(job.output.records())


def test_what_sealed_payloads_begin_with_is_what_the_keyring_writes():
    assert SEALED == MAGIC
