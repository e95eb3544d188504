"""bz2, xz, zst and lz4: four libraries that decode alike."""

import sys
from io import RawIOBase
from types import ModuleType

from penstock.streams.codecs import Codec, Layer, level_of, library
from penstock.streams.members import MembersReader, MemberWriter

_XZ_PADDING = 4


def _bz2_reader(encoded: RawIOBase, _: Layer) -> MembersReader:
    return MembersReader(encoded, library("bz2", use="the bz2 codec").BZ2Decompressor)


def _bz2_writer(sink: RawIOBase, layer: Layer) -> MemberWriter:
    return MemberWriter(sink, library("bz2", use="the bz2 codec").BZ2Compressor(level_of(layer, "bz2", 1, 9, 9)))


def _bz2_damage() -> tuple[type[Exception], ...]:
    return (OSError, ValueError)


def _xz_reader(encoded: RawIOBase, _: Layer) -> MembersReader:
    lzma = library("lzma", use="the xz codec")
    return MembersReader(encoded, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), padding=_XZ_PADDING)


def _xz_writer(sink: RawIOBase, layer: Layer) -> MemberWriter:
    lzma = library("lzma", use="the xz codec")
    # 1 is three times as fast as 6, for a tenth more bytes, and needs 10 MB instead of 100.
    return MemberWriter(sink, lzma.LZMACompressor(check=lzma.CHECK_CRC64, preset=level_of(layer, "xz", 0, 9, 1)))


def _xz_damage() -> tuple[type[Exception], ...]:
    return (library("lzma", use="the xz codec").LZMAError,)


def _zstd() -> ModuleType:
    if sys.version_info >= (3, 14):
        return library("compression.zstd", use="the zst codec")
    return library("backports.zstd", use="the zst codec")


def _zst_reader(encoded: RawIOBase, _: Layer) -> MembersReader:
    return MembersReader(encoded, _zstd().ZstdDecompressor)


def _zst_writer(sink: RawIOBase, layer: Layer) -> MemberWriter:
    zstd = _zstd()
    setting = zstd.CompressionParameter
    options = {setting.compression_level: level_of(layer, "zst", 1, 22, 3), setting.checksum_flag: 1}
    return MemberWriter(sink, zstd.ZstdCompressor(options=options))


def _zst_damage() -> tuple[type[Exception], ...]:
    return (_zstd().ZstdError,)


def _lz4_reader(encoded: RawIOBase, _: Layer) -> MembersReader:
    return MembersReader(encoded, library("lz4.frame", use="the lz4 codec").LZ4FrameDecompressor)


def _lz4_writer(sink: RawIOBase, layer: Layer) -> MemberWriter:
    frame = library("lz4.frame", use="the lz4 codec")
    level = level_of(layer, "lz4", 0, 12, 0)
    # Without a checksum, which the library leaves out by default, a changed byte would go unnoticed.
    compressor = frame.LZ4FrameCompressor(compression_level=level, content_checksum=True)
    return MemberWriter(sink, compressor, compressor.begin())


def _lz4_damage() -> tuple[type[Exception], ...]:
    return (RuntimeError,)


BZ2 = Codec("bz2", ("bz2",), _bz2_reader, _bz2_writer, _bz2_damage, ("level",))
XZ = Codec("xz", ("xz",), _xz_reader, _xz_writer, _xz_damage, ("level",))
ZST = Codec("zst", ("zst", "zstd"), _zst_reader, _zst_writer, _zst_damage, ("level",))
LZ4 = Codec("lz4", ("lz4",), _lz4_reader, _lz4_writer, _lz4_damage, ("level",))
