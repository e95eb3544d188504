"""The kinds: known only where they are asked for, described, and made from the command line."""

import json
import subprocess
import sys

import pytest
from tests.cli.conftest import call  # noqa: F401  (a fixture)

import penstock.jobs
from penstock import BatchJob
from penstock.model.job import Job as AnyJob
from penstock.service.forms import INNER

KINDS = {name: getattr(penstock.jobs, name) for name in penstock.jobs.__all__}
STANDARD = set(BatchJob.model_fields)


@pytest.mark.parametrize("name", KINDS)
def test_every_field_says_what_it_means(name):
    cls = KINDS[name]
    assert issubclass(cls, AnyJob)
    assert [field for field, info in cls.model_fields.items() if not info.description] == []


@pytest.mark.parametrize(
    "words",
    [
        ["DirmonJob", "check_seconds=60"],
        ["Housekeeping", "failed_days=30", "completed_days=null"],
        ["UploadFile", "source=/data/a.csv", "job_kind=Performance", 'properties={"priority": 7}'],
        ["Conversion", "source=a.csv", "target=b.jsonl.gz"],
        ["CopyFile", "source=/data/a", "target=s3://bucket/a"],
        ["OnDemand", "code=return 1"],
        ["OnDemandBatch", "code=return record", "before_code=job.upload(['a'])"],
        ["Performance", "count=1000"],
    ],
    ids=lambda words: words[0],
)
def test_each_is_made_from_the_command_line(call, configured_store, words):  # noqa: F811
    kind, *values = words
    given = [word for value in values for word in ("--set", value)]
    code, out, err = call("jobs", "create", kind, *given, "--app", "penstock.jobs", "--json")
    assert (code, err) == (0, "")
    view = json.loads(out)
    assert (view["kind"], view["state"]) == (kind, "queued")
    for value in values:
        name, _, text = value.partition("=")
        assert getattr(KINDS[kind].query.first(), name) == json_or_text(text)


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"SqlBatch"}))
def test_each_is_described_on_the_command_line_by_what_its_class_says(call, name):  # noqa: F811
    code, out, err = call("jobs", "fields", name, "--app", "penstock.jobs")
    assert (code, err) == (0, "")
    own = [field for field in KINDS[name].model_fields if field not in STANDARD | INNER]
    words = " ".join(out.split())
    assert KINDS[name].__doc__.split(".")[0].split("\n")[0] in out
    for field in own:
        assert field in words
        assert " ".join(KINDS[name].model_fields[field].description.split()) in words


def json_or_text(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_the_base_for_tables_has_no_jobs_of_its_own(call, configured_store):  # noqa: F811
    code, _, err = call("jobs", "create", "penstock.jobs:SqlBatch", "--set", "table=a", "--app", "penstock.jobs")
    assert (code, "only a base" in err) == (2, True)


def test_a_worker_that_was_not_told_of_them_does_not_know_them():
    program = """
import penstock, penstock.server.worker, penstock.server.server, penstock.cli.server
from penstock.model.kinds import known_kinds
print(sorted(known_kinds()))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
