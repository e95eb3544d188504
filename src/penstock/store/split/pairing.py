"""Which two stores belong together. Each says so itself, so that no process can take another one for it."""

import os

from penstock.errors import ConfigurationError
from penstock.query import Filter, Query
from penstock.store import without_password
from penstock.store.protocol import Store

IDENTITY = "identity"
"""The fact by which a store is known, whatever URL leads to it: digits that no other has."""
SLICES = "slices_store"
"""The fact of a store of jobs that says where its slices are: the identity of that store, and its URL for people."""
JOBS = "slices_of"
"""The fact of a store of slices that says whose they are, in the same way."""


def pair(jobs: Store, slices: Store) -> None:
    """Note in both stores that they belong together; where they do already, only look. Refused, it notes nothing.

    Raises:
        ConfigurationError: the slices of the first are somewhere else, or the second is not for slices of the first.
    """
    noted, owner = jobs.fact(SLICES), slices.fact(JOBS)
    if noted is None:
        _refuse_to_part(jobs)
    elif not _names(noted, slices) and not _is_idle(jobs):
        raise ConfigurationError(
            f"slices_store: {without_password(jobs.url)} has its slices in {_url_in(noted)}, not in "
            f"{without_password(slices.url)}; set slices_store to that one, here and for every server"
        )
    if owner is None or not _names(owner, jobs):
        _refuse_what_is_not_empty(slices)
    _note(slices, JOBS, jobs)
    _note(jobs, SLICES, slices)


def _names(noted: str, store: Store) -> bool:
    return noted.split(maxsplit=1)[0] == store.fact(IDENTITY)


def _note(store: Store, name: str, other: Store) -> None:
    """Note the other store under a name. Of two that do so at once for different ones the later is refused."""
    noted = store.fact(name)
    if noted is not None and not _names(noted, other):
        store.forget_fact(name)
    identity = other.note_fact(IDENTITY, os.urandom(8).hex())
    noted = store.note_fact(name, f"{identity} {without_password(other.url)}")
    if noted.split()[0] != identity:
        raise ConfigurationError(f"{without_password(store.url)} was given to {_url_in(noted)} just now; try again")


def refuse_half(store: Store) -> None:
    """Refuse a store, opened by itself, that has its slices somewhere else, or holds those of another.

    Raises:
        ConfigurationError: it is one of two.
    """
    noted, owner = store.fact(SLICES), store.fact(JOBS)
    if noted is not None:
        if not _is_idle(store):
            raise ConfigurationError(
                f"{without_password(store.url)} has its slices in {_url_in(noted)}: set slices_store to that, as "
                f"PENSTOCK_SLICES_STORE={_url_in(noted)}"
            )
        store.forget_fact(SLICES)
    if owner is not None:
        raise ConfigurationError(
            f"{without_password(store.url)} holds the slices of {_url_in(owner)}: name that one as the store, "
            "and this one as slices_store"
        )


def _is_idle(jobs: Store) -> bool:
    """Tell whether nothing depends on where slices are: there is no batch job, no draft, and no server that lives."""
    batches = Query(filters=(Filter("batch", "eq", True),), limit=1)
    return not (_has_servers(jobs) or jobs.drafts()) and next(jobs.find_jobs(batches), None) is None


def _has_servers(jobs: Store) -> bool:
    return any(jobs.is_present(row.name) is not False for row in jobs.servers())


def _refuse_to_part(jobs: Store) -> None:
    """Refuse to have the slices of a store elsewhere from now on, while somebody keeps or makes them there."""
    shown = without_password(jobs.url)
    if next(jobs.slice_owners(), None) is not None:
        raise ConfigurationError(
            f"slices_store: {shown} holds batch jobs with their slices in itself; download and destroy them first"
        )
    if _has_servers(jobs) or jobs.drafts():
        raise ConfigurationError(f"slices_store: servers or uploads without that setting use {shown}; stop them first")


def _refuse_what_is_not_empty(slices: Store) -> None:
    if next(slices.find_jobs(Query(limit=1)), None) is not None or slices.drafts() or slices.servers():
        owner = slices.fact(JOBS)
        held = f"the slices of {_url_in(owner)}" if owner else "jobs of its own"
        raise ConfigurationError(f"slices_store: {without_password(slices.url)} holds {held}; name an empty store")


def _url_in(noted: str) -> str:
    return noted.partition(" ")[2]
