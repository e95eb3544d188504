"""Addresses as people write them, and what TLS needs for them."""

import ipaddress
import socket
import ssl
from typing import NamedTuple

from penstock.errors import ConfigurationError


class Address(NamedTuple):
    """Where a distributor listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `host:port`, with the host of IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is reached from this machine only."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """Return the address that `host:port` spells.

    Raises:
        ConfigurationError: it spells none.
    """
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"{text!r} is no address; write it as host:port, as 127.0.0.1:5000")
    return Address(host, int(port))


def refuse_bare(address: Address, tls: object, *, insecure: bool) -> None:
    """Refuse an address beyond this machine without TLS.

    Raises:
        ConfigurationError: it is one, and nobody has said that this is meant so.
    """
    if tls is None and not insecure and not address.is_loopback:
        raise ConfigurationError(
            f"{address} is beyond this machine, and without TLS anybody on the way can read and change what is sent: "
            "give certificates, or say that it is meant to be insecure"
        )


def listening_context(cert: str | None, key: str | None, ca: str | None) -> ssl.SSLContext | None:
    """Return what a distributor uses for TLS: its certificate; with `ca`, nodes must have one too. None without.

    Raises:
        ConfigurationError: a file cannot be used.
    """
    if cert is None:
        _refuse_rest(key, ca)
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, cert, key, ca)
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def dialling_context(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext | None:
    """Return what a node uses for TLS: who signs the certificates of distributors, and its own. None without `ca`.

    Raises:
        ConfigurationError: a file cannot be used.
    """
    if ca is None:
        _refuse_rest(cert, key)
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, cert, key, ca)
    return context


def told(error: OSError) -> str:
    """Return in words why a connection could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    return error.strerror or str(error)


def _load(context: ssl.SSLContext, cert: str | None, key: str | None, ca: str | None) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if cert is not None:
            context.load_cert_chain(cert, key)
        if ca is not None:
            context.load_verify_locations(ca)
    except OSError as error:
        files = ", ".join(file for file in (cert, key, ca) if file)
        raise ConfigurationError(f"TLS: {files}: {error.strerror or error}") from None


def _refuse_rest(*files: str | None) -> None:
    for file in files:
        if file is not None:
            raise ConfigurationError(f"TLS: {file} is of no use alone: a distributor needs a certificate, a node a CA")
