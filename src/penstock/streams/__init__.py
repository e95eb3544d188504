"""Files in, files out: decompressed bytes, lines cut into slices, atomic writing.

Knows nothing of jobs. Codec libraries are imported when a stream first needs them.
"""

from penstock.streams.codecs import Codec, Layer
from penstock.streams.lines import LineSlice, cut_lines
from penstock.streams.pipelines import Stream, StreamOptions, Streams
from penstock.streams.reading import open_reader
from penstock.streams.registry import register_codec
from penstock.streams.schemes.filesystem import Entry, FileSystem
from penstock.streams.schemes.table import Scheme, SchemeOptions, file_system, register_scheme
from penstock.streams.writing import open_writer

__all__ = [
    "Codec",
    "Entry",
    "FileSystem",
    "Layer",
    "LineSlice",
    "Scheme",
    "SchemeOptions",
    "Stream",
    "StreamOptions",
    "Streams",
    "cut_lines",
    "file_system",
    "open_reader",
    "open_writer",
    "register_codec",
    "register_scheme",
]
