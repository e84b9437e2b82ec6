"""Files made to harm: each is refused in one line, with little memory and no waiting. Most were found by tests/fuzz.

A row of this file is a find, or what a reader could be harmed by in principle; the inputs are as small as they can be.
"""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hrnetae.evaluation.ground_truth import load_ground_truth, picture_size
from hrnetae.evaluation.results_file import read_results
from hrnetae.files.datalist import read_datalist
from hrnetae.files.errors import DataError
from hrnetae.files.inputs import read_input
from hrnetae.files.model_folder import FORMAT as MANIFEST_FORMAT
from hrnetae.files.model_folder import read_manifest
from hrnetae.files.npz import read_outputs
from hrnetae.files.pictures import read_picture
from hrnetae.files.run_record import FORMAT as RECORD_FORMAT
from hrnetae.files.run_record import RECORD_NAME, RunRecord, check_record, recorded_outputs
from hrnetae.files.vamc_config import read_vamc_config
from hrnetae.files.vdsp import read_vdsp_params
from hrnetae.foreign import one_line
from hrnetae.params import DecodeParams
from hrnetae.runtime.runstream import model_of_info

ONE_GIB = 1 << 30
RECORD = RunRecord("vamp", "onnxruntime", "float16", "a", "b")

READERS: dict[str, Callable[[Path], object]] = {
    "npz": read_outputs,
    "npz_input": read_input,
    "datalist": read_datalist,
    "vdsp": read_vdsp_params,
    "vamc": read_vamc_config,
    "ground_truth": load_ground_truth,
    "results": read_results,
    "manifest": read_manifest,
    "run_record": lambda path: check_record(path.parent, RECORD),
    "params": DecodeParams.from_json,
    "model_info": model_of_info,
    "picture": read_picture,
    "picture_size": picture_size,
}


@contextmanager
def little_memory(most: int = 1 << 26) -> Iterator[None]:
    """Python and NumPy take no more than so many bytes at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] <= most
    finally:
        tracemalloc.stop()


def refused(read: Callable[[Path], object], path: Path, *parts: str, error: type[Exception] = DataError) -> str:
    """The message with which a reader refuses a file: one line that names it and has these parts."""
    with little_memory(), pytest.raises(error) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and message.isprintable() and len(message) <= 2005
    for part in parts:
        assert part in message, message
    return message


def written(folder: Path, data: bytes | str, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


# ---------------------------------------------------------------------------------------------- what is no regular file


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX")
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_not_waited_for(reader: str, tmp_path: Path) -> None:
    path = tmp_path / RECORD_NAME
    os.mkfifo(path)
    with pytest.raises((DataError, OSError), match="a pipe or a device, no regular file"):
        READERS[reader](path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="devices are POSIX")
@pytest.mark.parametrize("reader", [name for name in READERS if name != "run_record"])
def test_a_device_without_end_is_not_read(reader: str) -> None:
    with little_memory(), pytest.raises((DataError, OSError), match="a pipe or a device, no regular file"):
        READERS[reader](Path("/dev/zero"))


@pytest.mark.parametrize("reader", ["datalist", "vdsp", "vamc", "model_info", "manifest", "picture"])
def test_a_file_with_a_hole_is_not_read_into_memory(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "holes"
    with path.open("wb") as handle:
        handle.truncate(1 << 40)
    refused(READERS[reader], path, f"{1 << 40} bytes")


def test_words_of_a_file_cannot_move_the_cursor() -> None:
    assert str(DataError("a\x1b[2Jb\0\u202e\ud800\r\nc")) == r"a\x1b[2Jb\x00\u202e\ud800 c"
    assert one_line("größe 画像") == "größe 画像"
    long = one_line("x" * 10**6 + "end")
    assert len(long) <= 2005 and long.endswith("end")


# ------------------------------------------------------------------------------------------------------------------ npz


def npy(shape: str, descr: str = "<f2", body: bytes = b"") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + body


def archive(folder: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(folder / "a.npz", "w", method) as handle:
        for name, data in members.items():
            handle.writestr(name, data)
    return folder / "a.npz"


def lying_archive(folder: Path, name: bytes, data: bytes, size: int, times: int = 1) -> Path:
    """Deflated ``data``, of which every entry of the directory says that it is ``size`` bytes, inflated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    fields = struct.pack("<5H3L2H", 20, 0, 8, 0, 33, zlib.crc32(data), len(packed), size, len(name), 0)
    front = b"PK\3\4" + fields + name + packed
    entries = b""
    for number in range(times):
        entry = name.replace(b"#", b"%d" % number)
        entries += b"PK\1\2\x14\0" + fields[:-4] + struct.pack("<5H2L", len(entry), 0, 0, 0, 0, 0, 0) + entry
    end = struct.pack("<4H2LH", 0, 0, times, times, len(entries), len(front), 0)
    return written(folder, front + entries + b"PK\5\6" + end)


