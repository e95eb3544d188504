"""No request breaks the API, whether its description allows it or not. Long: `python -m tests.web.api`."""

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[3])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

pytest.importorskip("schemathesis")

from tests.web.api.fuzzing import answers_of  # noqa: E402

from penstock import BatchJob, Job  # noqa: E402
from penstock.web.api import api_app  # noqa: E402


class DescribedJob(Job):
    def perform(self):
        return None


class DescribedLines(BatchJob):
    def perform(self, line):
        return line


@pytest.mark.filterwarnings("ignore")  # Those of the libraries that make the requests.
def test_nothing_that_is_sent_breaks_the_api(configured_store, token):
    def sent(case, answer):
        assert answer.status_code < 500, (case.method, case.formatted_path, case.query, case.body, answer.text)

    DescribedJob.create()
    headers = {"Authorization": f"Bearer {token('admin')}"}
    statuses = answers_of(api_app(lambda: configured_store), headers, 3, sent)
    assert statuses[200] > 10
    assert statuses[400] > 10
