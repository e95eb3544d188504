"""What the tests of all codecs share: how each is asked for, and a source that gives little at a time."""

import atexit
import io
import json
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import pyrage

from penstock.keyring import Keyring
from penstock.streams import open_reader, open_writer

GPG_KEY = """
Key-Type: eddsa
Key-Curve: ed25519
Subkey-Type: ecdh
Subkey-Curve: cv25519
Name-Email: {}
%no-protection
%commit
"""


def gpg_home(address: str) -> str:
    """A folder for gpg with one new key. It goes with the process, and the agent that gpg starts for it too."""
    folder = tempfile.mkdtemp(prefix="gpg-")  # a short path: the agent has a socket there
    subprocess.run(
        ["gpg", "--homedir", folder, "--batch", "--quiet", "--generate-key"],
        input=GPG_KEY.format(address).encode(),
        stderr=subprocess.DEVNULL,
        check=True,
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(subprocess.run, ["gpgconf", "--homedir", folder, "--kill", "all"], check=True)
    return folder


IDENTITY = pyrage.x25519.Identity.generate()
STREAMS: dict[str, Any] = {
    **{name: name for name in ("gz", "bz2", "xz", "zst", "lz4", "zip")},
    "age": ("age", {"identities": str(IDENTITY), "recipients": str(IDENTITY.to_public())}),
    "enc": ("enc", {"keyring": Keyring.generate()}),
}
if shutil.which("gpg"):
    STREAMS["pgp"] = ("pgp", {"recipients": "a@example.org", "home": gpg_home("a@example.org")})
"""How to ask for each codec, so that it both writes and reads, by its name."""


class Trickle(io.RawIOBase):
    """A source that cannot seek and gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._source = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._source.read(1 if size else 0)


def encoded(data: bytes, *names: str, chunk: int | None = None) -> bytes:
    """`data` through some codecs, outermost last."""
    target = io.BytesIO()
    with open_writer(target, streams=[STREAMS[name] for name in names]) as writer:
        for start in range(0, len(data), chunk or max(len(data), 1)):
            writer.write(data[start : start + chunk] if chunk else data)
            if chunk:
                writer.flush()
    return target.getvalue()


def decoded(source: Any, *names: str) -> bytes:
    """The other way round; `source`: bytes or a binary file object."""
    place = io.BytesIO(source) if isinstance(source, bytes) else source
    with open_reader(place, streams=[STREAMS[name] for name in names]) as reader:
        return reader.read()


PEAKS = """
import json, os, sys
from penstock.streams import open_reader, open_writer

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

place, megabytes, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
block = os.urandom(1 << 20)
with open_writer(place, scheme_options=options) as writer:
    for _ in range(megabytes):
        writer.write(block)
written = peak()
with open_reader(place, scheme_options=options) as reader:
    assert sum(len(data) for data in iter(lambda: reader.read(1 << 20), b"")) == megabytes << 20
print(written, peak())
"""


def peaks(place: str, megabytes: int, options: Any) -> list[int]:
    """The most memory, in KB, that a process needs to write so much, and then to read it."""
    arguments = [sys.executable, "-c", PEAKS, place, str(megabytes), json.dumps(options, default=str)]
    told = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return [int(kilobytes) for kilobytes in told.stdout.split()]
