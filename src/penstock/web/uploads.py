"""A form with a file: its fields come first, and the file is handed over while it still comes, never through a disk."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from penstock.service.uploads import limit_of_upload
from penstock.web.routing import BadForm, FormTooLarge
from penstock.web.streams import Incoming

MOST_FIELDS = 4 << 20
"""Bytes of all fields together, the file not counted."""
MOST_HEADERS = 8 << 10
MOST_PARTS = 1_000


class Upload:
    """A form that is being sent: `begin` reads its fields, `finish` hands its file, if any, to a function."""

    def __init__(self, request: Request, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.file: Incoming | None = None
        self._stream = request.stream()
        self._seen = 0
        self._file_bytes = 0
        self._most = limit_of_upload()
        self._parts = 0
        self._headers: dict[str, bytes] = {}
        self._header_name = self._header_value = b""
        self._name: str | None = None
        self._value = bytearray()
        self._in_file = False
        self._pieces: list[bytes] = []
        self._done = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_field,
                "on_header_value": self._header_text,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._part_ends,
                "on_end": self._ends,
            },
        )

    @classmethod
    async def begin(cls, request: Request) -> "Upload":
        """Read a form up to its file, or to its end.

        Raises:
            BadForm: it is none, or is broken or too large.
        """
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise BadForm("a form with a file comes as multipart/form-data")
        upload = cls(request, options[b"boundary"])
        while upload.file is None and await upload._more():
            pass
        return upload

    async def finish(self, take: Callable[[Incoming | None], Response]) -> Response:
        """Call a function with the file in a thread, and hand over what comes until it has enough."""
        if self.file is None:
            return await run_in_threadpool(take, None)
        feeding = asyncio.ensure_future(self._feed(self.file))
        try:
            return await run_in_threadpool(take, self.file)
        finally:
            self.file.let_go()
            await feeding

    async def drain(self) -> None:
        """Read what still comes, so that the browser reads the answer instead of a broken connection."""
        with suppress(ClientDisconnect, BadForm):
            while await self._more():
                self._pieces.clear()

    async def _feed(self, file: Incoming) -> None:
        try:
            going = True
            while going:
                for piece in self._pieces:
                    await file.put(piece)
                self._pieces.clear()
                going = self._in_file and await self._more()
        except BadForm as error:
            file.trouble = str(error)
        except ClientDisconnect:
            pass
        for piece in self._pieces:
            await file.put(piece)
        self._pieces.clear()
        file.broken = self._in_file
        await file.put(None)

    async def _more(self) -> bool:
        """Parse the next piece of the request; False at its end."""
        if self._done:
            return False
        piece = await self._next(self._stream)
        if piece is None:
            self._done = True
            return False
        try:
            self._parser.write(piece)
        except ValueError as error:
            raise BadForm(f"the form is broken: {error}") from None
        return True

    async def _next(self, stream: AsyncIterator[bytes]) -> bytes | None:
        try:
            return await anext(stream)
        except StopAsyncIteration:
            return None

    # What the parser calls -----------------------------------------------------------------------

    def _part_begins(self) -> None:
        self._headers, self._value, self._name = {}, bytearray(), None
        self._header_name = self._header_value = b""
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise FormTooLarge(f"the form has more than {MOST_PARTS} parts")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._bound(len(self._header_name), MOST_HEADERS)

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._bound(len(self._header_value), MOST_HEADERS)

    def _header_ends(self) -> None:
        self._headers[self._header_name.lower().decode("latin-1")] = self._header_value
        self._header_name = self._header_value = b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        # A browser sends an empty file without a name where none was chosen.
        self._in_file = bool(file_name) and self.file is None
        if self._in_file:
            self.file = Incoming(_base_name(file_name or b""))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._file_bytes += end - start
            self._bound(self._file_bytes, self._most)
            self._pieces.append(data[start:end])
            return
        self._seen += end - start
        self._bound(self._seen, MOST_FIELDS)
        self._value += data[start:end]

    def _part_ends(self) -> None:
        if self._in_file:
            self._in_file = False
        elif self._name is not None and b"filename" not in self._headers.get("content-disposition", b""):
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def _ends(self) -> None:
        self._in_file = False

    def _bound(self, size: int, most: int) -> None:
        if size > most:
            raise FormTooLarge(f"a part of the form is larger than {most:,} bytes")


def _base_name(name: bytes) -> str:
    """Return the name of a file without any folder, whichever system it comes from."""
    text = name.decode("utf-8", "replace").replace("\\", "/")
    return "".join(char for char in os.path.basename(text) if char.isprintable())[:200] or "upload"
