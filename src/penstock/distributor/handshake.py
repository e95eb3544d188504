"""The handshake: both sides prove that they hold the secret, and never send it.

Each sends a random number; each answers with an HMAC-SHA-256 under the secret over its own role, the version, both
numbers and the node's name. The roles keep an answer from being sent back as the other side's.
"""

import hashlib
import hmac
import os

from penstock.distributor.wire import NONCE_BYTES, VERSION, Credentials, Hello, Welcome
from penstock.errors import ConfigurationError, ProtocolError

SECRET_VARIABLE = "PENSTOCK_SECRET"  # noqa: S105
FEWEST_CHARACTERS = 8


def checked_secret(secret: str | None) -> bytes:
    """Return the secret as bytes; None takes it from the environment.

    Raises:
        ConfigurationError: there is none, or it is too short to be one.
    """
    chosen = secret if secret is not None else os.environ.get(SECRET_VARIABLE)
    if not chosen:
        raise ConfigurationError(f"a distributor and its nodes share a secret: give one, or set {SECRET_VARIABLE}")
    if len(chosen) < FEWEST_CHARACTERS:
        raise ConfigurationError(f"the secret is too short to be one: {FEWEST_CHARACTERS} characters at least")
    return chosen.encode()


def new_nonce() -> bytes:
    """Return a random number that is used once."""
    return os.urandom(NONCE_BYTES)


def credentials(secret: bytes, node: str, hello: Hello, nonce: bytes, instance: bytes) -> Credentials:
    """Return a node's answer to a distributor's question, with its own.

    Raises:
        ProtocolError: the distributor speaks another version.
    """
    _check_version(hello.version)
    _check_nonce(hello.nonce)
    return Credentials(VERSION, node, instance, nonce, _proof(secret, b"node", hello.nonce, nonce, node))


def are_good(secret: bytes, hello: Hello, given: Credentials) -> bool:
    """Tell whether a node holds the secret.

    Raises:
        ProtocolError: it speaks another version.
    """
    _check_version(given.version)
    _check_nonce(given.nonce)
    return hmac.compare_digest(given.proof, _proof(secret, b"node", hello.nonce, given.nonce, given.node))


def welcome(secret: bytes, hello: Hello, given: Credentials, address: str) -> Welcome:
    """Return a distributor's answer to a node's question."""
    return Welcome(_proof(secret, b"distributor", hello.nonce, given.nonce, given.node), address)


def is_welcome(secret: bytes, hello: Hello, mine: Credentials, given: Welcome) -> bool:
    """Tell whether a distributor holds the secret."""
    return hmac.compare_digest(given.proof, _proof(secret, b"distributor", hello.nonce, mine.nonce, mine.node))


def _proof(secret: bytes, role: bytes, theirs: bytes, ours: bytes, node: str) -> bytes:
    # Each part has a fixed length, or ends at the end: no two different sets of parts are the same bytes.
    key = hashlib.sha256(b"penstock distributor" + secret).digest()
    return hmac.digest(key, b"\0".join((role, b"%d" % VERSION, theirs + ours, node.encode())), "sha256")


def _check_version(version: int) -> None:
    if version != VERSION:
        raise ProtocolError(f"the other side speaks version {version} of the protocol, this one {VERSION}: upgrade one")


def _check_nonce(nonce: bytes) -> None:
    if len(nonce) != NONCE_BYTES:
        raise ProtocolError(f"a question of {len(nonce)} bytes instead of {NONCE_BYTES}")
