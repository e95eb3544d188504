"""Batch jobs whose input and output are in S3 and on an SFTP server."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.streams.test_s3 import Bucket, bucket, server  # noqa: F401  # fixtures
from tests.streams.test_sftp import Server
from tests.streams.test_sftp import server as sftp_server  # noqa: F401

from penstock import BatchJob
from penstock.errors import InputError

LINES = [f"line {number} of some text" for number in range(40_000)]


class Turned(BatchJob, kind="tests.batch.remote.Turned"):
    collect_output = True
    destroy_on_complete = False
    slice_size = 1000

    def perform(self, line):
        return line[::-1]


def turned(source: str, target: str, options: dict[str, Any]) -> Turned:
    job = Turned()
    assert job.upload(source, scheme_options=options) == len(LINES)
    job.perform_now()
    assert job.download(target, scheme_options=options) == len(LINES)
    return job


def test_an_object_of_s3_becomes_another_and_no_secret_is_stored(bucket: Bucket, configured_store):  # noqa: F811
    text = "".join(f"{line}\n" for line in LINES).encode()
    bucket.client.put_object(Bucket="bucket", Key="in.txt", Body=text)
    job = turned("s3://bucket/in.txt", "s3://bucket/out.txt.gz", bucket.options)
    again = Turned()
    again.upload("s3://bucket/out.txt.gz", scheme_options=bucket.options)
    assert list(again.perform_now().output.records()) == LINES
    assert job.input_category.uploads[0].file_name == "s3://bucket/in.txt"
    assert "HIDDEN" not in configured_store.job(job.id).fields


def test_a_download_that_breaks_publishes_no_object(bucket: Bucket, configured_store, monkeypatch):  # noqa: F811
    job = Turned()
    job.upload(LINES)
    job.perform_now()
    monkeypatch.setattr("penstock.batch.download.opened", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        job.download("s3://bucket/out.txt", scheme_options=bucket.options)
    assert (bucket.held(), bucket.uploads()) == ([], 0)


def test_an_object_that_is_not_there_leaves_no_job(bucket: Bucket, configured_store):  # noqa: F811
    with pytest.raises(InputError, match=r"s3://bucket/nowhere\.txt"):
        Turned().upload("s3://bucket/nowhere.txt", scheme_options=bucket.options)
    assert list(configured_store.drafts()) == []


def test_a_file_on_a_server_becomes_another_there(sftp_server: Server, tmp_path: Path, configured_store):  # noqa: F811
    (tmp_path / "in.txt").write_text("\n".join(LINES))
    turned(f"{sftp_server.url}{tmp_path}/in.txt", f"{sftp_server.url}{tmp_path}/out.txt", sftp_server.options)
    assert (tmp_path / "out.txt").read_text().splitlines() == [line[::-1] for line in LINES]
    assert sorted(name for name in os.listdir(tmp_path) if name.endswith(".txt")) == ["in.txt", "out.txt"]
