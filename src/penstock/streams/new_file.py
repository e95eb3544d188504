"""A file that is in place at once and whole, or not at all."""

import contextlib
import errno
import fcntl
import glob
import io
import os
import stat

from penstock import faults
from penstock.streams.sinks import Sink


class NewFileSink(Sink):
    """A file under a temporary name in the target's folder, renamed over the target on commit."""

    aftermath = "; nothing was left behind"

    def __init__(self, name: str, file: io.FileIO, part: str, target: str) -> None:
        super().__init__(name, file)
        self._part = part
        self._target = target
        self._owner = os.getpid()

    @classmethod
    def beside(cls, path: str) -> "NewFileSink":
        """A new temporary file in the folder of `path`, with the mode of what it is to replace.

        Raises:
            OSError: It cannot be made, or what is there is not writable.
        """
        # A link keeps pointing where it does; the file behind it is replaced.
        target = os.path.realpath(path)
        mode = _mode_of_old(target)
        _remove_abandoned(target)
        part, descriptor = _locked_part(target)
        sink = cls(path, io.FileIO(descriptor, "w"), part, target)
        if mode is not None:
            os.fchmod(descriptor, mode)
        return sink

    def _publish(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        faults.at("before_rename")
        os.replace(self._part, self._target)
        faults.at("after_rename")
        _sync_folder(os.path.dirname(self._target))

    def _retract(self) -> None:
        self._close_quietly()
        # A forked child that forgets its copy of this object must not take the parent's file away.
        if os.getpid() == self._owner:
            with contextlib.suppress(OSError):
                os.unlink(self._part)


def _locked_part(target: str) -> tuple[str, int]:
    """A new file for `target`. It is locked as long as its writer lives, whatever ends it."""
    while True:
        part = _prefix(target) + f"{os.urandom(6).hex()}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks: then nobody removes it either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return part, descriptor
        os.close(descriptor)  # another writer found it before it was locked, and removed it


def _remove_abandoned(target: str) -> None:
    """Remove what writers of the same target left that were killed: parts that nobody holds locked."""
    for part in glob.glob(f"{glob.escape(_prefix(target))}{'[0-9a-f]' * 12}.part"):
        with contextlib.suppress(OSError):
            descriptor = os.open(part, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(part)
            finally:
                os.close(descriptor)


def _prefix(target: str) -> str:
    folder, base = os.path.split(target)
    short = os.fsencode(base)[:200].decode(errors="ignore")  # a name has 255 bytes at most
    return os.path.join(folder, f".{short}.")


def _mode_of_old(target: str) -> int | None:
    """The mode to keep from the file that is replaced, `None` when there is none.

    Renaming would replace even a file that is marked as read-only, so it is asked for here.
    """
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        return None
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, "not writable")
    return mode


def _sync_folder(folder: str) -> None:
    """Make the new name durable. The file is in place: a folder that cannot be synced is no failure."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
