"""Spans around `perform`, in the trace in which the job was made; with the SDK of OpenTelemetry itself."""

import json
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import penstock
from penstock import BatchJob, Cron, Job, Retry, field
from penstock.errors import ConfigurationError, MissingExtra
from penstock.keyring import Keyring
from penstock.server import spans as spans_of_workers
from penstock.store import current_store
from penstock.testing import drain

EXPORTER = InMemorySpanExporter()
PROVIDER = TracerProvider()
PROVIDER.add_span_processor(SimpleSpanProcessor(EXPORTER))


class Pay(Job, kind="spans.Pay"):
    amount: int = 1

    def perform(self):
        if self.amount < 0:
            raise ValueError(f"{self.amount} is no amount")


class Order(Job, kind="spans.Order"):
    def perform(self):
        Pay.create()


class Remember(Job, kind="spans.Remember"):
    async def perform(self):
        Pay.create()


class Turn(BatchJob, kind="spans.Turn"):
    slice_size = 2
    collect_output = True

    def perform(self, line):
        if line == "bad":
            raise ValueError("a bad line")
        return line[::-1]


class Again(Retry, kind="spans.Again"):
    retry_limit = 3

    def perform(self):
        raise OSError("not yet")


class UnspeakableError(Exception):
    def __str__(self):
        raise ValueError("worse")


class Mute(Job, kind="spans.Mute"):
    def perform(self):
        raise UnspeakableError


class Secret(Job, kind="spans.Secret"):
    number: str = field("4711", encrypted=True)

    def perform(self):
        raise ValueError(f"{self.number} is refused")


class Nightly(Cron, kind="spans.Nightly"):
    cron_schedule = "0 1 * * *"

    def perform(self):
        Pay.create()


class Named(Job, kind="spans.Named"):
    traceparent: str = "of its own"

    def perform(self):
        pass


@pytest.fixture(scope="module", autouse=True)
def _provider():
    """A process has one provider for good."""
    trace.set_tracer_provider(PROVIDER)


@pytest.fixture
def spans(penstock_store):
    """Return a function that gives the spans that have ended, by their names."""
    EXPORTER.clear()
    return lambda: {span.name: span for span in EXPORTER.get_finished_spans()}


@pytest.fixture
def request_span():
    with trace.get_tracer("web").start_as_current_span("request") as span:
        yield span


def is_child(span, parent):
    return span.parent.span_id == parent.get_span_context().span_id and (
        span.context.trace_id == parent.get_span_context().trace_id
    )


def test_a_job_made_in_a_span_is_performed_in_a_child_of_it(spans, request_span):
    job = Pay.create(priority=7)
    with trace.use_span(trace.INVALID_SPAN):
        drain()
    span = spans()["spans.Pay"]
    assert is_child(span, request_span)
    assert span.attributes == {
        "penstock.job.id": str(job.id),
        "penstock.job.kind": "spans.Pay",
        "penstock.job.attempt": 1,
        "penstock.job.priority": 7,
        "penstock.job.state": "completed",
    }
    assert span.status.status_code is StatusCode.UNSET


def test_the_context_is_stored_beside_the_fields_of_the_job(penstock_store, request_span):
    stored = json.loads(current_store().job(Pay.create().id).fields)
    here = request_span.get_span_context()
    assert stored["traceparent"] == f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"
    assert stored["amount"] == 1


def test_without_a_span_nothing_is_stored_and_the_run_is_a_trace_of_its_own(spans):
    job = Pay.create()
    assert "traceparent" not in json.loads(current_store().job(job.id).fields)
    drain()
    assert spans()["spans.Pay"].parent is None


def test_an_exception_whose_text_cannot_be_made_is_told_by_what_was_described(spans):
    job = Mute.create()
    drain(expect_failures=True)
    assert job.reload().state == "failed"
    (event,) = spans()["spans.Mute"].events
    assert event.attributes["exception.type"].endswith("UnspeakableError")


@pytest.mark.parametrize("cls", [Order, Remember])
def test_a_job_that_a_job_makes_is_in_its_trace(spans, cls):
    cls.create()
    drain()
    assert is_child(spans()["spans.Pay"], spans()[cls.kind])


def test_a_failure_is_recorded_with_its_words(spans):
    Pay.create(amount=-1)
    drain(expect_failures=True)
    span = spans()["spans.Pay"]
    assert span.attributes["penstock.job.state"] == "failed"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError: -1 is no amount")
    assert span.events[0].attributes["exception.message"] == "-1 is no amount"


def test_each_try_has_a_span_of_its_own(spans):
    Again.create()
    drain(expect_failures=True)
    span = spans()["spans.Again"]
    assert (span.attributes["penstock.job.attempt"], span.attributes["penstock.job.state"]) == (1, "queued")
    assert span.status.status_code is StatusCode.ERROR


def test_of_a_sealed_job_the_class_of_the_error_is_told_and_nothing_else(spans, tmp_path):
    Keyring.generate().save(tmp_path / "keys.toml")
    penstock.configure(keyring=str(tmp_path / "keys.toml"))
    Secret.create()
    drain(expect_failures=True)
    span = spans()["spans.Secret"]
    assert span.status.description == "ValueError"
    assert "4711" not in span.to_json()


def test_each_slice_of_a_batch_job_has_a_span(spans, request_span):
    job = Turn()
    job.upload(iter(["one", "two", "bad", "four"]))
    job.save()
    with trace.use_span(trace.INVALID_SPAN):
        drain(expect_failures=True)
    first, second = [span for span in EXPORTER.get_finished_spans() if span.name == "spans.Turn"]
    assert is_child(first, request_span)
    assert is_child(second, request_span)
    numbers, states = (
        [span.attributes[f"penstock.slice.{name}"] for span in (first, second)] for name in ("first_record", "state")
    )
    assert (numbers, states) == ([1, 3], ["done", "failed"])


def test_the_next_instance_of_a_schedule_is_in_no_trace(spans, request_span):
    Nightly.create(run_at=penstock.clock.now())
    drain()
    (following,) = Nightly.query.queued
    assert "traceparent" not in json.loads(following.row.fields)


def test_a_field_of_that_name_stays_as_it_is(spans, request_span):
    Named.create()
    with trace.use_span(trace.INVALID_SPAN):
        drain()
    assert spans()["spans.Named"].parent is None


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("no_such_module:x", "no module 'no_such_module'"),
        ("json:dumps", "raised TypeError"),
        ("os:getpid", "a TracerProvider is wanted"),
        ("words", "write it as module:function"),
    ],
)
def test_a_setting_that_gives_no_provider_is_refused_by_name(source, says):
    with pytest.raises(ConfigurationError, match=f"setting tracing: {source}.*{says}"):
        spans_of_workers.set_up(source)


def test_without_the_library_the_setting_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtra, match=r"the setting tracing needs .*: pip install 'penstock\[otel\]'"):
        spans_of_workers.set_up("json:dumps")


def test_nothing_of_it_is_imported_by_making_and_performing_jobs(tmp_path):
    program = (
        "import sys\nfrom penstock import Job, configure\nfrom penstock.testing import drain\n"
        "configure(store='sqlite://')\n"
        "class Plain(Job):\n    def perform(self): pass\n"
        "Plain.create(); assert drain().completed == 1\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
