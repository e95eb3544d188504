"""Pages that list what there is: life cycles, events, errors. `docs/generate.py` writes them."""

import inspect
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from penstock import errors, events
from penstock.states import COMMANDS


def lifecycles_page() -> str:
    """Return the page of life cycles."""
    rows = [f"| `{command}` | {', '.join(states)} | {meaning} |" for command, (states, meaning) in COMMANDS.items()]
    return _page(LIFECYCLES, ("command", "applies when", "what it does"), rows)


LIFECYCLES = """
# Life cycles

Made by `python docs/generate.py`; what jobs may do is drawn from the table of moves in `penstock/states.py`.

## A job

![The states of a job and the moves between them](pictures/job.svg)

A running job can be paused only where its class says `pausable`. Completed and aborted jobs have ended: nothing moves
them on. [Moves](moves.md) has each arrow with its conditions, and what it sets.

## A batch job

![The states of a batch job and the moves between them](pictures/batch-job.svg)

While it runs it is in one of three sub-states: *before* (in `before_batch`), *processing* (its slices), *after* (in
`after_batch`). Where two arrows have the same name, the job goes straight on running unless it counts against a
limit: then it is queued, to be let in again.

## A slice

![The states of a slice](pictures/slice.svg)

A slice that succeeds is removed, and its outputs are stored, in one transaction. One whose worker died is queued
again, and failed after it has killed three. Retrying the job queues what failed, to go on at the failed record.
Whatever state its slices are in, they are gone when the job is aborted or destroyed.

## A server

![The states of a server](pictures/server.svg)

What can be asked of it with `penstock servers`:
"""


def events_page() -> str:
    """Return the page of events."""
    rows = [
        f"| `{event.__name__}` | {_summary(event)} | {_fields(event)} |"
        for event in _subclasses(events.Event)
        if event is not events.JobEvent
    ]
    return _page(EVENTS, ("event", "what happened", "fields"), rows)


def _fields(event: type[Any]) -> str:
    return ", ".join(f"`{name}`" for name in event.__struct_fields__)


EVENTS = """
# Events

Made by `python docs/generate.py` from `penstock/events.py`.

A server publishes what happens as typed events, in its own process. Its log is worded from them. They are of use
where you run a server inside a program of your own, or in tests; to act on a job's moves in your application, use
[hooks](hooks.md).

```python
from penstock.events import JobFailed, publish, subscribed
from penstock.ids import new_id

failures = []
with subscribed(JobFailed, failures.append):
    publish(JobFailed(job_id=new_id(), kind="ReportJob", error="ValueError: no moon"))
assert failures[0].kind == "ReportJob"
```

A subscriber is called in the publisher's thread, in the order of subscription, with events of that type and of its
subtypes: `Event` means all, `JobEvent` those of jobs. One that raises is logged, and disturbs nothing.
"""


def errors_page() -> str:
    """Return the page of errors."""
    rows = [
        f"| `{error.__name__}` | {_summary(error)} | {error.exit_code} | {error.http_status} |"
        for error in (errors.PenstockError, *_subclasses(errors.PenstockError))
    ]
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n")[1].splitlines()
    drawn = [
        "## The tree",
        "",
        "<!-- not run: a tree -->",
        "",
        "```text",
        *(line.removeprefix("    ") for line in tree),
        "```",
        "",
    ]
    return "\n".join([_page(ERRORS, ("error", "meaning", "exit code", "HTTP status"), rows), *drawn])


ERRORS = """
# Errors

Made by `python docs/generate.py` from `penstock/errors.py`.

Whatever Penstock refuses or cannot do is a `PenstockError`. Its message says what happened, where, and what to do
next, in one line. A call that was refused has changed nothing. All are in `penstock.errors`:

```python
from penstock.errors import InvalidMove, PenstockError

assert issubclass(InvalidMove, PenstockError)
```

On the command line the message goes to standard error and the exit code tells the sort: 0 is success, 1 a job that
failed or anything else that did not work, 2 something wrong in what was asked, 3 not possible as things are, 4 not
found, 130 stopped with Ctrl-C. Values that do not fit the fields of a job are pydantic's `ValidationError`.
"""


def _page(introduction: str, columns: tuple[str, ...], rows: Iterable[str]) -> str:
    """Return a page that ends with a table."""
    head = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    return "\n".join([*introduction.strip().splitlines(), "", *head, *rows, ""])


def _subclasses(of: type[Any]) -> Iterator[type[Any]]:
    """Yield the subclasses at any depth that are declared in the same module, in the order of the source."""
    module = sys.modules[of.__module__]
    yield from (
        found
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, of) and found is not of
    )


def _summary(of: type[Any]) -> str:
    return inspect.cleandoc(of.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
