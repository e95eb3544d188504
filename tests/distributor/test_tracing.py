"""Spans of what nodes perform, in the trace of the application that enqueued it."""

import json

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

FOREVER = 60
PROVIDER = """
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    def provider():
        made = TracerProvider()
        to_line = lambda span: span.to_json(indent=None) + "\\n"
        exporter = ConsoleSpanExporter(out=open("spans.jsonl", "a"), formatter=to_line)
        made.add_span_processor(SimpleSpanProcessor(exporter))
        return made
"""
REQUEST = NonRecordingSpan(SpanContext(0x0123456789ABCDEF, 0x4711, is_remote=False, trace_flags=TraceFlags(1)))


@pytest.mark.parametrize(("name", "arguments"), [("parent", ["log.txt", ["a", "b"]]), ("adouble", [4])])
def test_what_a_node_performs_and_what_that_enqueues_are_in_the_trace_of_the_application(site, name, arguments):
    site.lab.module("traced", PROVIDER)
    site.lab.extra["PENSTOCK_TRACING"] = "traced:provider"
    d = site.distributor()
    site.node("one", d)
    with use_span(REQUEST):
        first = d.enqueue(getattr(site, name), *arguments)
    first.result(FOREVER)
    d.stop()  # Which waits for the jobs that were enqueued meanwhile.
    spans = [json.loads(line) for line in site.lab.path("spans.jsonl").read_text().splitlines()]
    assert {span["context"]["trace_id"] for span in spans} == {"0x00000000000000000123456789abcdef"}
    ids = {span["name"]: span["context"]["span_id"] for span in spans}
    parents = {span["name"]: span["parent_id"] for span in spans}
    assert parents.pop(name) == "0x0000000000004711"
    assert set(parents.values()) <= {ids[name]}
