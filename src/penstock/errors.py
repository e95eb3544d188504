"""Every error that Penstock raises, with the exit code and HTTP status that belong to it.

    PenstockError
    ├── ConfigurationError      a setting or an option is wrong
    │   ├── MissingExtra        an optional library is not installed
    │   ├── AppImportError      a module named with --app does not import
    │   └── KeyringError        a key file cannot be used, or a change to it is refused
    │       ├── NoKeyring       none is set, or its file is not there
    │       └── KeyringChanged  it is not the file that was read
    ├── InvalidMove             the move does not apply to the job's state
    ├── InvalidQuery            a filter names an unknown field or operator
    ├── JobNotFound             no job has this id
    ├── JobChanged              another process changed the job meanwhile
    ├── DuplicateJob            there is one with the same unique key already
    ├── Forbidden               the roles of a person do not allow it
    ├── NotSignedIn             nobody is named who asks, or the token is none of ours
    ├── BadRequest              a request is not as the API takes it
    │   └── TooLarge            it is larger than is taken
    ├── KeyReused               an idempotency key came with another request
    ├── EntryNotFound           no watched folder has this name
    ├── DuplicateEntry          a watched folder has this name or pattern already
    ├── JobFailed               a job that somebody waits for has failed
    ├── JobAborted              a job that somebody waits for was aborted
    ├── JobTimeout              `perform` took longer than the job's `timeout` (also a TimeoutError)
    ├── ServerNotFound          no server has this name, or it does not answer
    ├── JobIncomplete           the output is not whole yet
    ├── WaitTimeout             the job did not end in time (also a TimeoutError)
    ├── UnknownKind             no class was imported for this kind (also a LookupError)
    ├── DuplicateKind           two classes claim one kind
    ├── TooManyRejects          more records were rejected than `max_rejects` allows
    ├── UnstorableValue         a value has a type or size that cannot be stored (also a TypeError)
    ├── InvalidSchedule         a cron expression means nothing (also a ValueError)
    ├── SealError               sealed data does not open
    │   ├── NotSealed           it was never sealed
    │   ├── UnknownKey          the keyring does not hold its key
    │   ├── RetiredKey          its key is retired
    │   └── SealBroken          it was changed, cut, or belongs to another place
    ├── InputError              an input file is not what it should be
    │   ├── EncodingError       bytes that are not text in the declared encoding
    │   ├── RecordTooLarge      one record is longer than `max_record`
    │   ├── UnclosedQuote       a quote opens in a file that is never closed
    │   ├── BadHeader           the columns of a table are not those that are wanted
    │   └── BadRow              a record is not a row of its format, or a row cannot become a record
    ├── OutputError             an output file cannot be written
    ├── StoreError              the store cannot do it
    │   ├── StoreUnavailable    it cannot be opened or written
    │   │   └── StoreClosed     this process has closed it
    │   ├── StoreBusy           another process holds it for too long
    │   ├── StoreFull           the disk is full
    │   ├── WrongConnection     a connection that was given cannot be joined
    │   └── StoreVersionError   its schema is newer than this program
    ├── ProtocolError           bytes on a channel that are no message
    └── Stopped                 a run was stopped before its end (Ctrl-C)

An error says what happened, where, and what to do next, in one line.
"""

from typing import Any


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


class KeyringError(ConfigurationError):
    """A key file cannot be used as it is, or a change to it is refused."""


class NoKeyring(KeyringError):
    """No keyring is set, or its file is not there."""


class KeyringChanged(KeyringError):
    """The key file is not the one that was read: to write would lose a key."""

    http_status = 409


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


class DuplicateJob(PenstockError):
    """A job with the same unique key is queued, running or paused already."""

    exit_code = 3
    http_status = 409


class Forbidden(PenstockError):
    """A person asked for something that the roles do not allow."""

    exit_code = 5
    http_status = 403


