"""The reader of pictures, and that of their sizes: JPEG, PNG, BMP, TIFF, WebP."""

from __future__ import annotations

import io
import os
import struct
import zlib
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from file_target import FileTarget
from mutate import INTERESTING, Rng, mutate_bytes, splice
from PIL import Image

from hrnetae.evaluation.ground_truth import picture_size
from hrnetae.files.pictures import read_picture, silence_opencv

_MOST_PIXELS = 1 << 27
_SIDES = (0, 1, 2, 16, 17, 255, 4096, 11585, 16383, 30000, 32767, 60000, 65535, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
_JPEG_TOKENS = tuple(bytes([0xFF, code]) for code in (*range(0xC0, 0xD0), *range(0xD8, 0xF0), 0x01, 0x00, 0xFE, 0xFF))
_TOKENS = {
    "jpeg": (*_JPEG_TOKENS, b"Exif\0\0", b"\xff\xda\0\x08\1\1\0\0\x3f\0"),
    "png": (b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"gAMA", b"zTXt"),
    "bmp": (b"BM", b"\x28\0\0\0", b"\0\0\0\x80"),
    "tiff": (
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        *(struct.pack("<H", tag) for tag in (256, 257, 258, 259, 262, 277, 322, 323)),
    ),
    "webp": (b"RIFF", b"WEBP", b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"EXIF", b"ICCP"),
}


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@cache
def _seeds() -> tuple[tuple[str, bytes], ...]:
    """Small pictures in every format, of several kinds each."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (9, 17, 3), np.uint8)
    found: list[tuple[str, bytes]] = []

    def add(kind: str, picture: Any, **options: Any) -> None:
        stream = io.BytesIO()
        picture.save(stream, kind, **options)
        found.append((kind, stream.getvalue()))

    plain, grey, alpha = (
        Image.fromarray(array) for array in (colour, colour[..., 0], np.dstack([colour, colour[..., 0]]))
    )
    deep = Image.fromarray(rng.integers(0, 1 << 16, (5, 7), np.uint16))
    add("jpeg", plain)
    add("jpeg", plain, progressive=True, exif=_exif(6))
    add("jpeg", plain.convert("CMYK"), restart_marker_blocks=1)
    add("jpeg", grey, exif=_exif(3))
    for picture in (plain, grey, alpha, deep, plain.convert("P"), plain.convert("1")):
        add("png", picture)
    for picture in (plain, grey, plain.convert("P"), plain.convert("1")):
        add("bmp", picture)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        add("tiff", plain, compression=compression)
    add("tiff", plain.convert("1"), compression="group4")
    add("tiff", alpha, big_tiff=True)
    add("tiff", deep)
    add("webp", plain)
    add("webp", alpha, lossless=True, exif=_exif(8))
    add("webp", alpha, save_all=True, append_images=[alpha], duration=10)
    return tuple(found)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Of a PNG, kinds and contents."""
    found, at = [], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def write_png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, with their checksums."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, content in chunks:
        parts += [struct.pack(">I", len(content)), kind, content, struct.pack(">I", zlib.crc32(kind + content))]
    return b"".join(parts)


def _mutate_png(rng: Rng, data: bytes) -> bytes:
    """Chunks changed, doubled and moved; what is inflated changed, or a bomb. The checksums are right."""
    chunks = _chunks(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(chunks))
        kind, content = chunks[at]
        way = rng.randrange(6)
        if kind == b"IHDR" and way < 5:
            width, height = (rng.choice(_SIDES) if rng.random() < 0.7 else 9 for _ in range(2))
            depth, colour, more = (
                rng.choice((1, 2, 4, 8, 16, 3)),
                rng.choice((0, 2, 3, 4, 6, 1)),
                rng.choice((0, 0, 0, 1)),
            )
            content = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, more)
        elif kind == b"IDAT" and way < 3:
            content = zlib.compress(mutate_bytes(rng, bytes(rng.choice((0, 1, 600)))), 1)
        elif kind == b"IDAT" and way == 3:
            content = _bomb()
        elif way == 4:
            kind = rng.choice(_TOKENS["png"])
        else:
            content = mutate_bytes(rng, content) if content else rng.randbytes(9)
        chunks[at] = kind, content
        if rng.random() < 0.2:
            chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
        if rng.random() < 0.1:
            chunks.insert(1, (rng.choice((b"zTXt", b"iCCP")), b"a\0\0" + _bomb()))
    return write_png(chunks)


