"""Sealed fields: stored under the keyring's active key, bound to their job and their name."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from penstock.config import settings
from penstock.errors import PenstockError
from penstock.model.failure import SEALED_MESSAGE, Failure, describe, parse_failure

_MESSAGE = b"failure"
TAG = "$sealed"
"""A sealed value in a document is an object with this one key."""
_BEGINNING = "wVBT"
"""How all sealed data begins, in base64: `keyring.MAGIC`. A user's own dict may have such a key too."""


class SealedFields:
    """The sealed fields of a class. Without any, documents pass through untouched."""

    def __init__(self, names: frozenset[str] = frozenset()) -> None:
        self.names = names

    def seal(self, job_id: UUID, document: str) -> str:
        """Return a document with the values of sealed fields sealed.

        Raises:
            KeyringError: there is no keyring, or it cannot be read.
        """
        if not self.names:
            return document
        return json.dumps(self.seal_values(job_id, json.loads(document)), separators=(",", ":"), ensure_ascii=False)

    def seal_values(self, job_id: UUID, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return fields with the values of sealed ones sealed; None is left as it is."""
        return {
            name: _sealed(job_id, name, value) if name in self.names and value is not None else value
            for name, value in values.items()
        }

    def open(self, job_id: UUID, document: str) -> str:
        """Return a document with every sealed value opened, also of a field that is no longer declared so.

        Raises:
            KeyringError: there is no keyring, or it cannot be read.
            SealError: the keyring does not hold the key, or a value was changed, or belongs to another job or field.
        """
        if not self.names and f'"{TAG}"' not in document:
            return document
        values = {name: _opened(job_id, name, value) for name, value in json.loads(document).items()}
        return json.dumps(values, separators=(",", ":"), ensure_ascii=False)

    def describe(
        self,
        job_id: UUID,
        error: BaseException,
        *,
        worker_name: str | None = None,
        record_number: int | None = None,
    ) -> Failure:
        """Return an exception as data. Where a field is sealed the message is too: it may quote what that holds."""
        return self.seal_failure(job_id, describe(error, worker_name=worker_name, record_number=record_number))

    def seal_failure(self, job_id: UUID, failure: Failure, *, always: bool = False) -> Failure:
        """Seal the message of a failure, where a field is sealed, or `always`, and return it."""
        if (self.names or always) and failure.message:
            failure.message = _sealed_message(job_id, failure.message)
        return failure


def opened_message(job_id: UUID, message: str) -> str:
    """Return a failure's message, opened where it is sealed and the keyring has its key; else as it is."""
    if not message.startswith(SEALED_MESSAGE):
        return message
    try:
        sealed = base64.b64decode(message.removeprefix(SEALED_MESSAGE))
        return str(_sealer(job_id).open(sealed, _MESSAGE), "utf-8")
    except PenstockError:
        return message


def resealed_values(job_id: UUID, document: str) -> dict[str, Any]:
    """Return the sealed values of a stored document that are not under the active key, sealed under that, by field.

    Raises:
        KeyringError: there is no keyring, or it cannot be read.
        SealError: a value does not open.
    """
    if f'"{TAG}"' not in document:
        return {}
    values = json.loads(document)
    stale = [name for name, value in values.items() if is_sealed(value) and _is_stale(base64.b64decode(value[TAG]))]
    return {name: _sealed(job_id, name, _opened(job_id, name, values[name])) for name in stale}


def resealed_failure(job_id: UUID, text: str | None) -> str | None:
    """Return a stored failure with its message sealed under the active key; None where nothing is to be changed.

    Raises:
        KeyringError: there is no keyring, or it cannot be read.
        SealError: the message does not open.
    """
    failure = parse_failure(text)
    if failure is None or not failure.message.startswith(SEALED_MESSAGE):
        return None
    sealed = base64.b64decode(failure.message.removeprefix(SEALED_MESSAGE))
    if not _is_stale(sealed):
        return None
    failure.message = _sealed_message(job_id, str(_sealer(job_id).open(sealed, _MESSAGE), "utf-8"))
    return failure.to_json()


def _is_stale(sealed: bytes) -> bool:
    from penstock.keyring import current_keyring, key_version

    return key_version(sealed) != current_keyring(settings().keyring).active_version


def _sealed_message(job_id: UUID, message: str) -> str:
    try:
        return SEALED_MESSAGE + base64.b64encode(_sealer(job_id).seal(message.encode(), _MESSAGE)).decode()
    except PenstockError as error:
        return f"its message is not stored, since it cannot be sealed: {error}"


def is_sealed(value: Any) -> bool:
    """Tell whether a value of a stored document is sealed."""
    return isinstance(value, dict) and value.keys() == {TAG} and str(value[TAG]).startswith(_BEGINNING)


def _sealed(job_id: UUID, name: str, value: Any) -> dict[str, str]:
    sealed = _sealer(job_id).seal(json.dumps(value).encode(), _place(name))
    return {TAG: base64.b64encode(sealed).decode()}


def _opened(job_id: UUID, name: str, value: Any) -> Any:
    if not is_sealed(value):
        return value
    return json.loads(_sealer(job_id).open(base64.b64decode(value[TAG]), _place(name)))


def _place(name: str) -> bytes:
    return b"field:" + name.encode()


def _sealer(job_id: UUID) -> Any:
    from penstock.keyring import current_keyring

    return current_keyring(settings().keyring).sealer(job_id.bytes)
