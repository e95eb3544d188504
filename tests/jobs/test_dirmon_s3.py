"""Watched folders of an object store, where nobody sees half a file."""

import pytest
from tests.streams.test_s3 import Bucket, bucket, server  # noqa: F401  (fixtures)

import penstock
from penstock import BatchJob
from penstock.errors import ConfigurationError
from penstock.jobs import DirmonJob, UploadFile
from penstock.jobs.archiving import bring_in
from penstock.jobs.entries import check_entry
from penstock.jobs.sights import Sight
from penstock.streams import file_system

DONE = []


class Load(BatchJob, kind="tests.jobs.s3.Load"):
    def perform(self, line):
        DONE.append(line)


@pytest.fixture
def s3(bucket: Bucket, monkeypatch):  # noqa: F811
    """Return the bucket, which the environment tells how to reach; `in/` of it may be watched."""
    DONE.clear()
    for name, value in {
        "AWS_ENDPOINT": bucket.options["endpoint"],
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }.items():
        monkeypatch.setenv(name, value)
    penstock.configure(allowed_roots=["s3://bucket/in"])
    return bucket


@pytest.mark.parametrize("name", ["a.csv", "ä b.csv", "100%.csv", "what?.csv", "a#1.csv"])
def test_an_object_starts_at_the_first_look_and_is_archived(s3, watch, driver, name):
    watch("s3://bucket/in/*.CSV", Load.kind)
    s3.client.put_object(Bucket="bucket", Key=f"in/{name}", Body=b"one\ntwo\n")
    s3.client.put_object(Bucket="bucket", Key="in/archive/old.csv", Body=b"old\n")
    DirmonJob.ensure()
    driver.run()
    assert DONE == ["one", "two"]
    assert UploadFile.query.count() == 0
    (archived,) = [key for key in s3.held() if "old" not in key]
    assert (archived[:11], archived[48:]) == ("in/archive/", name)


def test_a_move_that_was_killed_after_its_copy_is_ended(s3):
    for key in ("in/a.csv", "in/archive/x_a.csv"):
        s3.client.put_object(Bucket="bucket", Key=key, Body=b"one\n")
    place = "s3://bucket/in/a.csv"
    with file_system(place) as files:
        found = files.entry(place)
    sight = Sight(found.size, found.modified)
    assert bring_in(place, "s3://bucket/in/archive/x_a.csv", sight, is_copied=False, note_copying=lambda: None)
    assert s3.held() == ["in/archive/x_a.csv"]


@pytest.mark.parametrize(
    "pattern",
    [
        "s3://bucket/other/*",
        "s3://bucket/in2/*",
        "s3://other/in/*",
        "s3://bucket/in/../x/*",
        "s3://bucket/in/%2e%2e/x/*",
    ],
)
def test_what_lies_outside_the_root_is_refused(s3, pattern):
    with pytest.raises(ConfigurationError, match="does not lie in allowed_roots"):
        check_entry({"name": "a", "pattern": pattern, "kind": Load.kind})
