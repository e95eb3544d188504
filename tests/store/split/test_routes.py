"""A store in two does all that a store does, each method in one place."""

import inspect

from penstock.store.protocol import Store
from penstock.store.split.store import OF_JOBS, OF_SLICES, SplitStore


def test_every_method_of_the_protocol_is_done_by_one_store_the_other_or_both():
    wanted = {name for name in dir(Store) if not name.startswith("_")}
    own = {name for name in vars(SplitStore) if not name.startswith("_")}
    assert sorted([*OF_JOBS, *OF_SLICES, *own]) == sorted(wanted)


def test_each_method_of_its_own_takes_what_the_protocol_says():
    own = {name: method for name, method in vars(SplitStore).items() if not name.startswith("_") and callable(method)}
    told = {name: list(inspect.signature(method).parameters) for name, method in own.items()}
    assert told == {name: list(inspect.signature(getattr(Store, name)).parameters) for name in own}
