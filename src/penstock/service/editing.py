"""Jobs made and edited by people: values come as text, and are checked by the class before anything is stored."""

import json
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import IO, Annotated, Any, get_args
from uuid import UUID

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from penstock.batch.job import BatchJob
from penstock.errors import ConfigurationError, UnknownKind
from penstock.model.job import Job, load_job
from penstock.model.kinds import known_kinds
from penstock.server.app import import_target
from penstock.service.auditing import Act, acting, target_of_job
from penstock.service.blame import told_of_user_code
from penstock.service.confining import refuse_paths
from penstock.service.jobs import View, get_job, told_of_field, view_of_job
from penstock.service.people import LOGIN_FIELD, By
from penstock.service.uploads import opened_upload, refuse_path
from penstock.store.protocol import Store
from penstock.store.rows import JobRow


def find_target(text: str) -> type[Job]:
    """Return the class for a kind, or for `module:Class`, which is imported.

    Raises:
        UnknownKind: no class for the kind was imported.
        AppImportError: the module does not import.
        ConfigurationError: it is a class that is only a base for others.
    """
    cls = known_kinds().get(text) or (import_target(text) if ":" in text else None)
    if cls is None:
        raise UnknownKind(f"no class for kind {text!r} was imported; name its module with --app, or write module:Class")
    if cls.abstract:
        raise ConfigurationError(f"{text} is only a base for other classes; it has no jobs of its own")
    return cls


def create_job(
    store: Store,
    cls: type[Job],
    texts: Mapping[str, Any],
    *,
    by: By,
    source: "str | IO[bytes] | None" = None,
    file_name: str | None = None,
) -> View:
    """Make a job, and queue it.

    Args:
        store: The store, which must be the current one.
        cls: Its class.
        texts: Values of fields as text: JSON where that is what the field takes, else the text itself.
        by: Who makes it. Where the class has a field `login` that is not given, it is theirs.
        source: The file with the records of a batch job: a path, or an open file, which is read once as it comes.
        file_name: What an open file is called; its name tells how it is compressed, and of which format it is.

    Raises:
        Forbidden: the roles do not allow it.
        ConfigurationError: a value does not fit, and its field is named; or a batch job would have no input.
        DuplicateJob: a job with its unique key is queued, running or paused.
        InputError: the file cannot be read.
    """
    with acting(store, by, "job.create", f"kind {cls.kind}") as act:
        _check_names(texts, cls.model_fields, f"{cls.kind} has no such field; it has")
        owner = {LOGIN_FIELD: act.person.login} if LOGIN_FIELD in cls.model_fields.keys() - texts.keys() else {}
        with told_of_user_code(cls.kind):
            values = values_of(cls, texts)
            if act.person.remote:
                refuse_paths(cls, values)
                if isinstance(source, str):
                    refuse_path(source)
            job = cls(**{**owner, **values})
            _refuse_input(job, source)
            act.target = target_of_job(job.id)
            _save(store, job, source, file_name, act)
    return view_of_job(get_job(store, job.id))


def edit_job(store: Store, job_id: UUID, texts: Mapping[str, Any], *, by: By, right: str = "job.edit") -> View:
    """Change fields of a stored job that its class declares `user_editable`: all of them, or none.

    Args:
        store: The store, which must be the current one.
        job_id: The job.
        texts: Values of fields as text, as for `create_job`.
        by: Who edits.
        right: What they must be allowed to do.

    Raises:
        Forbidden: the roles do not allow it.
        JobNotFound: there is no such job.
        UnknownKind: its class was not imported: only that can check values.
        ConfigurationError: a field may not be edited, or a value does not fit; the field is named.
        DuplicateJob: it would be the second of its unique key.
    """
    row = store.job(job_id)
    with acting(store, by, right, target_of_job(job_id), job=row) as act:
        row = get_job(store, job_id)
        cls = known_kinds().get(row.kind)
        if cls is None:
            raise UnknownKind(
                f"job {job_id} is of kind {row.kind!r}, and only its class can check values: name its module with --app"
            )
        _check_names(texts, cls.editable_fields(), f"may not be edited in a {row.kind}; what may")
        with told_of_user_code(row.kind), store.transaction():
            before = _values_now(row, texts)
            values = values_of(cls, texts)
            if act.person.remote:
                refuse_paths(cls, values)
            load_job(row).update(**values)
            act.note(before, _values_now(get_job(store, job_id), texts))
    return view_of_job(get_job(store, job_id))


def _values_now(row: JobRow, names: Iterable[str]) -> View:
    """Return what a job holds in these fields, as the audit may tell it."""
    document = json.loads(row.fields)
    return {
        name: getattr(row, name) if hasattr(row, name) else told_of_field(document.get(name)) for name in sorted(names)
    }


def _save(store: Store, job: Job, source: Any, file_name: str | None, act: Act) -> None:
    """Store a new job, with the records of a file; whatever goes wrong, nothing of it stays."""
    try:
        if source is not None and isinstance(job, BatchJob):
            with opened_upload(source, file_name) as (opened, options):
                job.upload(opened, **options)
        with store.transaction():
            job.save()
            act.note(after={"kind": job.kind, "records": job.record_count if isinstance(job, BatchJob) else None})
    except BaseException:
        if job.is_stored and job.row.draft:
            job.drop_draft(store)
        raise


def _check_names(names: Iterable[str], allowed: Collection[str], refusal: str) -> None:
    for name in names:
        if name not in allowed:
            raise ConfigurationError(f"{name}: {refusal}: {', '.join(sorted(allowed)) or 'none'}")


def _refuse_input(job: Job, source: object) -> None:
    if not isinstance(job, BatchJob):
        if source is not None:
            raise ConfigurationError(f"{job.kind} is no batch job: it takes no input")
    elif source is None and "before_batch" not in job.hooks:
        raise ConfigurationError(f"{job.kind} is a batch job: name the file with its records with --input")


def values_of(cls: type[Job], texts: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of fields that came as text: JSON where that is what the field takes, else the text itself.

    What is no text, as from a program that speaks JSON, is left as it is.
    """
    return {name: _value(cls, name, it) if isinstance(it, str) else it for name, it in texts.items()}


def _value(cls: type[Job], name: str, text: str) -> Any:
    """Return JSON where the text is JSON that the field takes, else the text: a field of text may hold `123`."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    annotation: Any = cls.model_fields[name].annotation
    if isinstance(value, float) and Decimal in (annotation, *get_args(annotation)):
        return text  # Which keeps all its digits.
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[annotation, cls.model_fields[name]])
    except PydanticUserError:
        return value  # A type that only its class knows how to check.
    return value if _takes(adapter, value) or not _takes(adapter, text) else text


def _takes(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True
