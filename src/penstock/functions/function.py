"""`@job`: a function that can be called, and enqueued."""

import functools
import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from penstock import clock
from penstock.functions import destination
from penstock.functions.arguments import Arguments, Parameters
from penstock.functions.feedback import Feedback
from penstock.functions.handle import Handle
from penstock.functions.job import AsyncFunctionJob, FunctionJob
from penstock.model.metaclass import JobMeta

P = ParamSpec("P")
R = TypeVar("R")
Step = TypeVar("Step", bound=Callable[..., Any])

CLASS_SETTINGS = frozenset({"throttle_running_jobs", "dependent_jobs", "unique_by", "retry_rules", "pausable"})
"""What can be said of a function besides the fields of its jobs: it belongs to the class, not to one job."""
_OF_THE_CALL = ("on_success", "on_error", "durable")
_HIDDEN = frozenset({"runs", "added", "progress", "abort_counts_as", "failed_at_list", "errors", "failures_seen"})


class JobFunction(Generic[P, R]):
    """A function with its job class. Called, it is the function; `enqueue` makes a job of a call."""

    def __init__(
        self,
        function: Callable[P, Any],
        *,
        kind: str | None = None,
        aliases: tuple[str, ...] | list[str] = (),
        backoff: float | str | Callable[[int], float] | None = None,
        **settings: Any,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.backoff = backoff if callable(backoff) else None
        self.callbacks: list[Callable[[Arguments], Any]] = []
        self.errbacks: list[Callable[[Arguments], Any]] = []
        self.parameters = Parameters(function, _is_taken)
        if backoff is not None and not callable(backoff):
            settings["backoff"] = backoff
        _refuse_unknown(function, settings, {*option_names(), *CLASS_SETTINGS})
        parent = AsyncFunctionJob if inspect.iscoroutinefunction(function) else FunctionJob
        body = {
            "__module__": function.__module__,
            "__qualname__": f"{function.__qualname__}.job",
            "__doc__": function.__doc__,
            "__annotations__": dict(self.parameters.annotations),
            **self.parameters.defaults,
            **settings,
            "function": self,
        }
        name = function.__name__
        self.job = cast("type[FunctionJob]", JobMeta(name, (parent,), body, kind=kind or name, aliases=aliases))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now; nothing but the function runs."""
        return cast("R", self.function(*args, **kwargs))

    def __repr__(self) -> str:
        """Return the kind."""
        return f"<job function {self.job.kind}>"

    def callback(self, step: Step) -> Step:
        """Add a step that runs when the function and the callbacks before it have succeeded: a decorator.

        It gets the one mapping that all steps of a run share; see `Arguments`.
        """
        self.callbacks.append(step)
        return step

    def errback(self, step: Step) -> Step:
        """Add a step that runs when the function, or a callback, has raised, each time it does: a decorator.

        It finds the exception in the mapping as `error`. What an errback raises ends the errbacks, is noted in the
        mapping, and changes nothing else. Where one aborts the job (`arguments["job_itself"].abort()`) it is not
        tried again.
        """
        self.errbacks.append(step)
        return step

    def options(self, **options: Any) -> "Call[P, R]":
        """Return the function with options for the jobs that `enqueue` makes.

        Args:
            options: `priority`, `after` (seconds or a timedelta), `run_at`, `period`, `node`, `not_node`, `strict`,
                `heavy`, `on_success`, `on_error`, `retry_limit`, `backoff`, `repeatable`, `durable` (with a
                distributor), and any other field of the job.

        Raises:
            TypeError: there is no such option; the message lists them.
        """
        return Call(self, {}).options(**options)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Store a call as a job, to be run elsewhere: in the current store, or where the running job came from.

        Raises:
            TypeError: the function cannot be called so.
            pydantic.ValidationError: an argument does not fit its annotation, or is of a type that cannot be stored.
        """
        return Call(self, {}).enqueue(*args, **kwargs)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Do as `enqueue`, without holding up the event loop."""
        return await Call(self, {}).aenqueue(*args, **kwargs)


class Call(Generic[P, R]):
    """A job function with options. Calling `options` again makes another, with these and more."""

    def __init__(self, function: JobFunction[P, R], options: Mapping[str, Any]) -> None:
        self.function = function
        self._options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now; options mean nothing then."""
        return self.function(*args, **kwargs)

    def options(self, **options: Any) -> "Call[P, R]":
        """Return the function with these options too.

        Raises:
            TypeError: there is no such option.
        """
        _refuse_unknown(self.function.function, options, option_names())
        if "after" in options and "run_at" in options:
            raise TypeError("options() takes either after= or run_at=")
        return Call(self.function, {**self._options, **options})

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Store a call as a job; see `JobFunction.enqueue`."""
        return destination.current().enqueue(self.made(args, kwargs), self.feedback)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Do as `enqueue`, without holding up the event loop."""
        import asyncio

        return await asyncio.to_thread(self.enqueue, *args, **kwargs)

    def made(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> FunctionJob:
        """Return the job of a call, not stored yet."""
        values = self.function.parameters.fields_of(args, kwargs)
        options = self._options
        for name, value in options.items():
            if name == "after":
                pause = value if isinstance(value, timedelta) else timedelta(seconds=value)
                values["run_at"] = clock.now() + pause
            elif name not in _OF_THE_CALL:
                values[name] = value
        made = self.function.job(**values)
        if made.strict or made.not_node is not None or made.heavy:
            made.bind_to_places()
        return made

    @property
    def durable(self) -> bool:
        """Whether the jobs are to be on disk, where a distributor keeps others in memory."""
        return bool(self._options.get("durable"))

    @property
    def feedback(self) -> Feedback | None:
        """What is to be called with the answer, in the application."""
        on_success, on_error = map(self._options.get, ("on_success", "on_error"))
        return Feedback(on_success, on_error) if on_success or on_error else None


@overload
def job(function: Callable[P, R], /) -> JobFunction[P, R]: ...
@overload
def job(
    *,
    kind: str | None = None,
    aliases: tuple[str, ...] | list[str] = (),
    backoff: float | str | Callable[[int], float] | None = None,
    **settings: Any,
) -> Callable[[Callable[P, R]], JobFunction[P, R]]: ...
def job(function: Any = None, /, **settings: Any) -> Any:
    """Make a job of a function: `@job`, or `@job(retry_limit=10, priority=30)`.

    The parameters become fields of the job, checked when it is enqueued. It stays a plain function. A job that fails
    is tried again `retry_limit` times, 9 by default, each time after a pause that is `backoff` seconds longer.

    Args:
        function: The function, plain or `async`.
        settings: `kind`, the name under which its jobs are stored, the function's own by default; `aliases`, older
            ones; `backoff`, seconds (5 by default), `"growing"`, or a function of the number of the retry; and the
            defaults of any field of its jobs, or class setting such as `throttle_running_jobs`.

    Raises:
        DuplicateKind: another class or function has this kind.
        TypeError: there is no such setting, or a parameter cannot be a field.
    """
    if function is None:
        return lambda decorated: JobFunction(decorated, **settings)
    return JobFunction(function)


def option_names() -> set[str]:
    """Return what `options` takes."""
    return (FunctionJob.model_fields.keys() - _HIDDEN) | {"after", *_OF_THE_CALL}


def _is_taken(name: str) -> bool:
    return hasattr(AsyncFunctionJob, name) or name in FunctionJob.model_fields


def _refuse_unknown(function: Any, given: Mapping[str, Any], known: set[str]) -> None:
    for name in given:
        if name not in known:
            raise TypeError(
                f"{function.__qualname__}: there is no option {name!r}; there are {', '.join(sorted(known))}"
            )
