"""`run`: one job from its input file to its output files, in this process group, resumable at any moment."""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from penstock import clock, events
from penstock.batch.categories import OutputCategory
from penstock.batch.download import download_output
from penstock.batch.job import BatchJob
from penstock.batch.rendering import form_for
from penstock.errors import ConfigurationError, InputError, OutputError, PenstockError, Stopped, StoreFull
from penstock.model.job import Job
from penstock.server.chosen import Chosen
from penstock.server.options import ServerOptions
from penstock.server.server import Server
from penstock.service.jobs import View, failed_records
from penstock.service.overlap import PrefixWriter
from penstock.service.resuming import Plan, plan_resume
from penstock.states import ENDED, State
from penstock.store import Topic, current_store, presence_name
from penstock.streams import open_reader
from penstock.streams.places import scheme_in, whole_name
from penstock.tabular import TableFormat

SHOWN_SECONDS = 0.25
"""How often progress is told."""
STANDARD = "-"
"""The name that stands for standard input or output."""


class Observer(Protocol):
    """Who shows a run to a person."""

    def phase(self, name: str, total: int | None, done: int = 0) -> None:
        """A part begins: `upload`, `process` or `download`.

        Args:
            name: The part.
            total: Its size in records; None when unknown.
            done: Records that an earlier run has done of it.
        """

    def progress(self, done: int, failed_slices: int) -> None:
        """So many records of the part are done."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run."""

    app: Sequence[str]
    """What the workers import."""
    cls: type[Job] | None = None
    """The class to make a job of; None to resume one."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the new job."""
    input: str | None = None
    input_format: str | None = None
    """The format of the input; None for what the class says."""
    outputs: Sequence[str] = ()
    """Each a path for the first output, or `category=path`."""
    upload: Mapping[str, Any] = field(default_factory=dict)
    """Options of the upload."""
    workers: int = 1
    processes: int | None = None
    grace: float = 30.0
    overlap: bool = False
    resume: UUID | None = None
    resume_newest: bool = False


