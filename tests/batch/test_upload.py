"""Uploads: all of an input or nothing of it, in slices, with every record located."""

import io
from contextlib import closing, suppress
from decimal import Decimal

import pytest

import penstock
from penstock import BatchJob
from penstock import clock as penstock_clock
from penstock.errors import (
    ConfigurationError,
    EncodingError,
    InputError,
    InvalidMove,
    PenstockError,
    RecordTooLarge,
    StoreFull,
)
from penstock.records import decode_records
from penstock.states import State, SubState

NOTHING = {"jobs": 0, "slices": 0, "slice_payloads": 0, "output_slices": 0, "progress": 0}


class Lines(BatchJob, kind="tests.batch.upload.Lines"):
    slice_size = 3
    collect_output = True

    def perform(self, record):
        return record


def slices_of(store, job):
    """Return the records of each slice of a draft, which are claimed by this."""
    claimed = store.claim_slices(job.id, server="test", limit=1000, max_bytes=1 << 40)
    return [decode_records(one.payload) for one in claimed]


def records_of(store, job):
    return [record for records in slices_of(store, job) for record in records]


# Sources -----------------------------------------------------------------------------------------


def test_a_path_is_cut_into_slices_of_slice_size(configured_store, tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"a\nb\nc\nd\n\ne\n f")
    job = Lines()
    assert job.upload(path) == 7
    assert job.record_count == 7
    assert slices_of(configured_store, job) == [["a", "b", "c"], ["d", "", "e"], [" f"]]


@pytest.mark.parametrize("name", [str, lambda path: path], ids=["text", "path"])
def test_a_path_may_be_text_or_a_path(configured_store, tmp_path, name):
    path = tmp_path / "in.txt"
    path.write_bytes(b"a\n")
    assert Lines().upload(name(path)) == 1


