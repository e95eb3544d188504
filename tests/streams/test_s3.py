import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("obstore")
moto = pytest.importorskip("moto.server")

from tests.streams.cases import peaks  # noqa: E402

from penstock.errors import ConfigurationError, InputError, OutputError  # noqa: E402
from penstock.streams import file_system, open_reader, open_writer  # noqa: E402
from penstock.streams.schemes import s3  # noqa: E402

TEXT = b"".join(b"%d,some text\n" % number for number in range(100_000))


class Bucket:
    """A bucket of a server in this process, and what it holds."""

    def __init__(self, port: int) -> None:
        import boto3

        self.options = {
            "endpoint": f"http://127.0.0.1:{port}",
            "region": "us-east-1",
            "access_key_id": "AKIDHIDDEN",
            "secret_access_key": "HIDDEN",
        }
        self.client = boto3.client(
            "s3",
            endpoint_url=self.options["endpoint"],
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )

    def held(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket="bucket").get("Contents", [])]

    def uploads(self) -> int:
        return len(self.client.list_multipart_uploads(Bucket="bucket").get("Uploads", []))


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    made = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    bucket = Bucket(made.get_host_and_port()[1])
    yield bucket
    made.stop()
    bucket.client.close()


@pytest.fixture
def bucket(server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(s3, "_PART", 5 << 20)
    server.client.create_bucket(Bucket="bucket")
    yield server
    for key in server.held():
        server.client.delete_object(Bucket="bucket", Key=key)


def write(bucket: Bucket, url: str, *chunks: bytes, error: Exception | None = None) -> None:
    with open_writer(url, scheme_options=bucket.options) as writer:
        for chunk in chunks:
            writer.write(chunk)
        if error:
            raise error


def read(bucket: Bucket, url: str, **options: Any) -> bytes:
    with open_reader(url, scheme_options={**bucket.options, **options}) as reader:
        return reader.read()


@pytest.mark.parametrize("data", [b"", b"a", TEXT, os.urandom(12 << 20)], ids=len)
def test_what_is_written_is_read_back(bucket: Bucket, data: bytes):
    for url in ("s3://bucket/a.csv", "s3://bucket/in/ä b%25.csv.gz"):
        write(bucket, url, data)
        assert read(bucket, url) == data
    assert bucket.held() == ["a.csv", "in/ä b%.csv.gz"]
    assert bucket.uploads() == 0


def test_the_object_is_there_on_commit_and_not_before(bucket: Bucket):
    with open_writer("s3://bucket/a.csv", scheme_options=bucket.options) as writer:
        writer.write(os.urandom(12 << 20))
        writer.flush()
        assert bucket.held() == []
        assert bucket.uploads() == 1
    assert bucket.held() == ["a.csv"]


@pytest.mark.parametrize("size", [10, 12 << 20])
def test_an_error_in_the_middle_publishes_nothing_and_leaves_no_parts(bucket: Bucket, size: int):
    write(bucket, "s3://bucket/a.csv", b"old")
    with pytest.raises(ZeroDivisionError):
        write(bucket, "s3://bucket/a.csv", os.urandom(size), error=ZeroDivisionError())
    open_writer("s3://bucket/b.csv", scheme_options=bucket.options).write(os.urandom(size))  # and forgotten
    assert bucket.held() == ["a.csv"]
    assert read(bucket, "s3://bucket/a.csv") == b"old"
    assert bucket.uploads() == 0


def test_what_is_missing_or_not_reached_is_told_without_credentials(bucket: Bucket):
    with pytest.raises(InputError, match=r"^s3://bucket/gone.csv: there is no such file"):
        read(bucket, "s3://bucket/gone.csv")
    with pytest.raises(OutputError, match=r"^s3://nobucket/a.csv: ") as refusal:
        write(bucket, "s3://nobucket/a.csv", os.urandom(12 << 20))
    assert "HIDDEN" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_credentials_in_the_url_and_unknown_options_are_refused(bucket: Bucket):
    with pytest.raises(
        ConfigurationError, match=r"^s3://bucket/a: write s3://bucket/key; credentials go to"
    ) as refusal:
        read(bucket, "s3://key:HIDDEN@bucket/a")
    assert "HIDDEN" not in str(refusal.value)
    with pytest.raises(ConfigurationError, match="s3 has no option 'secret'; known are: endpoint, region"):
        read(bucket, "s3://bucket/a", secret="HIDDEN")


def test_what_is_not_given_is_taken_from_the_environment(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    write(bucket, "s3://bucket/a.csv", TEXT)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with open_reader("s3://bucket/a.csv", scheme_options={"endpoint": bucket.options["endpoint"]}) as reader:
        assert reader.read() == TEXT


def test_a_zip_is_read_although_the_place_cannot_seek(bucket: Bucket):
    write(bucket, "s3://bucket/a.csv.zip", TEXT)
    assert read(bucket, "s3://bucket/a.csv.zip") == TEXT


def test_files_are_found_moved_and_deleted(bucket: Bucket):
    for name in ("in/a.csv", "in/B.CSV", "in/c.txt", "in/.d.csv", "in/x/e.csv", "inner.csv", "z.csv"):
        write(bucket, f"s3://bucket/{name}", b"text")
    with file_system("s3://bucket/", bucket.options) as files:

        def found(pattern: str) -> list[str]:
            return sorted(
                entry.place.removeprefix("s3://bucket/") for entry in files.children(f"s3://bucket/{pattern}")
            )

        assert found("in/*.csv") == ["in/B.CSV", "in/a.csv"]
        assert found("in/**/*.csv") == ["in/B.CSV", "in/a.csv", "in/x/e.csv"]
        assert found("*.csv") == ["inner.csv", "z.csv"]
        assert found("in/a.csv") == ["in/a.csv"]
        assert next(files.children("s3://bucket/z.csv")).size == files.size("s3://bucket/z.csv") == 4
        files.move("s3://bucket/z.csv", "s3://bucket/done/z.csv")
        assert not files.exists("s3://bucket/z.csv")
        assert files.exists("s3://bucket/done/z.csv")
        files.delete("s3://bucket/done/z.csv")
        files.delete("s3://bucket/done/z.csv")
        assert not files.exists("s3://bucket/done/z.csv")
        with pytest.raises(ConfigurationError, match="within their bucket only"):
            files.move("s3://bucket/a", "s3://other/a")


def test_any_key_that_is_found_can_be_opened(bucket: Bucket):
    keys = ["in/50% off?.csv", "in/a#b c+d.csv", "in/ä.csv"]
    for key in keys:
        bucket.client.put_object(Bucket="bucket", Key=key, Body=key.encode())
    with file_system("s3://bucket/", bucket.options) as files:
        places = [entry.place for entry in files.children("s3://bucket/in/*.csv")]
    assert sorted(read(bucket, place).decode() for place in places) == sorted(keys)


def test_a_stream_left_in_the_middle_is_closed(bucket: Bucket, tmp_path: Path):
    write(bucket, "s3://bucket/a.csv", TEXT)
    reader = open_reader("s3://bucket/a.csv", scheme_options=bucket.options)
    assert reader.read(10) == TEXT[:10]
    reader.close()
    assert isinstance(reader, io.BufferedReader)


@pytest.mark.process
@pytest.mark.linux
def test_memory_does_not_grow_with_the_file(bucket: Bucket):
    few, many = (peaks("s3://bucket/large", megabytes, bucket.options) for megabytes in (40, 90))
    assert all(large - small < 20_000 for small, large in zip(few, many, strict=True))
