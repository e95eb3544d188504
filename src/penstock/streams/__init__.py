"""Files in, files out: decompressed bytes, lines cut into slices, atomic writing.

Knows nothing of jobs. Codec libraries are imported when a stream first needs them.
"""

from penstock.streams.lines import LineSlice, cut_lines
from penstock.streams.reading import open_reader
from penstock.streams.writing import open_writer

__all__ = ["LineSlice", "cut_lines", "open_reader", "open_writer"]
