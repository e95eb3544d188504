"""Records that failed or were rejected: seen, corrected, rejected, deleted, sent back, without any script."""

import re

import pytest
from tests.web.conftest import perform_stored

from penstock.states import State


class TestFailedRecords:
    def test_a_record_is_seen_corrected_and_the_others_of_its_group_retried(self, visit, shop):
        from penstock.testing import drain

        job = shop.failed_batch()
        page = visit.get(f"/jobs/{job.id}").text
        links = re.findall(r'href="(/jobs/[^"]+/failed/\d+)"', page)
        seen = visit.get(links[0])
        assert "bad 3" in seen.text
        assert "cannot take" in seen.text
        corrected = visit.post(f"{links[0]}/edit", {"record": "3", "text": "good 3"})
        assert "Record 3 is corrected" in corrected.text
        assert "2 slices queued again" in visit.post(f"/jobs/{job.id}/retry-group", {"class_name": "ValueError"}).text
        drain(expect_failures=True)
        assert job.reload().state is State.FAILED
        assert "bad 12" in visit.get(f"/jobs/{job.id}").text

    def test_bytes_that_cannot_be_seen_are_shown_and_come_back_exactly(self, visit, shop):
        record = "bad \x00\x1b[31m \\ \u00e4\t|"
        job = shop.failed_batch([record])
        page = visit.get(f"/jobs/{job.id}/failed/1").text
        assert '<span class="control" title="NUL">\\x00</span>' in page
        assert "\x1b" not in page
        box = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)[1]
        visit.post(f"/jobs/{job.id}/failed/1/edit", {"record": "1", "text": box})
        assert [found.record for found in job.each_failed_record()] == [record]

    def test_an_escape_that_is_none_is_told_and_nothing_stored(self, visit, shop):
        job = shop.failed_batch(["bad"])
        visit.get(f"/jobs/{job.id}/failed/1")
        answer = visit.post(f"/jobs/{job.id}/failed/1/edit", {"record": "1", "text": "a \\q"})
        assert answer.status_code == 400
        assert "a \\q" in answer.text
        assert [found.record for found in job.each_failed_record()] == ["bad"]

    def test_a_record_is_rejected(self, visit, shop):
        job = shop.failed_batch(["bad", "good"])
        visit.get(f"/jobs/{job.id}/failed/1")
        assert "is rejected" in visit.post(f"/jobs/{job.id}/failed/1/reject", {"record": "1"}).text

    def test_a_record_is_deleted_once_that_is_confirmed_and_the_audit_tells_what_it_was(self, visit, shop):
        job = shop.failed_batch(["bad <b>", "good"])
        page = visit.get(f"/jobs/{job.id}/failed/1").text
        assert f'formaction="/jobs/{job.id}/failed/1/delete"' in page
        place = f"/jobs/{job.id}/failed/1/delete"
        assert "Delete record 1?" in visit.post(place, {"record": "1"}).text
        assert [found.record for found in job.each_failed_record()] == ["bad <b>"]
        assert "is deleted" in visit.post(place, {"record": "1", "confirmed": "yes"}).text
        assert list(job.each_failed_record()) == []
        assert "bad &lt;b&gt;" in visit.get("/audit").text
        visit.post(f"/jobs/{job.id}/retry")
        perform_stored()
        assert job.reload().state is State.COMPLETED
        assert list(job.output.records()) == ["doog"]

    def test_who_may_not_correct_records_may_not_delete_one(self, visitor, shop):
        job = shop.failed_batch(["bad"])
        manager = visitor("manager")
        answer = manager.post(f"/jobs/{job.id}/failed/1/delete", {"record": "1", "confirmed": "yes"})
        assert answer.status_code == 403
        assert [found.record for found in job.each_failed_record()] == ["bad"]


class TestRejectedRecords:
    @pytest.fixture
    def job(self, shop):
        """A job of whose three records the first was rejected, completed."""
        job = shop.failed_batch(["bad", "one", "two"])
        job.reject_failed(1).retry()
        perform_stored()
        return job.reload()

    def test_they_come_back_corrected_and_their_results_are_in_their_place(self, visit, job):
        page = visit.get(f"/jobs/{job.id}").text
        assert "Perform them again" in page
        rejects = visit.client.get(re.search(r'href="(/jobs/[^"]+/download/rejects)"', page)[1])
        assert rejects.headers["content-disposition"].endswith('rejects.csv"')
        corrected = rejects.content.replace(b",bad", b",good")
        answer = visit.send(f"/jobs/{job.id}/resubmit", {}, "rejects.csv", corrected)
        assert "1 record is performed again." in answer.text
        perform_stored()
        assert job.reload().state is State.COMPLETED
        assert list(job.output.records()) == ["doog", "eno", "owt"]
        assert "Perform them again" not in visit.get(f"/jobs/{job.id}").text

    def test_compressed_they_are_read_as_they_are(self, visit, job):
        import gzip

        lines = gzip.compress(b'{"record_number": 1, "record": "good"}\n')
        assert "1 record is" in visit.send(f"/jobs/{job.id}/resubmit", {}, "rejects.jsonl.gz", lines).text

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("rejects.csv", b"record_number,record\n2,good\n"),
            ("rejects.csv", b"number\n1\n"),
            ("rejects.csv", b"\xff\xfe\x00"),
            ("rejects.csv", b"record_number,record\n1,\xff\xfe\n"),
            ("rejects.jsonl", b"{"),
            ("rejects.jsonl", b"[1]"),
            ("rejects.jsonl.gz", b"no gzip"),
            ("rejects.xlsx", b"no xlsx"),
        ],
    )
    def test_a_file_that_is_none_of_theirs_is_refused_and_nothing_changed(self, visit, job, name, data):
        assert visit.send(f"/jobs/{job.id}/resubmit", {}, name, data).status_code == 400
        assert job.reload().state is State.COMPLETED

    def test_without_a_file_nothing_is_done(self, visit, job):
        assert "No file was chosen" in visit.send(f"/jobs/{job.id}/resubmit", {}, "", b"").text

    def test_it_takes_a_form_of_this_session_and_the_role(self, visit, visitor, job):
        parts = [("token", (None, "0" * 64)), ("file", ("rejects.csv", b"record_number,record\n1,good\n"))]
        assert visit.client.post(f"/jobs/{job.id}/resubmit", files=parts).status_code == 403
        manager = visitor("manager")
        assert "Perform them again" not in manager.get(f"/jobs/{job.id}").text
        answer = manager.send(f"/jobs/{job.id}/resubmit", {}, "rejects.csv", b"record_number,record\n1,good\n")
        assert answer.status_code == 403
        assert job.reload().state is State.COMPLETED
