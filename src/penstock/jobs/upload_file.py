"""`UploadFile`: a file becomes a job of another kind."""

import json
import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from penstock.batch.job import BatchJob
from penstock.errors import ConfigurationError, DuplicateJob, JobChanged, OutputError, StoreError
from penstock.hooks import before_validation
from penstock.ids import new_id
from penstock.jobs.archiving import bring_in
from penstock.jobs.sights import Sight
from penstock.jobs.targets import make_target, refuse_target
from penstock.model.fields import field
from penstock.model.job import Job
from penstock.plugins.retry import Retry
from penstock.query import Query
from penstock.states import State
from penstock.store import Store, current_store
from penstock.streams import file_system
from penstock.streams.places import name_of
from penstock.streams.roots import refuse_outside

log = logging.getLogger("penstock.jobs")

_SIGHT: TypeAdapter[Sight | None] = TypeAdapter(Sight | None)
UNFINISHED = (State.QUEUED, State.RUNNING, State.PAUSED, State.FAILED)


class UploadFile(Retry, Job):
    """Upload a file into a job of another kind, and start that: once, whatever is killed when.

    One that `DirmonJob` made first moves its file to the archive. Where it fails, the file stays, there or in the
    archive, and a retry goes on. What may pass by itself, as a full disk, is tried again by itself.
    """

    priority = 30
    retry_limit = 0
    retry_rules: ClassVar[Mapping[type[BaseException], int]] = {
        OSError: 10, OutputError: 10, StoreError: 10, DuplicateJob: 10, JobChanged: 10,
    }  # fmt: skip
    unique_by: ClassVar[tuple[str, ...]] = ("source", "sight")

    path_fields: ClassVar[tuple[str, ...]] = ("source", "archived")
    fields_of_another_job: ClassVar[tuple[str, str]] = ("job_kind", "properties")

    source: str = field(description="The file, as a path or URL.")
    job_kind: str = field(description="The kind of the job that it becomes.")
    properties: dict[str, Any] = field(default_factory=dict, description="Fields of that job.")
    job_id: UUID = field(default_factory=new_id, description="The id of that job.")
    archived: str | None = field(None, description="Where the file is moved to first; None: it stays.")
    after: Literal["archive", "delete"] = field(
        "archive", description="Whether the archived file is deleted once its records are stored."
    )
    sight: Sight | None = field(None, description="How the file looked when it was found.")
    entry: str | None = field(None, description="The entry of the watched folder that it was found in.")
    is_copied: bool = field(False, description="Whether it has to be copied to the archive, not just renamed.")
    is_moved: bool = field(False, description="Whether it is in the archive.")
    is_started: bool = field(False, description="Whether the job that it becomes is queued.")

    kept_of_failures: ClassVar[tuple[str, ...]] = (*Retry.kept_of_failures, "is_copied", "is_moved")

    @before_validation
    def refuse_impossible_target(self) -> None:
        """Refuse a kind that takes no file, or fields that it has not, before anything is stored."""
        if self.is_stored:
            return
        if (self.archived is None) is not (self.sight is None):
            raise ConfigurationError("archived: a file that is to be moved needs its sight, and the other way round")
        if self.archived is None and self.after == "delete":
            raise ConfigurationError("after: only a file that was moved to an archive is deleted")
        refuse_target(self.job_kind, self.properties, after=self.after)

    def perform(self) -> None:
        """Move the file where that is asked for, upload it, start its job, tidy up."""
        if not self.is_started:
            place = self._place()
            if place is None:
                log.warning(
                    "%s is gone, or was written to since it was found: nothing is started", name_of(self.source)
                )
                return
            self._start_target(current_store(), place)
        if self.archived is not None and self.after == "delete":
            with file_system(self.archived) as files:
                refuse_outside(files, self.archived)
                files.delete(self.archived)

    def _place(self) -> str | None:
        """Return where the file can be read; None when it is not there any more."""
        if self.archived is None or self.sight is None:
            return self.source
        there = bring_in(
            self.source, self.archived, self.sight, is_copied=self.is_copied, note_copying=self._note_copying
        )
        if there and not self.is_moved:
            self.is_moved = True
            self._keep()
        return self.archived if there else None

    def _note_copying(self) -> None:
        self.is_copied = True
        self._keep()

    def _keep(self) -> None:
        if self.is_kept:
            self.save()

    def _start_target(self, store: Store, place: str) -> None:
        target = make_target(self.job_kind, self.properties, place, job_id=self.job_id)
        if target.description is None:
            target.description = self.description
        _drop_earlier_attempt(store, self.job_id)
        if isinstance(target, BatchJob):
            target.upload(place)
        try:
            with store.transaction():
                self._mark_started(store)
                target.save()
        except BaseException:
            row = store.job(self.job_id)
            if row is not None and row.draft:  # Whatever a hook that raised has made of `target`.
                store.destroy_job(self.job_id)
            raise
        self.is_started = True  # Not before: a failed attempt is stored too.

    def _mark_started(self, store: Store) -> None:
        """Note that the file's job is queued, in the transaction that does so. Only the latest attempt may."""
        if not self.is_kept:
            return
        changes = {"fields": {"is_started": True}}
        if not store.update_job(self.id, changes, expect={"state": State.RUNNING, "attempt": self.row.attempt}):
            raise JobChanged(f"job {self.id} was ended or handed on while it uploaded; nothing is started")


def _drop_earlier_attempt(store: Store, job_id: UUID) -> None:
    """Remove what an attempt that was killed had uploaded.

    Raises:
        JobChanged: its process lives, and may still be uploading.
    """
    row = store.job(job_id)
    if row is None:
        return
    if not row.draft:
        raise JobChanged(f"there is a job {job_id} already, and not by this one")
    if row.uploader is not None and store.is_present(row.uploader):
        raise JobChanged(f"job {job_id} is still being uploaded by {row.uploader}")
    store.destroy_job(job_id)


class Starting(NamedTuple):
    """An `UploadFile` that has not ended well."""

    job_id: str
    state: State
    sight: Sight | None
    is_moved: bool

    def is_about(self, sight: Sight) -> bool:
        """Tell whether a file that looks so is the one it is to start."""
        return not self.is_moved and self.sight == sight

    @property
    def told(self) -> str:
        """What it means for its file."""
        if self.state is State.FAILED:
            return f"job {self.job_id} failed to start it: retry that job, or destroy it"
        return f"it is being started by job {self.job_id}, which is {self.state}"


def files_being_started(store: Store) -> dict[str, list[Starting]]:
    """Return the unfinished `UploadFile` jobs by the place of their file."""
    found: dict[str, list[Starting]] = {}
    for row in store.find_jobs(Query(kinds=(UploadFile.kind,), states=UNFINISHED)):
        fields = json.loads(row.fields)
        sight = _SIGHT.validate_python(fields["sight"])
        found.setdefault(fields["source"], []).append(Starting(str(row.id), row.state, sight, fields["is_moved"]))
    return found