@pytest.mark.parametrize("shape", ["(1, 1000000, 1000000)", "(9" + "0" * 30 + ", 1, 1)", "(1, 2, 3, 4)"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_npz_whose_header_claims_more_than_there_is(shape: str, method: int, tmp_path: Path) -> None:
    refused(read_outputs, archive(tmp_path, {"output_0.npy": npy(shape)}, method), "output_0")


@pytest.mark.parametrize("read", [read_outputs, read_input])
def test_npz_that_inflates_to_gigabytes(read: Callable[[Path], object], tmp_path: Path) -> None:
    claimed = len(npy("()")) + 3 * ONE_GIB
    path = lying_archive(tmp_path, b"output_0.npy", npy(f"(3, 1024, {1 << 20})", "|u1"), claimed)
    refused(read, path, f"members of {claimed} bytes", "compressed")


def test_npz_input_that_inflates_beyond_what_it_claims(tmp_path: Path) -> None:
    data = npy("(3, 2, 2)", "|u1", bytes(1 << 27))
    refused(read_input, lying_archive(tmp_path, b"input_0.npy", data, len(npy("()")) + 12), "CRC")


def test_npz_with_one_piece_under_many_names(tmp_path: Path) -> None:
    data = npy(f"(1, 1024, {1 << 13})", "<f2", bytes(1 << 24))
    path = lying_archive(tmp_path, b"output_#.npy", data, len(data), times=100)
    refused(read_outputs, path, f"members of {100 * len(data)} bytes")


@pytest.mark.parametrize("read", [read_outputs, read_input])
def test_npz_in_several_parts(read: Callable[[Path], object], tmp_path: Path) -> None:
    """The library's own question whether that is an archive raised its error, too."""
    locator = b"PK\6\7" + struct.pack("<LQL", 0, 0, 2)
    refused(read, written(tmp_path, locator + b"PK\5\6" + bytes(18)), "multiple disks")


def test_npz_with_names_without_number(tmp_path: Path) -> None:
    names = {f"output_{number}.npy": b"" for number in range(2, 3000)}
    refused(read_outputs, archive(tmp_path, names), "expected output_0")


@pytest.mark.parametrize(
    "header", ["(1L, 1L, 1L)", "(" * 200, "[" * 2000, "-" * 3000 + "1", "9" * 3000, "(1, 1, 1)}, {"]
)
@pytest.mark.parametrize("read", [read_outputs, read_input])
def test_npz_with_a_header_that_is_no_literal(read: Callable[[Path], object], header: str, tmp_path: Path) -> None:
    """NumPy's own way with headers of Python 2 let a TokenError through, and a warning."""
    refused(read, archive(tmp_path, {"output_0.npy": npy(header)}))


@pytest.mark.parametrize("name", ["../output_0.npy", "/output_0.npy", "C:\\output_0.npy", "output_0.npy/x"])
def test_npz_with_names_that_lead_elsewhere(name: str, tmp_path: Path) -> None:
    refused(read_outputs, archive(tmp_path, {name: npy("(1, 1, 1)", body=bytes(2))}), "expected output_0")


# ----------------------------------------------------------------------------------------------------------------- JSON


def nested(depth: int, opened: str = "[", closed: str = "]") -> str:
    return opened * depth + "1" + closed * depth


DEPTHS = (200, 500, 900, 960, 980, 990, 1_000_000)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("reader", ["vdsp", "ground_truth", "results", "params", "model_info", "run_record", "vamc"])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_nesting_without_end(reader: str, depth: int, opened: str, closed: str, tmp_path: Path) -> None:
    depth = min(depth, 2000) if reader == "vamc" else depth
    path = written(tmp_path, nested(depth, opened, closed), RECORD_NAME)
    with pytest.raises((DataError, ValueError)) as caught:
        READERS[reader](path)
    assert len(str(caught.value)) <= 2005


@pytest.mark.parametrize("depth", [480, 900, 960, 975, 980, 985])
@pytest.mark.parametrize(
    ("reader", "content"),
    [
        ("vdsp", '{"OpType": @}'),
        ("vdsp", '{"OpType": "RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR", "OpConfig": {"Mean": @}}'),
        ("vdsp", '{"OpType": "RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR", "OpConfig": @}'),
        ("results", '[{"image_id": 1, "category_id": 1, "score": 1, "keypoints": {"a": @}}]'),
        ("results", '[{"image_id": @}]'),
        ("params", '{"format": "hrnetae params", "version": @}'),
        ("params", '{"format": "hrnetae params", "version": 1, "params": {"tag_threshold": @}}'),
        ("params", '{"format": "hrnetae params", "version": 1, "params": {"input_size": @}}'),
        ("run_record", f'{{"format": "{RECORD_FORMAT}", "outputs": {{}}, "verb": @}}'),
    ],
)
def test_a_value_too_deep_to_be_shown(reader: str, content: str, depth: int, tmp_path: Path) -> None:
    """What json.loads takes may be too deep for the repr in the message, which raised RecursionError."""
    path = written(tmp_path, content.replace("@", nested(depth)), RECORD_NAME)
    refused(READERS[reader], path, error=ValueError)


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 400, "1e999", "NaN", "-Infinity", str(2**63), str(-(2**64))])
@pytest.mark.parametrize(
    ("reader", "content"),
    [
        ("vdsp", '{"OpType": @}'),
        ("vdsp", '{"vdsp_op_type": 303, "norma_type": 3, "mean": [@, 1, 1], "std": [1, 1, 1]}'),
        ("vdsp", '{"vdsp_op_type": 303, "oimage_width": @}'),
        ("params", '{"format": "hrnetae params", "version": 1, "params": {"tag_threshold": @, "max_num_people": 0}}'),
        ("results", '[{"image_id": @, "category_id": 1, "score": 1, "keypoints": []}]'),
        ("ground_truth", '{"images": [{"id": @, "file_name": "a"}], "annotations": [], "categories": []}'),
    ],
)
def test_numbers_that_no_type_can_hold(reader: str, content: str, number: str, tmp_path: Path) -> None:
    refused(READERS[reader], written(tmp_path, content.replace("@", number)), error=ValueError)


