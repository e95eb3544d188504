"""The search for garbage, in processes that make and drop very many objects which need none."""

import gc


def search_less() -> None:
    """Leave what is imported out of the search, and search after 10,000 objects rather than 700.

    Nearly all that a server makes goes by its reference counts. What is left in rings waits a little longer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