@cache
def _bomb() -> bytes:
    return zlib.compress(bytes(1 << 24), 9)


def _mutate_sizes(rng: Rng, kind: str, data: bytes) -> bytes:
    """The sides that a header claims."""
    changed = bytearray(data)
    width, height = rng.choice(_SIDES), rng.choice(_SIDES)
    if kind == "jpeg":
        at = max(data.find(mark) for mark in (b"\xff\xc0", b"\xff\xc2"))
        changed[at + 5 : at + 9] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
        if rng.random() < 0.3:  # many scans
            scan = data.rfind(b"\xff\xda")
            changed[scan:scan] = data[scan:-2] * rng.choice((3, 50))
    elif kind == "bmp":
        changed[18:26] = struct.pack("<II", width, rng.choice((height, 2**32 - 1 - (height >> 1))))
        changed[28:30] = struct.pack("<H", rng.choice((1, 4, 8, 16, 24, 32, 2, 0)))
        changed[30:34] = struct.pack("<I", rng.choice((0, 0, 1, 2, 3, 4)))
    elif kind == "tiff":
        order, at = "<", int.from_bytes(data[4:8], "little")
        if data[2] == 42:
            for number in range(int.from_bytes(data[at : at + 2], "little")):
                entry = at + 2 + 12 * number
                (tag,) = struct.unpack_from("<H", data, entry)
                if rng.random() < (0.6 if tag in (256, 257, 278) else 0.1):
                    struct.pack_into(f"{order}I", changed, entry + 8, rng.choice((*_SIDES, *INTERESTING)))
    elif kind == "webp":
        at = rng.choice((24, 27, 21, 26))
        changed[at : at + 3] = rng.choice(
            (b"\xff\xff\xff", b"\xff\xff\x7f", b"\0\0\0", b"\xff\x3f\0", rng.randbytes(3))
        )
    return bytes(changed)


def _draw(rng: Rng) -> bytes:
    kind, data = rng.choice(_seeds())
    way = rng.random()
    if kind == "png" and way < 0.5:
        data = _mutate_png(rng, data)
    elif way < 0.25:
        data = _mutate_sizes(rng, kind, data)
    elif way < 0.55:
        data = splice(rng, data, rng.choice(_seeds())[1])
    return mutate_bytes(rng, data, _TOKENS[kind], 3) if way > 0.35 else data


@cache
def _be_quiet(_process: int) -> None:
    """The libraries beneath OpenCV complain of damaged pictures on stderr, which no switch turns off."""
    silence_opencv()
    cv2.setNumThreads(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    os.close(quiet)


def _read(path: Path, rng: Rng) -> Any:
    if "PYTEST_CURRENT_TEST" not in os.environ:
        _be_quiet(os.getpid())
    return picture_size(path) if rng.random() < 0.3 else read_picture(path)


def _check(found: Any, _: bytes) -> str:
    if isinstance(found, tuple):
        return "" if all(type(side) is int and side >= 0 for side in found) else f"size {found}"
    good = found.ndim == 3 and found.shape[2] == 3 and found.dtype == np.uint8 and found.size
    return (
        "" if good and found.size <= 3 * _MOST_PIXELS and found.flags.c_contiguous else f"{found.dtype} {found.shape}"
    )


PICTURES = FileTarget("pictures", partial(_draw), _read, _check)
