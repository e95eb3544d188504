"""Records of one slice performed at the same time, by a `perform` that is `async`.

All coroutines of a process run on one event loop, in a thread of its own: clients with connections of their own, made
in one slice, are good for all others.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from penstock.batch.positions import performed_position
from penstock.model.attempt import around, run_hooks
from penstock.model.event_loop import finish, within
from penstock.states import State

if TYPE_CHECKING:
    from penstock.batch.job import BatchJob

Reject = Callable[[int, BaseException], Any]
"""Makes what stands in the place of a result, from a position and an exception."""


def perform_concurrently(
    job: "BatchJob",
    rows: Iterable[Any],
    results: list[Any],
    reject: Reject,
    rejects: Callable[[BaseException], bool] | None,
) -> BaseException | None:
    """Add the result of each record, `job.records_at_once` of them under way at once; return what ended it early.

    What has ended behind the first record that fails is given up, what has not is cancelled: they run again with it.
    """
    try:
        return finish(_perform(job, rows, results, reject, rejects))
    except BaseException as error:
        return error


async def _perform(
    job: "BatchJob",
    rows: Iterable[Any],
    results: list[Any],
    reject: Reject,
    rejects: Callable[[BaseException], bool] | None,
) -> BaseException | None:
    begun = len(results)
    ended: dict[int, Any] = {}
    failed: dict[int, BaseException] = {}
    source = _numbered(rows, begun)

    async def work() -> None:
        for position, row, wrong in source:  # One source for all of them: each takes the next.
            if wrong is not None:
                failed[position] = wrong
            if failed and position >= min(failed):
                return
            performed_position.set(position)
            try:
                ended[position] = await within(_between_hooks(job, row), job.timeout)
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                    raise  # Unless it was the code of the record that raised it, or something that it awaits.
                if rejects is None or not rejects(error):
                    failed[position] = error
                    return
                ended[position] = reject(position, error)

    workers = [asyncio.create_task(work()) for _ in range(job.records_at_once)]
    try:
        await _all_before_failure(workers, begun, ended, failed)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    stop = min(failed, default=begun + len(ended))
    results += [ended[position] for position in range(begun, stop)]
    return failed.get(stop)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _all_before_failure(
    workers: "list[asyncio.Task[None]]", begun: int, ended: dict[int, Any], failed: dict[int, BaseException]
) -> None:
    """Wait until all is done, or all that comes before the first that failed."""
    waiting = set(workers)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for worker in done:
            worker.result()
        if failed and all(position in ended for position in range(begun, min(failed))):
            return


def _numbered(rows: Iterable[Any], begun: int) -> Iterator[tuple[int, Any, BaseException | None]]:
    """Yield records with their positions; one that cannot be read comes with why, and is the last."""
    iterator = iter(rows)
    for position in count(begun):
        try:
            row = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            yield position, None, error
            return
        yield position, row, None


async def _between_hooks(job: "BatchJob", row: Any) -> Any:
    if not job.has_perform_hooks:
        return await job.perform(row)
    value = None
    run_hooks(job, "before_perform")
    if job.state is State.RUNNING:
        with around(job, "around_perform"):
            value = await job.perform(row)
            job.check_storable(value)
        run_hooks(job, "after_perform")
    return value
