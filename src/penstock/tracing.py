"""Trace contexts: where a job was made is stored with it, as the `traceparent` of W3C Trace Context, version 00.

OpenTelemetry is not imported here before the program has imported it, and without it nothing is stored.
https://www.w3.org/TR/trace-context/#traceparent-header
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

FIELD = "traceparent"
"""Its name in the document of a job, beside the fields of its class."""


def current() -> str | None:
    """Return the context of the span that is current here; None where there is none."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry.trace import get_current_span

    here = get_current_span().get_span_context()
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}" if here.is_valid else None


def with_context(document: str) -> str:
    """Return the document of a new job, a JSON object, with the context in it where there is one."""
    here = current()
    if here is None:
        return document
    rest = "}" if document == "{}" else f",{document[1:]}"
    return f'{{"{FIELD}":"{here}"{rest}'


@contextmanager
def detached() -> Iterator[None]:
    """Make jobs that belong to no trace: a schedule would be one that never ends."""
    if current() is None:
        yield
        return
    from opentelemetry import context

    token = context.attach(context.Context())
    try:
        yield
    finally:
        context.detach(token)
