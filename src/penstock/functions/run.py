"""One run of a job function: the function, then its callbacks; where one raises, its errbacks.

The order is written once, as a generator that gives out each call and is sent what came of it; who drives it calls,
or calls and awaits.
"""

import inspect
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.functions.arguments import Arguments

if TYPE_CHECKING:
    from penstock.functions.job import FunctionJob

Plan = Generator[Callable[[], Any], Any, Any]


def plan(job: "FunctionJob") -> Plan:
    """Yield the calls of a run in their order; returns what the function returned."""
    function = job.function
    arguments = Arguments(function.parameters.arguments_of(job), job)
    if job.added:
        job.added = {}  # Of an earlier try.
    try:
        arguments["result"] = yield partial(function.parameters.call, function.function, arguments)
        yield from _steps(job, function.callbacks, arguments)
    except BaseException as error:
        job.forget_moves()  # As for any job: what raises does not take effect.
        arguments["error"] = error
        try:
            yield from _steps(job, function.errbacks, arguments)
        except Exception as worse:
            arguments["errback_error"] = worse
            arguments["errback_error_text"] = f"{type(worse).__name__}: {worse}"
        job.note_added(arguments)
        if not job.has_moved:
            raise
        job.keep_failure(error)
        return None
    job.note_added(arguments)
    job.end_run()
    return arguments.get("result")


def _steps(job: "FunctionJob", steps: list[Callable[[Arguments], Any]], arguments: Arguments) -> Plan:
    for step in steps:
        if job.has_moved:
            return
        yield partial(step, arguments)


def drive(steps: Plan) -> Any:
    """Make the calls of a plan; what is `async` runs on the event loop of this process."""
    try:
        call = next(steps)
        while True:
            try:
                value = call()
                if inspect.iscoroutine(value):
                    from penstock.model.event_loop import finish

                    value = finish(value)
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(value)
    except StopIteration as end:
        return end.value


async def drive_async(steps: Plan) -> Any:
    """Make the calls of a plan on this event loop; what is `async` is awaited."""
    try:
        call = next(steps)
        while True:
            try:
                value = call()
                if inspect.isawaitable(value):
                    value = await value
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(value)
    except StopIteration as end:
        return end.value