def test_results_with_one_long_text_among_the_numbers(tmp_path: Path) -> None:
    """NumPy made text as long as the longest of all of them: 100 kB became gigabytes."""
    person = {"image_id": 1, "category_id": 1, "keypoints": [1.0] * 51, "score": 0.5}
    persons = [person] * 200
    persons[7] = person | {"keypoints": ["x" * 100_000, *[1.0] * 50]}
    refused(read_results, written(tmp_path, json.dumps(persons)), "entry 7", "finite numbers as keypoints")


def test_ground_truth_with_many_pictures_of_one_name(tmp_path: Path) -> None:
    """Each was put into a copy of all before it."""
    images = [{"id": number, "file_name": f"{number}/a.jpg"} for number in range(20_000)]
    truth = load_ground_truth(written(tmp_path, json.dumps({"images": images, "annotations": [], "categories": []})))
    with pytest.raises(DataError, match="20000 pictures of the name a"):
        truth.picture("a")


@pytest.mark.parametrize("size", [-1, True, 1 << 31, 10**30])
def test_manifest_with_a_side_that_no_tensor_has(size: int, tmp_path: Path) -> None:
    tensor = {"name": "x", "shape": [1, size], "dtype": "float32"}
    texts = dict.fromkeys(("name", "backend", "dtype", "execution", "sha256"), "x")
    tables: dict[str, Any] = {name: {} for name in ("source", "versions", "settings", "unknown")}
    data = {"format": MANIFEST_FORMAT, **texts, **tables, "calibration": None, "inputs": [tensor], "outputs": []}
    refused(read_manifest, written(tmp_path, json.dumps(data)), "inputs with shape")