class NotSignedIn(PenstockError):
    """Nobody is named who asks, or not in a way that is believed."""

    exit_code = 5
    http_status = 401


class BadRequest(PenstockError):
    """A request is not as the API takes it."""

    exit_code = 2
    http_status = 400


class TooLarge(BadRequest):
    """A request, or the file in it, is larger than is taken."""

    http_status = 413


class KeyReused(PenstockError):
    """An idempotency key came with another request, or while the first one with it is still being answered."""

    http_status = 409


class EntryNotFound(PenstockError, LookupError):
    """No entry for a watched folder has this name."""

    exit_code = 4
    http_status = 404


class DuplicateEntry(PenstockError):
    """Another entry for a watched folder has the same name or pattern."""

    exit_code = 3
    http_status = 409


class JobFailed(PenstockError):
    """A job that somebody waits for has failed for good."""

    def __init__(self, message: str, failure: Any = None) -> None:
        super().__init__(message)
        self.failure = failure
        """The error as data, a `penstock.model.failure.Failure`: `class_name`, `message`, `backtrace`."""


class JobAborted(PenstockError):
    """A job that somebody waits for was aborted by somebody else."""


class JobTimeout(PenstockError, TimeoutError):
    """One call of `perform` took longer than the job's `timeout`."""


class ServerNotFound(PenstockError, LookupError):
    """No running server has this name, or the one that has does not answer."""

    exit_code = 4
    http_status = 404


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


class TooManyRejects(PenstockError):
    """More records of a batch job were rejected than its `max_rejects` allows."""

    http_status = 409


class UnstorableValue(PenstockError, TypeError):
    """A value has a type or a size that cannot be stored."""

    http_status = 400


class InvalidSchedule(PenstockError, ValueError):
    """A schedule's text means nothing, or no time at all."""

    exit_code = 2
    http_status = 400


class SealError(PenstockError):
    """Sealed data does not open."""


class NotSealed(SealError):
    """The bytes were never sealed."""


class UnknownKey(SealError):
    """The data was sealed under a key that the keyring does not hold."""


class RetiredKey(SealError):
    """The data was sealed under a key that is retired."""


class SealBroken(SealError):
    """The data was changed, or belongs to another place."""


class InputError(PenstockError, ValueError):
    """An input is missing, unreadable, broken or not what it should be."""

    exit_code = 2
    http_status = 400


class EncodingError(InputError):
    """An input holds bytes that are not text in its encoding."""


class RecordTooLarge(InputError):
    """One record of an input is longer than `max_record` allows."""


class UnclosedQuote(InputError):
    """A quote opens in a file and is never closed, so that no line behind it can be told."""


class BadHeader(InputError):
    """The columns of a table have no names, have them twice, or are not those that are wanted."""


class BadRow(InputError):
    """A record is not a row of its format, or a row cannot be written as a record.

    The message says why, and never what is in the row.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position
        """Index of the record or row among those that were handed over together, from 0."""


class OutputError(PenstockError):
    """An output cannot be written."""


class StoreError(PenstockError):
    """The store cannot do what was asked."""

    http_status = 503


class StoreUnavailable(StoreError):
    """The store cannot be opened, reached or written."""


class StoreClosed(StoreUnavailable):
    """This process has closed the store, and what was opened with it."""


class StoreBusy(StoreError):
    """Another process has kept the store locked for too long."""


class StoreFull(StoreError):
    """The disk of the store is full. What was committed before is whole."""

    http_status = 507


class WrongConnection(StoreError):
    """A connection was given whose transaction cannot be joined: of another database, or without a transaction."""

    exit_code = 2
    http_status = 400


class StoreVersionError(StoreError):
    """The store's schema is not one this version of Penstock can use."""


class ProtocolError(PenstockError):
    """Bytes arrived on a channel that are not a message of ours."""


class Stopped(PenstockError):
    """A run was stopped by a signal before its end; it can be resumed."""

    exit_code = 130
