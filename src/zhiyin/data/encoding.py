"""The bytes of a file: unpacked, and as UTF-8 whatever they were written in."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

import zstandard

from zhiyin.base.errors import DataError

SIGNATURES = {
    b"\x1f\x8b": "gzip-compressed: give it the ending .gz",
    b"\x28\xb5\x2f\xfd": "zstd-compressed: give it the ending .zst",
    b"PAR1": "a Parquet file: give it the ending .parquet",
    b"PK\x03\x04": "a zip archive or an Excel workbook: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"SQLite format 3": "an SQLite database: export the table as CSV",
}
SAMPLE = 1 << 20


def content_of(path: Path) -> bytes:
    """All bytes of a file, unpacked where its name ends in .gz or .zst."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", "Check its permissions.") from error
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return _gunzip(raw, path.name)
    return _unzstd(raw, path.name) if suffix == ".zst" else raw


def _gunzip(raw: bytes, file: str) -> bytes:
    try:
        return gzip.decompress(raw)
    except EOFError as error:
        raise DataError(f"{file} ends too early: the gzip file is cut off", "Copy it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        if raw[:2] != b"\x1f\x8b":
            raise DataError(f"{file} is not gzip-compressed, although its name says so", "Remove the ending .gz.") from error
        raise DataError(f"{file} is damaged: its gzip data cannot be unpacked", "Copy it again.") from error


def _unzstd(raw: bytes, file: str) -> bytes:
    parts = []
    while raw:
        unpack = zstandard.ZstdDecompressor().decompressobj()
        try:
            parts.append(unpack.decompress(raw))
        except zstandard.ZstdError as error:
            if raw[:4] != b"\x28\xb5\x2f\xfd" and not parts:
                raise DataError(f"{file} is not zstd-compressed, although its name says so", "Remove the ending .zst.") from error
            raise DataError(f"{file} is damaged: its zstd data cannot be unpacked", "Copy it again.") from error
        if not unpack.eof:
            raise DataError(f"{file} ends too early: the zstd file is cut off", "Copy it again.")
        raw = unpack.unused_data
    return b"".join(parts)


def to_utf8(content: bytes, file: str) -> bytes:
    """Text bytes as UTF-8 without a byte order mark; reads UTF-8, UTF-16 with a mark, and GB18030."""
    for signature, said in SIGNATURES.items():
        if content.startswith(signature):
            raise DataError(f"{file} is {said}")
    if content.startswith(codecs.BOM_UTF8):
        content = content[3:]
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise DataError(f"{file} is broken UTF-16 text", "Save it as UTF-8.") from None
    if b"\x00" in content:
        line = content[: content.index(b"\x00")].count(b"\n") + 1
        raise DataError(f"{file} line {line:,} holds a zero byte: it is not text", "Write it as UTF-8 text.")
    if content.isascii() or _is_utf8(content):
        return content
    return _from_gb18030(content, file)


def _is_utf8(content: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(content)
    try:
        for start in range(0, len(content), SAMPLE):
            decoder.decode(view[start : start + SAMPLE], final=start + SAMPLE >= len(content))
    except UnicodeDecodeError:
        return False
    return True


def encoding_of(content: bytes) -> str:
    """ "utf-8", "utf-8-sig", "utf-16", "gb18030", or "" where none of them fits."""
    if content.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if content.isascii() or _is_utf8(content):
        return "utf-8"
    return "gb18030" if _looks_chinese(content) else ""


def _looks_chinese(content: bytes) -> bool:
    """GB18030 accepts nearly any bytes: believe it only where mostly everyday characters come out.

    The 3,755 commonest characters start with the bytes B0 to D7. UTF-8 text with a few broken
    bytes still has many sound sequences, which tells it apart.
    """
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return False
    sound = content[:SAMPLE].decode("utf-8", errors="replace")
    n_sound = sum(c > "\x7f" and c != "\ufffd" for c in sound)
    if n_sound > sound.count("\ufffd"):
        return False
    foreign = [c for c in text[:SAMPLE] if c > "\x7f"]
    common = sum(b"\xb0" <= c.encode("gb18030")[:1] <= b"\xd7" or "\u3000" <= c <= "\u303f" or "\uff00" <= c <= "\uffef" for c in foreign)
    return common >= 0.7 * len(foreign)


def _from_gb18030(content: bytes, file: str) -> bytes:
    if _looks_chinese(content):
        return content.decode("gb18030").encode()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        broken = content[error.start : error.start + 1].hex()
        raise DataError(f"{file} line {line:,} is neither UTF-8 nor GB18030 text (byte {broken})", "Save the file as UTF-8.") from None
    return content