@pytest.mark.parametrize("name", ["../a.npz", "/a.npz", "a/b.npz", "C:a.npz", "a\\b.npz", "a\0.npz", "a.txt"])
def test_record_with_outputs_that_lead_elsewhere(name: str, tmp_path: Path) -> None:
    """Outputs of an earlier run may be removed: none that is not in the folder."""
    record = {"format": RECORD_FORMAT, **vars(RECORD), "outputs": {name: "x", "good.npz": "y"}}
    written(tmp_path, json.dumps(record), RECORD_NAME)
    assert recorded_outputs(tmp_path) == {"good.npz": "y"}


# ----------------------------------------------------------------------------------------------------------------- YAML


def laughs(form: str, first: str = "[lol]", depth: int = 9) -> str:
    lines = [f"a0: &a0 {first}"]
    for level in range(1, depth + 1):
        lines.append(f"a{level}: &a{level} {form % ', '.join([f'*a{level - 1}'] * 9)}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (laughs("[%s]"), "aliases of aliases"),
        (laughs("{x: [%s]}"), "aliases of aliases"),
        (laughs("{<<: [%s]}", "{lol: 1}"), "aliases of aliases"),
        ("a: &a [*a]", "aliases of aliases"),
        ("a: &a {b: *a}", "aliases of aliases"),
        ("a: &a {? *a : 1}", "aliases of aliases"),
        ("a: 0x" + "f" * 5000, "a number of 5002 digits"),
        ("a: " + "1:" * 3000 + "1", "a number of 6001 digits"),
        ('a: !!int ""', "no YAML"),
        ("a: !!bool x", "no YAML"),
        ("a: !!timestamp x", "no YAML"),
        ("a: !!float x", "no YAML"),
        ("a: 2001-99-99", "no YAML"),
        ("a: !!python/object/apply:os.system [exit]", "no YAML"),
        ("a: !!python/name:os.system", "no YAML"),
        ("name: m\n--- \nname: n\n", "no YAML"),
        ("#" * (1 << 19), "bytes, more than"),
        ("[" * 400, "no YAML"),
        ("? " * 1500, "no YAML"),
    ],
    ids=lambda value: value[:20],
)
def test_yaml_made_to_harm(text: str, part: str, tmp_path: Path) -> None:
    refused(read_vamc_config, written(tmp_path, text), part)


def test_yaml_with_a_few_aliases_is_read(tmp_path: Path) -> None:
    text = """
    name: m
    frontend: &f {type: onnx, checkpoint: m.onnx, shape: {x: [1, 3, 32, 32]}}
    backend: {dtype: fp32}
    workspace: {path: out}
    more: [*f, .nan, .inf]
    again: {<<: *f}
    """
    config = read_vamc_config(written(tmp_path, "\n".join(line[4:] for line in text.splitlines())))
    assert config.unknown["more"][1:] == ["nan", "inf"]
    json.dumps(dict(config.unknown), allow_nan=False)


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b", "..", ".", "a\\b", '"a\\0b"', "0x" + "f" * 290])
def test_yaml_whose_name_leads_elsewhere(name: str, tmp_path: Path) -> None:
    text = f"name: {name}\nfrontend: {{checkpoint: m.onnx, shape: {{x: [1]}}}}\nbackend: {{dtype: fp32}}\nworkspace: "
    path = written(tmp_path, text + "{path: out}\n")
    if name.startswith("0x"):
        assert read_vamc_config(path).name.isdigit()
    else:
        refused(read_vamc_config, path, "name is", "a name for the model folder")


# ------------------------------------------------------------------------------------------------------------- pictures


def encoded(kind: str, size: tuple[int, int] = (16, 16), **options: Any) -> bytearray:
    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, kind, **options)
    return bytearray(stream.getvalue())


