"""Lists of jobs in pages, which cost the same however many jobs there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from penstock.errors import InvalidQuery
from penstock.ids import parse_id
from penstock.model.kinds import known_kinds
from penstock.query import COLUMNS, Filter
from penstock.service.conditions import parse_conditions
from penstock.service.holding import why_waiting
from penstock.service.jobs import View, line_of_job, progress_of
from penstock.store.browsing import Listing, Page, Wanted
from penstock.store.protocol import Store
from penstock.store.rows import JobRow

PAGE = 50
"""Jobs of a page where nobody asks for another number."""
MOST_PAGE = 500
SCANNED = 1_000
"""Jobs that are looked through for what no index leads to, before a page says how far it got."""
SORTED = 2_000
"""Jobs of a list that are sorted by a field; of a longer one the first."""
COUNTED = 10_000
"""Where counting stops."""


@dataclass(frozen=True, slots=True)
class ListAsked:
    """Which page of which list."""

    listing: str = Listing.ALL
    """One of `Listing`."""
    kinds: Sequence[str] = ()
    where: Sequence[str] = ()
    """Conditions as `priority__lt=50`, on any field."""
    search: str | None = None
    """Text in the kind or description, or the id of a job."""
    order: str | None = None
    """A field, with `-` before it for descending. None: the list's own order. `id` and `-id` hold for all jobs."""
    after: str | None = None
    """`next` of the page before."""
    limit: int = PAGE


def page_of_jobs(store: Store, asked: ListAsked | None = None) -> View:
    """Return a page of a list: `jobs`, where the `next` page begins, and `notes` for people.

    There may be fewer jobs than `limit`, and more behind `next`: what no index leads to is looked for among so many
    jobs at a time, and the notes say so.

    Raises:
        InvalidQuery: what is asked means nothing.
    """
    asked = asked or ListAsked()
    listing = _listing_named(asked.listing)
    if not 1 <= asked.limit <= MOST_PAGE:
        raise InvalidQuery(f"limit={asked.limit}: from 1 to {MOST_PAGE}")
    wanted = _wanted(asked)
    one = _asked_by_id(store, asked)
    if one is not None:
        page, notes = Page([one], None), list[str]()
    elif asked.order not in (None, "id", "-id") or (asked.order and listing is not Listing.ALL):
        page, notes = _sorted(store, listing, wanted, asked)
    else:
        newest = asked.order != "id"
        page = store.browse(listing, wanted, after=asked.after, limit=asked.limit, scan=SCANNED, newest=newest)
        notes = _notes(store, wanted, page, asked.limit)
    reasons = why_waiting(store, page.rows)
    jobs = [{**line_of_job(row), "why_waiting": reasons[row.id], **progress_of(store, row)} for row in page.rows]
    return {"listing": str(listing), "jobs": jobs, "next": page.next, "notes": notes}


def rows_of_list(store: Store, asked: ListAsked) -> Page:
    """Return a page of a list, in its own order, as rows. Raises as `page_of_jobs` does."""
    return store.browse(
        _listing_named(asked.listing), _wanted(asked), after=asked.after, limit=asked.limit, scan=SCANNED
    )


def counts_of_jobs(store: Store) -> View:
    """Return how many jobs there are in each list but that of all; `COUNTED` means so many or more."""
    return {**store.counts_up_to(COUNTED), "counted_to": COUNTED}


def count_text(count: int) -> str:
    """Return a count as people read it: `10,000+` where counting stopped."""
    return f"{count:,}{'+' if count >= COUNTED else ''}"


def _listing_named(name: str) -> Listing:
    try:
        return Listing(name)
    except ValueError:
        raise InvalidQuery(f"there is no list {name!r}; known: {', '.join(Listing)}") from None


def _wanted(asked: ListAsked) -> Wanted:
    cls = known_kinds().get(asked.kinds[0]) if len(asked.kinds) == 1 else None
    filters = parse_conditions(asked.where, cls)
    for text in (*asked.kinds, asked.search or ""):
        if not text.isprintable():
            raise InvalidQuery(f"{text!r} is no text to look for")
    return Wanted(tuple(map(_plain, filters)), tuple(asked.kinds), asked.search or None)


def _plain(asked: Filter) -> Filter:
    """Turn what is one of one value into what equals it: an index leads there."""
    if asked.operator == "in" and isinstance(asked.value, tuple) and len(asked.value) == 1:
        return replace(asked, operator="eq", value=asked.value[0])
    return asked


def _asked_by_id(store: Store, asked: ListAsked) -> JobRow | None:
    try:
        job_id = parse_id(str(asked.search))
    except Exception:  # It is no id: text like any other.
        return None
    row = store.job(job_id)
    return None if row is None or row.draft else row


def _notes(store: Store, wanted: Wanted, page: Page, limit: int) -> list[str]:
    if page.next is None or len(page.rows) >= limit:
        return []
    names = sorted({it.name for it in wanted.filters if it.name not in COLUMNS and not store.is_indexed(it.name)})
    told = f"{SCANNED:,} jobs were looked through; go on for more"
    if names:
        told += f". A class that declares {', '.join(names)} indexed=True has it found at once, where it equals a value"
    return [told]


def _sorted(store: Store, listing: Listing, wanted: Wanted, asked: ListAsked) -> tuple[Page, list[str]]:
    name = str(asked.order).removeprefix("-")
    if not name.isidentifier():
        raise InvalidQuery(f"order={asked.order!r}: no name of a field")
    if asked.after is not None:
        raise InvalidQuery("a sorted list has one page: narrow it by conditions, or leave its own order")
    page = store.browse(listing, wanted, limit=asked.limit + 1, scan=SORTED, order=asked.order)
    notes = []
    if page.next is not None:
        notes.append(f"sorted among the first {SORTED:,} jobs of this list: narrow it by conditions for the others")
    elif len(page.rows) > asked.limit:
        notes.append(f"the first {asked.limit:,}: narrow it by conditions for the others")
    return Page(page.rows[: asked.limit], None), notes