def test_an_open_binary_file_is_read_and_left_open(configured_store, tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes("ä\r\nb\r\n".encode())
    job = Lines()
    with path.open("rb") as file:
        assert job.upload(file) == 2
        assert not file.closed
    assert records_of(configured_store, job) == ["ä", "b"]
    assert job.input_category.locate(2) == (str(path), 2)


def test_an_open_text_file_is_read_by_its_own_encoding(configured_store, tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes("ä\nb\nc\nd".encode("latin-1"))
    job = Lines()
    with path.open(encoding="latin-1") as file:
        assert job.upload(file) == 4
    assert slices_of(configured_store, job) == [["ä", "b", "c"], ["d"]]
    assert job.input_category.locate(4) == (str(path), 4)


def test_text_and_bytes_in_memory_are_read_too(configured_store):
    job = Lines()
    assert job.upload(io.StringIO("a\nb\n")) == 2
    assert job.upload(io.BytesIO(b"c\nd")) == 2
    assert records_of(configured_store, job) == ["a", "b", "c", "d"]


def test_records_of_an_iterable_keep_their_types(configured_store):
    given = ["text", b"bytes", 1, 1.5, None, True, Decimal("1.10"), [1, {"a.b": None}], ("x", 2), "two\nlines", ""]
    job = Lines()
    assert job.upload(iter(given)) == len(given)
    found = records_of(configured_store, job)
    assert found == given
    assert list(map(type, found)) == list(map(type, given))


def test_a_block_stores_what_it_wrote_when_it_ends(configured_store):
    job = Lines()
    with job.upload() as writer:
        for number in range(7):
            writer.write(number)
    assert job.record_count == 7
    assert slices_of(configured_store, job) == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize("empty", [io.BytesIO(b""), [], io.StringIO("")], ids=["binary", "iterable", "text"])
def test_an_empty_input_is_no_records(configured_store, empty):
    job = Lines()
    assert job.upload(empty) == 0
    assert job.record_count == 0


def test_an_empty_block_is_no_records(configured_store):
    job = Lines()
    with job.upload():
        pass
    assert job.record_count == 0


def test_another_delimiter_encoding_and_stream_are_used_when_given(configured_store, tmp_path):
    import gzip

    path = tmp_path / "in.data"
    path.write_bytes(gzip.compress("ä|b\n|c".encode("latin-1")))
    job = Lines()
    assert job.upload(path, delimiter=b"|", encoding="latin-1", streams=["gz"]) == 3
    assert records_of(configured_store, job) == ["ä", "b\n", "c"]


def test_an_option_that_there_is_not_is_refused(configured_store, stored):
    with pytest.raises(TypeError):
        Lines().upload([], delimeter=b"|")
    assert stored() == NOTHING


def test_progress_is_told_and_ends_at_the_number_of_records(configured_store):
    told = []
    Lines().upload(map(str, range(10)), progress=told.append)
    assert told[-1] == 10
    assert told == sorted(told)


# Failures ----------------------------------------------------------------------------------------


class Oops(Exception):
    pass


def broken_iterable(tmp_path):
    def records():
        yield from map(str, range(10))
        raise Oops

    return records()


def unstorable(tmp_path):
    return [*map(str, range(10)), object(), "more"]


def bad_encoding(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes((b"x" * 400 + b"\n") * 20_000 + b"\xff\n")
    return path


def too_large(tmp_path):
    penstock.configure(max_record=100)
    return ["a", "b", "c", "d" * 200]


def broken_gzip(tmp_path):
    import gzip
    import os

    path = tmp_path / "bad.txt.gz"
    path.write_bytes(gzip.compress(os.urandom(1 << 20).hex().encode())[:-20])
    return path


def missing(tmp_path):
    return tmp_path / "nowhere.txt"


FAILING = {
    broken_iterable: Oops,
    unstorable: TypeError,
    bad_encoding: EncodingError,
    too_large: RecordTooLarge,
    broken_gzip: InputError,
    missing: InputError,
}


@pytest.mark.parametrize("source", FAILING, ids=lambda source: source.__name__)
def test_a_failed_upload_leaves_nothing_and_the_job_can_upload_again(configured_store, stored, tmp_path, source):
    job = Lines()
    given = source(tmp_path)
    with pytest.raises(FAILING[source]):
        job.upload(given)
    assert stored() == NOTHING
    assert (job.is_stored, job.record_count, job.input_category.uploads) == (False, None, [])
    assert job.upload(["a", "b"]) == 2
    job.save()
    assert (stored()["jobs"], stored()["slices"]) == (1, 1)
    assert configured_store.job(job.id).record_count == 2


@pytest.mark.parametrize("error", [Oops, KeyboardInterrupt, SystemExit])
def test_a_block_that_raises_leaves_nothing(configured_store, stored, error):
    job = Lines()

    def broken():
        with job.upload() as writer:
            for number in range(10):
                writer.write(number)
            raise error

    with pytest.raises(error):
        broken()
    assert stored() == NOTHING
    assert job.upload(["a"]) == 1


def test_a_record_refused_inside_a_block_is_not_passed_over_by_catching_it(configured_store, stored):
    """The records that waited for the same slice would be lost with it."""
    job = Lines()

    def careless():
        with job.upload() as writer:
            for record in ("a", "b", object(), "d"):
                with suppress(TypeError):
                    writer.write(record)

    with pytest.raises(TypeError):
        careless()
    assert stored() == NOTHING


def test_an_unstorable_record_is_named_with_its_number_and_type(configured_store):
    job = Lines()
    job.upload(["a", "b"])
    with pytest.raises(TypeError, match=r"^record 7: a value of type .*\.Oops"):
        job.upload(["c", "d", "e", "f", Oops(), "g"])


def test_a_missing_file_is_named(configured_store, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.txt"):
        Lines().upload(tmp_path / "nowhere.txt")


def test_a_text_file_in_another_encoding_is_an_input_error(configured_store, stored, tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"fine\n" * 100_000 + b"\xff\n")
    with path.open(encoding="utf-8") as file, pytest.raises(ValueError, match="utf-8"):
        Lines().upload(file)
    assert stored() == NOTHING


def test_an_unknown_encoding_is_refused(configured_store, stored, tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"a\n")
    with pytest.raises(ConfigurationError):
        Lines().upload(path, encoding="nonsense")
    assert stored() == NOTHING


# Several uploads ---------------------------------------------------------------------------------


def test_several_uploads_add_up_and_a_record_is_located_in_its_file_and_line(configured_store, tmp_path):
    for name, count in (("one.txt", 4), ("two.txt", 3)):
        (tmp_path / name).write_text("".join(f"{name} {number}\n" for number in range(count)))
    job = Lines()
    assert job.upload(tmp_path / "one.txt") == 4
    assert job.upload(["here", "there"]) == 2
    assert job.upload(tmp_path / "two.txt") == 3
    assert job.record_count == 9
    where = [job.input_category.locate(number) for number in (1, 4, 5, 6, 7, 9, 10)]
    one, two = str(tmp_path / "one.txt"), str(tmp_path / "two.txt")
    assert where == [(one, 1), (one, 4), (None, 5), (None, 6), (two, 1), (two, 3), (None, 10)]
    claimed = configured_store.claim_slices(job.id, server="test", limit=100, max_bytes=1 << 30)
    assert [(slice_.first_record, slice_.record_count) for slice_ in claimed] == [(1, 3), (4, 1), (5, 2), (7, 3)]


def test_a_failed_upload_leaves_the_earlier_ones_of_an_unsaved_job_as_they_were(configured_store, balanced):
    job = Lines()
    job.upload(["a", "b", "c", "d"])
    with pytest.raises(TypeError):
        job.upload(["e", "f", "g", "h", object()])
    assert job.record_count == 4
    assert len(job.input_category.uploads) == 1
    assert job.upload(["i"]) == 1
    job.save()
    assert balanced(job)["queued"] == 5
    configured_store.start_batch(job.id, sub_state="processing", server="test", now=penstock.clock.now())
    assert records_of(configured_store, job) == ["a", "b", "c", "d", "i"]


def test_a_failed_upload_leaves_the_earlier_ones_of_a_saved_job_as_they_were(configured_store, balanced):
    job = Lines()
    job.upload(["a", "b", "c", "d"])
    job.save()
    with pytest.raises(TypeError):
        job.upload(["e", "f", "g", "h", object()])
    assert configured_store.job(job.id).uploader is None
    assert balanced(job)["queued"] == 4
    job.upload(["i"])
    assert balanced(job.reload())["queued"] == 5


def test_an_upload_whose_last_step_fails_leaves_the_job_as_it_was(configured_store, stored, monkeypatch):
    job = Lines()
    job.upload(["a", "b"])
    job.save()

    real = configured_store.update_job

    def full(job_id, changes, **named):
        if "record_count" in changes:
            raise StoreFull("full")
        return real(job_id, changes, **named)

    with monkeypatch.context() as patch:
        patch.setattr(configured_store, "update_job", full)
        with pytest.raises(StoreFull):
            job.upload(["c"], file_name="lost.txt")
    assert job.record_count == 2
    job.upload(["d"], file_name="found.txt")
    assert job.record_count == 3
    assert job.input_category.locate(3) == ("found.txt", 1)
    assert [
        one.first_record for one in configured_store.claim_slices(job.id, server="test", limit=9, max_bytes=999)
    ] == [1, 3]


@pytest.mark.parametrize("state", [State.COMPLETED, State.ABORTED])
def test_a_job_that_has_ended_takes_no_upload(configured_store, stored, state):
    job = Lines()
    job.upload(["a"])
    job.save()
    configured_store.update_job(job.id, {"state": state})
    before = stored()
    with pytest.raises(PenstockError):
        job.upload(["b"])
    assert stored() == before
    assert configured_store.job(job.id).record_count == 1


def test_two_do_not_upload_to_one_job_at_once_and_who_is_dead_does_not_upload(configured_store, stored):
    job = Lines()
    job.upload(["a", "b"])
    job.save()
    with closing(configured_store.appear("another")):
        configured_store.update_job(job.id, {"uploader": "another"})
        before = stored()
        with pytest.raises(InvalidMove, match="is being uploaded by another; wait until that has ended"):
            job.upload(["c"])
        assert stored() == before
    job.upload(["c"])
    assert configured_store.job(job.id).record_count == 3
    assert records_of(configured_store, job) == ["a", "b", "c"]


@pytest.mark.parametrize("sub_state", [SubState.BEFORE, SubState.AFTER])
def test_while_a_hook_of_the_job_runs_it_takes_no_records_from_elsewhere(configured_store, stored, sub_state):
    job = Lines()
    job.upload(["a"])
    job.save()
    configured_store.start_batch(job.id, sub_state=sub_state, server="server-1", now=penstock_clock.now())
    before = stored()
    with pytest.raises(InvalidMove, match=f"is in its {sub_state}_batch: it takes no records from elsewhere now"):
        job.upload(["b"])
    assert stored() == before


def test_a_job_that_was_destroyed_takes_no_upload(configured_store, stored):
    job = Lines()
    job.upload(["a"])
    job.save()
    configured_store.destroy_job(job.id)
    with pytest.raises(PenstockError):
        job.upload(["b"])
    assert stored() == NOTHING


# Sizes -------------------------------------------------------------------------------------------


def test_slices_of_a_file_close_at_max_slice(configured_store, tmp_path):
    penstock.configure(max_slice=25)
    path = tmp_path / "in.txt"
    path.write_text("123456789\n" * 5)
    job = Lines(slice_size=100)
    job.upload(path)
    assert [len(records) for records in slices_of(configured_store, job)] == [2, 2, 1]


def test_slices_of_an_iterable_close_at_max_slice_in_order(configured_store):
    penstock.configure(max_slice=60)
    job = Lines(slice_size=100)
    given = [f"{number:09}" for number in range(37)]
    job.upload(given)
    found = slices_of(configured_store, job)
    assert [record for records in found for record in records] == given
    assert max(sum(len(record) + 1 for record in records) for records in found) <= 60


def test_a_record_over_max_record_is_refused_with_its_number(configured_store):
    penstock.configure(max_record=100)
    with pytest.raises(RecordTooLarge, match=r"record 5 .*max_record"):
        Lines().upload(["a", "b", "c", "d", "e" * 101])


def test_a_record_of_a_file_over_max_record_is_refused_with_its_line(configured_store, tmp_path):
    penstock.configure(max_record=100)
    path = tmp_path / "in.txt"
    path.write_text("a\nb\n" + "c" * 101 + "\n")
    with pytest.raises(RecordTooLarge, match=r"in\.txt.*3"):
        Lines().upload(path)


@pytest.mark.parametrize("source", ["file", "iterable"])
def test_a_record_of_exactly_max_record_is_taken(configured_store, tmp_path, source):
    penstock.configure(max_record=100)
    path = tmp_path / "in.txt"
    path.write_text("a" * 100 + "\n")
    assert Lines().upload(path if source == "file" else ["a" * 100]) == 1


def test_max_record_is_about_records_and_not_about_slices(configured_store):
    penstock.configure(max_record=100)
    job = Lines(slice_size=100)
    assert job.upload(["x" * 50] * 100) == 100
    assert [len(records) for records in slices_of(configured_store, job)] == [100]