class Run:
    """One run. `stop` may be called from a signal handler."""

    def __init__(self, request: RunRequest, observer: Observer) -> None:
        self._request = request
        self._observer = observer
        self._store = current_store()
        self._ended = threading.Event()
        self._uploading = False
        self._stopped = False
        self._trouble: PenstockError | None = None
        self.server: Server | None = None
        self.plan = (
            self._new_plan() if request.cls else plan_resume(self._store, request.resume, newest=request.resume_newest)
        )
        self.job = self.plan.job

    def stop(self) -> None:
        """Stop gracefully: an upload is undone, work is handed back. Called in the main thread."""
        self._stopped = True
        self._ended.set()
        if self._uploading:
            self._refuse_stopped()

    def run(self) -> View:
        """Run to the end and return what came of it.

        Raises:
            Stopped: `stop` was called; the message says whether there is something to resume.
            PenstockError: the input, an output or the store gives trouble.
        """
        self._check_files()
        began = clock.monotonic()
        if self.job.state is not State.COMPLETED:
            self._process()
        seconds = clock.monotonic() - began
        view = {
            "id": str(self.job.id),
            "kind": self.job.kind,
            "state": str(self.job.state),
            "seconds": round(seconds, 3),
        }
        if self.job.state is not State.COMPLETED:
            return {**view, **self._failures()}
        return {**view, **self._deliver()}

    # Parts ---------------------------------------------------------------------------------------

    def _process(self) -> None:
        request = self._request
        self.server = Server(
            self._store,
            ServerOptions(
                app=request.app, workers=request.workers, processes=request.processes, chosen=Chosen(only=self.job.id)
            ),
        )
        self.server.start_workers()
        try:
            with events.subscribed(events.StoreTroubled, self._note_trouble):
                if self.plan.overlap:
                    self._overlap(self.server)
                else:
                    self._upload()
                    self.server.start()
                    self._await_end(self.server)
        finally:
            self.server.stop(request.grace if not self._trouble else 0)
        if self._stopped and self.job.reload().state not in ENDED:
            raise Stopped("stopped")

    def _upload(self) -> None:
        if self.plan.source is not None and isinstance(self.job, BatchJob):
            self._observer.phase("upload", None)
            self._uploading = True
            try:
                self._refuse_stopped()
                self._upload_source(self.job, self.plan.source)
            finally:
                self._uploading = False
        self.plan.begin()

    def kill(self) -> None:
        """Kill the workers at once. The run can be resumed."""
        if self.server:
            self.server.kill()

    def _refuse_stopped(self) -> None:
        """A stop that came just before the upload counts too: a pipe may never end."""
        if self._stopped:
            raise Stopped("stopped during the upload: nothing of it is stored; run the same command again")

    def _upload_source(self, job: BatchJob, source: str) -> None:
        options = {**self._request.upload, "progress": lambda done: self._observer.progress(done, 0)}
        origin: Any = source
        if source == STANDARD:
            origin, options["file_name"] = sys.stdin.buffer, "standard input"
        if job.upload(origin, **options) == 0:
            with suppress(PenstockError):
                job.destroy()
            raise InputError(
                f"{source if source != STANDARD else 'standard input'} is empty: there is nothing to process"
            )

    def _overlap(self, server: Server) -> None:
        """Upload, process and write the finished prefix at the same time."""
        job = self.job
        assert isinstance(job, BatchJob)
        assert self.plan.source is not None
        # Outputs that cannot be opened must be known before there is a job.
        writers = [
            PrefixWriter(self._store, job, category, target)
            for category, target in self._targets()
            if not isinstance(form_for(category, target), TableFormat)  # These are written when all is done.
        ]
        try:
            job.row.uploader = presence_name(self._store)
            self.plan.begin()
            self._uploading = True
            server.start()
            self._observer.phase("upload", None)
            self._refuse_stopped()
            self._upload_source(job, self.plan.source)
            self._uploading = False
            self._await_end(server)
            if job.state is State.COMPLETED:
                for writer in writers:
                    writer.finish()
                self.plan.written = {writer.category.name: writer.count for writer in writers}
        except BaseException as error:
            if self._uploading:
                # Part of an input is no job: as with an upload before processing, nothing of it stays.
                self._uploading = False
                server.dispatcher.drain(0)
                job.destroy()
            raise error
        finally:
            for writer in writers:
                writer.discard()

    def _await_end(self, server: Server) -> None:
        """Wait for the job to end, showing how far it is."""
        self._observer.phase("process", self.job.row.record_count, self._store.progress(self.job.id).processed)
        listening = self._store.listen(Topic.ENDED, self._ended.set)
        try:
            while self.job.reload().state not in ENDED:
                if server.failed or self._trouble:
                    raise server.failed or self._trouble  # type: ignore[misc]
                if self._stopped:
                    return
                self._tell_progress()
                self._ended.wait(SHOWN_SECONDS)
                self._ended.clear()
        finally:
            listening.close()
        self._tell_progress()

    def _tell_progress(self) -> None:
        if self.job.batch:
            progress = self._store.progress(self.job.id)
            self._observer.progress(progress.processed, progress.failed_slices)

    def _deliver(self) -> View:
        """Write the outputs; only then may the job be destroyed, and not where records of it were rejected."""
        view = self._delivered_batch(self.job) if isinstance(self.job, BatchJob) else {"result": self.job.result}
        rejected = self._store.progress(self.job.id).rejected
        if rejected:
            view["rejected"] = rejected
        elif self.plan.destroys:
            self.job.destroy()
        return view

    def _delivered_batch(self, job: BatchJob) -> View:
        targets = self._targets()
        for category, target in targets:
            if category.name not in self.plan.written:
                self.plan.written[category.name] = self._download(job, category, target)
        outputs = {
            category.name: {"file": target, "records": self.plan.written[category.name]} for category, target in targets
        }
        return {"records": job.record_count, "outputs": outputs}

    def _download(self, job: BatchJob, category: OutputCategory, target: str) -> int:
        self._observer.phase("download", None)
        return download_output(
            job,
            sys.stdout.buffer if target == STANDARD else target,
            category.name,
            partial=False,
            progress=lambda count: self._observer.progress(count, 0),
        )

    def _failures(self) -> View:
        job = self.job
        failed = list(failed_records(self._store, job.row)) if isinstance(job, BatchJob) else []
        return {"error": job.exception.summary if job.exception else None, "failed": failed}

    # Files ---------------------------------------------------------------------------------------

    def _new_plan(self) -> Plan:
        request = self._request
        assert request.cls is not None
        job = request.cls(**request.values)
        if not isinstance(job, BatchJob):
            if request.input or request.outputs:
                raise ConfigurationError(f"{job.kind} is no batch job: it takes neither --input nor --output")
            return Plan(job, collects=True)
        if request.input is None and "before_batch" not in job.hooks:
            raise ConfigurationError(
                f"{job.kind} is a batch job: name its input with --input FILE, or - for standard input"
            )
        if request.overlap and request.input is None:
            raise ConfigurationError("--overlap needs --input: it processes while it uploads")
        if request.input_format is not None:
            job.input_category = job.input_category.model_copy(update={"format": request.input_format})
        if request.input not in (None, STANDARD):
            job.input_category.file_name = whole_name(str(request.input))
        if request.outputs and not job.collected_categories():
            job.collect_output = True
        for category, target in _parsed_outputs(job, request.outputs):
            if target != STANDARD:
                category.file_name = whole_name(target)
                if not job.output_categories:
                    job.output_categories = [category]
        return Plan(job, source=request.input, overlap=request.overlap)

    def _targets(self) -> list[tuple[OutputCategory, str]]:
        """Return where each output goes: as asked now, else as remembered."""
        job = self.job
        if not isinstance(job, BatchJob):
            return []
        asked = _parsed_outputs(job, self._request.outputs)
        named = {category.name for category, _ in asked}
        remembered = [
            (category, category.file_name)
            for category in job.collected_categories()
            if category.file_name and category.name not in named
        ]
        return [*asked, *remembered]

    def _check_files(self) -> None:
        """Refuse what cannot work before anything is stored."""
        source = self.plan.source
        if source not in (None, STANDARD) and (
            os.path.isfile(str(source)) or not os.path.exists(str(source)) or os.path.isdir(str(source))
        ):
            open_reader(str(source), streams=self._request.upload.get("streams")).close()
        for _, target in self._targets():
            if target == STANDARD or scheme_in(target):
                continue
            folder = os.path.dirname(os.path.abspath(target))
            if os.path.isdir(target):
                raise OutputError(f"{target} is a directory; name a file for the output")
            if not os.access(folder, os.W_OK):
                there = "may not be written to" if os.path.isdir(folder) else "does not exist"
                raise OutputError(f"{target}: the folder {folder} {there}")

    def _note_trouble(self, event: events.StoreTroubled) -> None:
        if isinstance(event.error, StoreFull):
            self._trouble = event.error
            self._ended.set()


def _parsed_outputs(job: BatchJob, outputs: Sequence[str]) -> list[tuple[OutputCategory, str]]:
    names = {category.name for category in job.stored_categories()}
    parsed = []
    for output in outputs:
        name, separator, path = output.partition("=")
        if separator and name in names:
            parsed.append((job.output_category(name), path))
        else:
            parsed.append((job.output_category(), output))
    return parsed
