"""`async` functions on nodes: very many at once on one event loop, and no more than were asked for."""

import pytest

from penstock import gather

FOREVER = 60


@pytest.mark.parametrize(("number", "at_once"), [(2000, 2000), (200, 50)])
def test_as_many_async_jobs_as_the_node_may_run_are_there_at_once_in_one_thread(site, number, at_once):
    d = site.distributor()
    site.node("one", d, options=("--workers", "1", "--concurrency", str(at_once)))
    site.ready(d, "one")
    # None of them ends before so many have come.
    answers = gather([d.enqueue(site.meet, at_once) for _ in range(number)], FOREVER)
    assert len({(process, thread) for process, thread, _ in answers}) == 1
    assert max(peak for _, _, peak in answers) == at_once
