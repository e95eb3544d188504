"""`DirmonJob`: watches folders, and has every file that arrives become a job."""

import logging
from datetime import timedelta
from typing import Any, ClassVar, Self

from penstock import clock
from penstock.errors import DuplicateJob, InvalidMove
from penstock.ids import new_id
from penstock.jobs.entries import entry_of, move_entry
from penstock.jobs.looking import SKIP, START, Found, look_at
from penstock.jobs.places import archived_place, name_in
from penstock.jobs.sights import Sight
from penstock.jobs.upload_file import UploadFile, files_being_started
from penstock.model.failure import describe
from penstock.model.fields import field
from penstock.plugins.restart import Restart
from penstock.plugins.singleton import Singleton
from penstock.store import Store, current_store
from penstock.store.rows import EntryRow

log = logging.getLogger("penstock.jobs")


class DirmonJob(Restart, Singleton):
    """Look into the folders of all enabled entries, and start the files whose size has stopped changing.

    Comes back by itself; there is one of it. An entry that cannot be looked at is failed, with the reason, and the
    others go on.
    """

    priority = 30
    description = "Watches folders"

    check_seconds: float = field(
        300.0, gt=0, user_editable=True, copy_on_restart=True, description="Seconds from one look to the next."
    )
    seen: dict[str, Sight] = field(
        default_factory=dict, copy_on_restart=True, description="What the look before saw of each file that waits."
    )

    unique_by: ClassVar[tuple[str, ...]] = ()

    def next_instance(self, **values: Any) -> Self:
        """Return the job of the next look."""
        return super().next_instance(run_at=clock.now() + timedelta(seconds=self.check_seconds), **values)

    def perform(self) -> None:
        """Look once."""
        store = current_store()
        waiting: dict[str, Sight] = {}
        for row in store.entries():
            if row.state == "enabled":
                waiting |= self._look(store, row)
        self.seen = waiting

    def _look(self, store: Store, row: EntryRow) -> dict[str, Sight]:
        """Start the files of an entry that are ready; returns what was seen of the others."""
        try:
            found = look_at(row, self.seen, files_being_started(store))
            for file in found:
                if file.verdict == START:
                    start(row, file)
                elif file.verdict == SKIP:
                    log.info("%r is left where it is: %s", file.place, file.reason)
        except Exception as error:
            self._fail(store, row, error)
            return {}
        return {file.place: file.sight for file in found if file.verdict != SKIP}

    def _fail(self, store: Store, row: EntryRow, error: Exception) -> None:
        summary = describe(error).summary
        log.error("entry %s is failed: %s", row.name, summary)
        try:
            move_entry(store, row.name, "fail", error=summary)
        except (InvalidMove, LookupError):
            log.info("entry %s was disabled or removed meanwhile", row.name)


def start(row: EntryRow, file: Found) -> None:
    """Store the job that moves a file to the archive and uploads it. Until it has, the file is not looked at again."""
    entry, job_id = entry_of(row), new_id()
    try:
        UploadFile.create(
            description=f"{entry.name}: {name_in(file.place)}",
            source=file.place,
            job_kind=entry.kind,
            properties=entry.properties,
            job_id=job_id,
            archived=archived_place(entry.archive, file.place, job_id),
            after=entry.after,
            sight=file.sight,
            entry=entry.name,
        )
    except DuplicateJob:
        log.debug("%r is being started already", file.place)