def claiming(kind: str, width: int, height: int) -> bytes:
    """A small picture whose header says that it is larger."""
    data = encoded(kind, lossless=True) if kind == "webp" else encoded(kind)
    if kind == "jpeg":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    elif kind == "png":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif kind == "bmp":
        data[18:26] = struct.pack("<ii", width, -height)
    elif kind == "webp":
        data[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    else:
        at = int.from_bytes(data[4:8], "little")
        for number in range(int.from_bytes(data[at : at + 2], "little")):
            entry = at + 2 + 12 * number
            (tag,) = struct.unpack_from("<H", data, entry)
            if tag in (256, 257):
                data[entry : entry + 12] = struct.pack("<HHII", tag, 4, 1, width if tag == 256 else height)
    return bytes(data)


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp", "tiff", "webp"])
def test_a_small_picture_that_claims_to_be_large(kind: str, tmp_path: Path) -> None:
    side = 16383 if kind == "webp" else 60_000
    refused(read_picture, written(tmp_path, claiming(kind, side, side)), f"{side} x {side} pixels")


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp", "tiff", "webp"])
def test_the_size_in_a_header_that_is_not_too_large_is_the_picture_s(kind: str, tmp_path: Path) -> None:
    assert read_picture(written(tmp_path, bytes(encoded(kind, (31, 17))))).shape == (17, 31, 3)


def test_the_size_of_a_picture_that_claims_to_be_large(tmp_path: Path) -> None:
    """Pillow warns of it or raises an error of its own; here only its size is asked for."""
    assert picture_size(written(tmp_path, claiming("jpeg", 10_000, 10_000))) == (10_000, 10_000)
    refused(picture_size, written(tmp_path, claiming("png", 60_000, 60_000)), "expected a picture")


def test_a_jpeg_of_many_scans(tmp_path: Path) -> None:
    """Each scan of some bytes makes the decoder go over all pixels."""
    data = bytes(encoded("jpeg", (4096, 4096), progressive=True, quality=1))
    scan = data.rindex(b"\xff\xda")
    path = written(tmp_path, data[:scan] + 300 * data[scan:-2] + data[-2:])
    refused(read_picture, path, "scans over 4096 x 4096 pixels")


def test_a_png_whose_last_chunk_claims_gigabytes(tmp_path: Path) -> None:
    """Found by the fuzzer (pictures, seed 0, case 71232): OpenCV took 1.2 GB for it, in five seconds."""
    data = bytearray(encoded("png"))
    end = data.rindex(b"IEND")
    data[end - 4 : end] = b"I\0\0\0"
    refused(read_picture, written(tmp_path, bytes(data)), "the end of the file is missing")


def test_a_tiff_whose_directory_lies_beyond_all_files(tmp_path: Path) -> None:
    """Found by the fuzzer (pictures, seed 0, case 2844): an OverflowError."""
    data = b"II+\0" + struct.pack("<HHQ", 8, 0, (1 << 64) - 8) + bytes(64)
    refused(read_picture, written(tmp_path, data), "not a picture that OpenCV can decode")
    refused(picture_size, written(tmp_path, data), "expected a picture")


@pytest.mark.parametrize("kind", ["gif", "ppm", "jpeg2000", "ico"])
def test_formats_that_nobody_judged(kind: str, tmp_path: Path) -> None:
    try:
        data = bytes(encoded(kind))
    except OSError:
        pytest.skip(f"Pillow cannot write {kind} here")
    refused(read_picture, written(tmp_path, data), "not a picture that OpenCV can decode")
    refused(picture_size, written(tmp_path, data), "not a picture")


# ---------------------------------------------------------------------------------------------------------- in general


def test_arrays_in_range_are_still_read(tmp_path: Path) -> None:
    """The bounds do not touch what the flow writes."""
    maps = np.zeros((34, 8, 8), np.float16)
    np.savez_compressed(tmp_path / "a.npz", output_0=maps)
    (found,) = read_outputs(tmp_path / "a.npz")
    assert found.shape == maps.shape
    np.savez_compressed(tmp_path / "b.npz", input_0=np.zeros((3, 999, 999), np.uint8))
    assert read_input(tmp_path / "b.npz").shape == (3, 999, 999)
