"""Real workers, of a server and of a node, that write their spans into a file."""

import json

import pytest
from tests.process.lab import wait_for
from tests.process.yard import open_yard

from penstock.states import State

pytestmark = pytest.mark.process

TRACED = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    from penstock import BatchJob, job

    def provider():
        made = TracerProvider()
        to_line = lambda span: span.to_json(indent=None) + "\\n"
        # Sent in the background, so that those that wait are lost unless the end of the worker sends them.
        exporter = ConsoleSpanExporter(out=open("spans.jsonl", "a"), formatter=to_line)
        made.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
        return made

    class Pay(Job):
        destroy_on_complete = False

        def perform(self):
            Receipt.create()

    class Receipt(Job):
        destroy_on_complete = False

        def perform(self):
            raise ValueError("no paper")
"""
IN_A_SPAN = """
    from jobs import *
    trace.set_tracer_provider(provider())
    with trace.get_tracer("web").start_as_current_span("request"):
        print(Pay.create().id)
"""


def spans(lab):
    path = lab.path("spans.jsonl")
    return {span["name"]: span for span in map(json.loads, path.read_text().splitlines())} if path.exists() else {}


def test_a_request_the_job_it_makes_and_the_job_that_makes_are_one_trace(lab):
    lab.extra["PENSTOCK_TRACING"] = "jobs:provider"
    with open_yard(lab, TRACED) as yard:
        lab.python(IN_A_SPAN)
        server = yard.serve()
        wait_for(lambda: [job["state"] for job in lab.jobs()].count("failed") == 1, "the second job to fail")
        yard.stop(server)
    found = spans(lab)
    request, pay, receipt = (found[name] for name in ("request", "Pay", "Receipt"))
    assert len({span["context"]["trace_id"] for span in found.values()}) == 1
    assert (pay["parent_id"], receipt["parent_id"]) == (request["context"]["span_id"], pay["context"]["span_id"])
    assert pay["attributes"]["penstock.job.state"] == State.COMPLETED
    assert receipt["status"] == {"status_code": "ERROR", "description": "ValueError: no paper"}


def test_a_server_whose_workers_miss_the_library_says_what_to_install(lab):
    lab.module("opentelemetry", "raise ImportError('hidden')")
    lab.extra.update(PENSTOCK_TRACING="jobs:provider", PYTHONPATH=str(lab.folder))
    lab.module("jobs", "from penstock import Job")
    ended = lab.run("--app", "jobs", command="server")
    assert ended.code == 2
    assert "the setting tracing needs an optional library: pip install 'penstock[otel]'" in ended.err
