"""Every error that Penstock raises, with the exit code and HTTP status that belong to it.

    PenstockError
    ├── ConfigurationError      a setting or an option is wrong
    │   ├── MissingExtra        an optional library is not installed
    │   └── AppImportError      a module named with --app does not import
    ├── InvalidMove             the move does not apply to the job's state
    ├── InvalidQuery            a filter names an unknown field or operator
    ├── JobNotFound             no job has this id
    ├── JobChanged              another process changed the job meanwhile
    ├── JobIncomplete           the output is not whole yet
    ├── WaitTimeout             the job did not end in time (also a TimeoutError)
    ├── UnknownKind             no class was imported for this kind (also a LookupError)
    ├── DuplicateKind           two classes claim one kind
    ├── UnstorableValue         a value has a type or size that cannot be stored (also a TypeError)
    ├── InputError              an input file is not what it should be
    │   ├── EncodingError       bytes that are not text in the declared encoding
    │   └── RecordTooLarge      one record is longer than `max_record`
    ├── OutputError             an output file cannot be written
    ├── StoreError              the store cannot do it
    │   ├── StoreUnavailable    it cannot be opened or written
    │   ├── StoreBusy           another process holds it for too long
    │   ├── StoreFull           the disk is full
    │   └── StoreVersionError   its schema is newer than this program
    ├── ProtocolError           bytes on a channel that are no message
    └── Stopped                 a run was stopped before its end (Ctrl-C)

An error says what happened, where, and what to do next, in one line.
"""


class PenstockError(Exception):
    """Anything Penstock refuses or cannot do."""

    exit_code = 1
    http_status = 500


class ConfigurationError(PenstockError):
    """A setting or an option is wrong."""

    exit_code = 2
    http_status = 400


class MissingExtra(ConfigurationError):
    """An optional library is needed that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional library: pip install 'penstock[{extra}]'")


class AppImportError(ConfigurationError):
    """A module that was to be imported for its job classes does not import."""


class InvalidMove(PenstockError):
    """A move was asked for that does not apply to the job as it is."""

    exit_code = 3
    http_status = 409


class InvalidQuery(PenstockError, ValueError):
    """A query names a field or an operator that there is not."""

    exit_code = 2
    http_status = 400


class JobNotFound(PenstockError, LookupError):
    """No job has this id."""

    exit_code = 4
    http_status = 404


class JobChanged(PenstockError):
    """The stored job changed between reading and writing it, more often than we tried again."""

    http_status = 409


class JobIncomplete(PenstockError):
    """The output of a job was asked for that is not whole yet."""

    http_status = 409


class WaitTimeout(PenstockError, TimeoutError):
    """The job did not end within the time given to wait for it."""

    http_status = 504


class UnknownKind(PenstockError, LookupError):
    """No job class of this kind was imported."""

    exit_code = 2
    http_status = 400


class DuplicateKind(PenstockError, TypeError):
    """Two different classes claim the same kind."""


class UnstorableValue(PenstockError, TypeError):
    """A value has a type or a size that cannot be stored."""

    http_status = 400


class InputError(PenstockError, ValueError):
    """An input is missing, unreadable, broken or not what it should be."""

    exit_code = 2
    http_status = 400


class EncodingError(InputError):
    """An input holds bytes that are not text in its encoding."""


class RecordTooLarge(InputError):
    """One record of an input is longer than `max_record` allows."""


class OutputError(PenstockError):
    """An output cannot be written."""


class StoreError(PenstockError):
    """The store cannot do what was asked."""

    http_status = 503


class StoreUnavailable(StoreError):
    """The store cannot be opened, reached or written."""


class StoreBusy(StoreError):
    """Another process has kept the store locked for too long."""


class StoreFull(StoreError):
    """The disk of the store is full. What was committed before is whole."""

    http_status = 507


class StoreVersionError(StoreError):
    """The store's schema is not one this version of Penstock can use."""


class ProtocolError(PenstockError):
    """Bytes arrived on a channel that are not a message of ours."""


class Stopped(PenstockError):
    """A run was stopped by a signal before its end; it can be resumed."""

    exit_code = 130
