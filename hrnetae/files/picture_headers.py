"""How large a picture says it is: from the first bytes of JPEG, PNG, BMP, TIFF and WebP, before anything is decoded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# A marker is FF and its code. Within a scan FF 00 is a byte of FF, D0 to D7 start the decoder anew; FF FF is filling.
JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
JPEG_ALONE = (b"\x01", b"\xd8")  # markers without a segment
JPEG_SCAN = b"\xda"
# Start of frame, which has the size: C0 to CF without the tables DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(bytes([code]) for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC))
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_KINDS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MOST_ENTRIES = 4096


class Header(NamedTuple):
    """What a picture claims. scans: how often a decoder goes over it, 1 but for JPEG."""

    width: int
    height: int
    scans: int = 1


def read_header(data: bytes) -> Header | None:
    """What a file's bytes claim; None for what is no picture of the five formats, or has no whole header."""
    for start, read in _FORMATS:
        if data.startswith(start):
            try:
                return read(data)
            except (struct.error, IndexError, OverflowError):  # a place beyond any file
                return None
    return None


def _jpeg(data: bytes) -> Header | None:
    """The largest frame's size: libraries differ in which of several they take."""
    width = height = scans = 0
    at = 2
    while marker := JPEG_MARKER.search(data, at):
        at = marker.end()
        scans += marker[1] == JPEG_SCAN
        if marker[1] in _JPEG_FRAMES and len(data) >= at + 7:
            rows, columns = struct.unpack_from(">HH", data, at + 3)
            width, height = max(width, columns), max(height, rows)
        if marker[1] not in JPEG_ALONE:
            at += int.from_bytes(data[at : at + 2])
    return Header(width, height, max(1, scans)) if width else None


def _png(data: bytes) -> Header:
    return Header(*struct.unpack_from(">II", data, 16))


def _bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return Header(abs(width), abs(height))


def _webp(data: bytes) -> Header | None:
    """Of the canvas, or of the one frame."""
    kind = data[12:16]
    if data[8:12] != b"WEBP":
        return None
    if kind == b"VP8X":
        return Header(1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little"))
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Header(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    width, height = struct.unpack_from("<HH", data, 26)
    return Header(width & 0x3FFF, height & 0x3FFF)


def _tiff(data: bytes) -> Header | None:
    """Of the first directory, in classic TIFF and BigTIFF."""
    order = "<" if data[:2] == b"II" else ">"
    (version,) = struct.unpack_from(f"{order}H", data, 2)
    big = version == 43
    (at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)
    at += 8 if big else 2
    sizes = {_TIFF_WIDTH: 0, _TIFF_HEIGHT: 0}
    for _ in range(min(count, _MOST_ENTRIES)):
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in sizes:
            (found,) = struct.unpack_from(f"{order}{_TIFF_KINDS.get(kind, 'I')}", data, at + (12 if big else 8))
            sizes[tag] = max(sizes[tag], found)
        at += 20 if big else 12
    return Header(sizes[_TIFF_WIDTH], sizes[_TIFF_HEIGHT]) if all(sizes.values()) else None


_FORMATS: tuple[tuple[bytes | tuple[bytes, ...], Callable[[bytes], Header | None]], ...] = (
    (JPEG_START, _jpeg),
    (PNG_START, _png),
    (b"BM", _bmp),
    (b"RIFF", _webp),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
)
