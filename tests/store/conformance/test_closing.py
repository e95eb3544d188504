"""A store that was closed refuses, and opens nothing again."""

import pytest

from penstock.errors import StoreClosed
from penstock.query import Query
from penstock.store import Topic, close_stores


@pytest.mark.parametrize(
    "ask",
    [
        lambda store, row: store.count_jobs(Query()),
        lambda store, row: store.insert_jobs([row]),
        lambda store, row: store.listen(Topic.WORK, print),
    ],
    ids=["read", "write", "listen"],
)
def test_a_closed_store_says_so(store, new_row, ask):
    close_stores()
    with pytest.raises(StoreClosed, match="the store is closed"):
        ask(store, new_row())


def test_one_that_is_closed_twice_stays_closed(store):
    store.close()
    store.close()
    with pytest.raises(StoreClosed):
        store.count_jobs(Query())
