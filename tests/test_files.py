"""Reading and writing of the flow's files: npz, datalists, output folders, atomic writing."""

from __future__ import annotations

import io
import os
import pickle
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnetae.files import (
    DataError,
    atomic_write,
    find_outputs,
    npz,
    pair_by_name,
    read_datalist,
    read_outputs,
    write_outputs,
)
from hrnetae.files.npz import ReadBuffer, write_arrays


def some_maps(channels: int = 34, side: int = 8, seed: int = 0) -> NDArray[np.float16]:
    return np.random.default_rng(seed).normal(size=(1, channels, side, side)).astype(np.float16)


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        (folder / name).touch()


def datalist(folder: Path, *lines: str) -> Path:
    path = folder / "datalist.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def message(error: pytest.ExceptionInfo[DataError], *parts: object) -> None:
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text


# ----------------------------------------------------------------------------------------------------- atomic writing


def test_atomic_write_takes_the_name_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.json"
    with atomic_write(target, sync=True) as handle:
        handle.write(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_write_leaves_what_was_there_on_error(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file.json"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_write(target) as handle:
        handle.write(b"half")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_atomic_write_keeps_to_the_umask_and_follows_links(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with atomic_write(tmp_path / "link") as handle:
        handle.write(b"x")
    (tmp_path / "plain").touch()
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="there is no /dev/null")
def test_atomic_write_does_not_replace_a_device() -> None:
    with atomic_write(os.devnull) as handle:
        handle.write(b"x")
    assert not Path(os.devnull).is_file()


# ---------------------------------------------------------------------------------------------------------------- npz


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("batch", [False, True])
def test_npz_round_trip(tmp_path: Path, dtype: type, batch: bool) -> None:
    maps = some_maps().astype(np.float32)
    second = some_maps(17, 16)[0].astype(np.float32)
    write_outputs(tmp_path / "o.npz", [maps if batch else maps[0], second], dtype=dtype)
    stages = read_outputs(tmp_path / "o.npz")
    assert [stage.shape for stage in stages] == [(34, 8, 8), (17, 16, 16)]
    assert all(stage.dtype == dtype for stage in stages)
    np.testing.assert_array_equal(stages[0], maps[0].astype(dtype))
    with np.load(tmp_path / "o.npz") as file:
        assert file.files == ["output_0", "output_1"]
        assert file["output_0"].shape == (1, 34, 8, 8)


def test_npz_bytes_depend_on_the_arrays_alone(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_outputs(tmp_path / name, [some_maps()])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    np.savez(tmp_path / "c.npz", output_0=some_maps())
    assert (tmp_path / "c.npz").stat().st_size == (tmp_path / "a.npz").stat().st_size
    with pytest.raises(ValueError, match="Object arrays"):
        write_arrays(tmp_path / "d.npz", {"output_0": np.array([None])})
    assert not (tmp_path / "d.npz").exists()


@pytest.mark.parametrize(
    "stored",
    [
        some_maps()[0],
        np.asfortranarray(some_maps()),
        np.asfortranarray(some_maps()[0].astype(np.float32)),
        some_maps().astype(">f2"),
        some_maps().astype("<f4"),
    ],
)
def test_npz_as_others_write_it(tmp_path: Path, stored: NDArray[Any]) -> None:
    np.savez_compressed(tmp_path / "o.npz", output_0=stored)
    (maps,) = read_outputs(tmp_path / "o.npz")
    assert maps.dtype in (np.float16, np.float32)
    np.testing.assert_array_equal(maps, stored.reshape(34, 8, 8))


def test_npz_write_wants_maps(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"stages\[0\].*\(2, 34, 8, 8\).*expected"):
        write_outputs(tmp_path / "o.npz", [np.zeros((2, 34, 8, 8))])
    assert not list(tmp_path.iterdir())


BAD_ARRAYS = {
    "wrong key": ({"arr_0": some_maps()}, ("arr_0", "expected output_0")),
    "input": ({"input_0": np.zeros((3, 8, 8), np.uint8)}, ("input_0", "expected output_0")),
    "gap": ({"output_0": some_maps(), "output_2": some_maps(17)}, ("output_2", "expected output_0")),
    "flat": ({"output_0": some_maps().ravel()}, ("shape (2176,)", "expected (C, H, W)")),
    "batch of 2": ({"output_0": np.zeros((2, 34, 8, 8), np.float16)}, ("shape (2, 34, 8, 8)", "(1, C, H, W)")),
    "no pixels": ({"output_0": np.zeros((34, 0, 8), np.float16)}, ("shape (34, 0, 8)", "expected")),
    "float64": ({"output_0": some_maps().astype(np.float64)}, ("float64", "expected float16 or float32")),
    "uint8": ({"output_0": some_maps().astype(np.uint8)}, ("uint8", "expected float16 or float32")),
    "structured": ({"output_0": np.zeros((34, 8, 8), [("x", "<f2")])}, ("expected float16 or float32",)),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_npz_with_other_arrays(tmp_path: Path, name: str) -> None:
    arrays, parts = BAD_ARRAYS[name]
    write_arrays(tmp_path / "o.npz", arrays)
    with pytest.raises(DataError) as error:
        read_outputs(tmp_path / "o.npz")
    message(error, tmp_path / "o.npz", *parts)


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def test_npz_never_opens_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "object.npz", output_0=np.array([Bomb()], dtype=object))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Bomb()))
    for name in ("object.npz", "pickle.npz"):
        with pytest.raises(DataError) as error:
            read_outputs(tmp_path / name)
        message(error, name)
    assert not (tmp_path / "exploded").exists()


def test_npz_that_is_no_whole_archive(tmp_path: Path) -> None:
    write_outputs(tmp_path / "whole.npz", [some_maps()])
    whole = (tmp_path / "whole.npz").read_bytes()
    flipped_bit = bytearray(whole)
    flipped_bit[len(whole) // 2] ^= 1
    np.save(tmp_path / "array.npy", some_maps())
    damaged = {
        "empty": (b"", "empty file"),
        "half": (whole[: len(whole) // 2], "truncated"),
        "no end": (whole[:-1], "truncated"),
        "text": (b"not an archive", "truncated, or not"),
        "npy": ((tmp_path / "array.npy").read_bytes(), "truncated, or not"),
        "head cut": (whole[100:], ""),
        "bit": (bytes(flipped_bit), "CRC"),
    }
    path = tmp_path / "o.npz"
    for data, part in damaged.values():
        path.write_bytes(data)
        with pytest.raises(DataError) as error:
            read_outputs(path, verify=part == "CRC")
        message(error, path, part, "expected")


@pytest.mark.parametrize("cut", range(0, 4400, 97))
def test_npz_cut_anywhere(tmp_path: Path, cut: int) -> None:
    write_outputs(tmp_path / "whole.npz", [some_maps()])
    path = tmp_path / "o.npz"
    path.write_bytes((tmp_path / "whole.npz").read_bytes()[:cut])
    with pytest.raises(DataError) as error:
        read_outputs(path)
    message(error, path)


def npy(header: str, version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 * version, "little") + header.encode()


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY",
        npy("")[:9],
        npy("", version=9),
        npy("{'descr': '<f2'}"),
        npy("{'descr': '<f2'"),
        npy("[" * 3000),
        npy("__import__('os')"),
        npy("{'descr': '<f2', 'fortran_order': False, 'shape': (34, 99999999, 99999999)}", version=2),
        npy("{'descr': '<f2', 'fortran_order': False, 'shape': (34, -8, -8)}"),
        npy("{'descr': '<f2', 'fortran_order': False, 'shape': 34}"),
        npy("{'descr': '', 'fortran_order': False, 'shape': (34, 8, 8)}"),
    ],
)
def test_npz_with_a_strange_member(tmp_path: Path, member: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "o.npz", "w") as archive:
        archive.writestr("output_0.npy", member)
    with pytest.raises(DataError) as error:
        read_outputs(tmp_path / "o.npz")
    message(error, tmp_path / "o.npz")


def test_npz_missing_or_a_folder(tmp_path: Path) -> None:
    for path, part in ((tmp_path / "absent.npz", "no such file"), (tmp_path, "directory")):
        with pytest.raises(DataError) as error:
            read_outputs(path)
        message(error, path, part)


# ------------------------------------------------------------------------------------------- npz, read in one go


def plain_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was left to the archive library")

    monkeypatch.setattr(npz, "_read_archive", refuse)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("verify", [False, True])
def test_npz_as_the_accelerator_writes_it_is_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type, verify: bool
) -> None:
    maps: NDArray[Any] = some_maps().astype(dtype)
    second: NDArray[Any] = some_maps(17, 16).astype(dtype)
    write_outputs(tmp_path / "ours.npz", [maps, second], dtype=dtype)
    np.savez(tmp_path / "numpys.npz", output_0=maps, output_1=second[0])
    plain_only(monkeypatch)
    buffer = ReadBuffer()
    for name in ("ours.npz", "numpys.npz"):
        for into in (None, buffer, buffer):
            stages = read_outputs(tmp_path / name, verify=verify, into=into)
            assert all(stage.dtype == dtype and stage.flags.aligned and stage.flags.c_contiguous for stage in stages)
            assert stages[0].ctypes.data % 64 == 0
            np.testing.assert_array_equal(stages[0], maps[0])
            np.testing.assert_array_equal(stages[1], second[0])


def test_npz_arrays_lie_in_the_buffer_until_its_next_use(tmp_path: Path) -> None:
    for number in range(3):
        write_outputs(tmp_path / f"{number}.npz", [some_maps(seed=number)])
    write_outputs(tmp_path / "large.npz", [some_maps(side=32)])
    buffer = ReadBuffer()
    where = {read_outputs(tmp_path / f"{number}.npz", into=buffer)[0].ctypes.data for number in range(3)}
    assert len(where) == 1
    (kept,) = read_outputs(tmp_path / "0.npz", into=buffer)
    (large,) = read_outputs(tmp_path / "large.npz", into=buffer)  # needs more room, which leaves the arrays alone
    np.testing.assert_array_equal(large, some_maps(side=32)[0])
    np.testing.assert_array_equal(kept, some_maps(seed=0)[0])


@pytest.mark.parametrize("shift", range(1, 9))
def test_npz_at_any_place_in_the_file(tmp_path: Path, shift: int) -> None:
    """Extra fields move the arrays by single bytes; they come out aligned all the same."""
    maps = some_maps().astype(np.float32)
    with zipfile.ZipFile(tmp_path / "o.npz", "w") as archive:
        archive.writestr("output_0.npy", npy_file(maps))
        archive.writestr("output_1.npy", npy_file(maps[:, :17]))
    data = zipfile_with_padding(tmp_path / "o.npz", shift)
    (tmp_path / "o.npz").write_bytes(data)
    buffer = ReadBuffer()
    for _ in range(2):
        first, second = read_outputs(tmp_path / "o.npz", into=buffer)
        assert first.flags.aligned and second.flags.aligned
        np.testing.assert_array_equal(first, maps[0])
        np.testing.assert_array_equal(second, maps[0, :17])


def npy_file(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zipfile_with_padding(path: Path, shift: int) -> bytes:
    """The same archive with ``shift`` bytes of extra field in front of every member's data."""
    stream = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            info = zipfile.ZipInfo(name)
            info.extra = b"\xfe\xca" + shift.to_bytes(2, "little") + bytes(shift)
            new.writestr(info, old.read(name))
    return stream.getvalue()


def test_npz_in_archives_that_are_not_plain(tmp_path: Path) -> None:
    maps = some_maps()
    path = tmp_path / "o.npz"
    write_outputs(path, [maps])
    whole = path.read_bytes()
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"a comment"
    commented = path.read_bytes()
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", b"another member")
    for data in (commented, path.read_bytes(), b"bytes in front" + whole):
        path.write_bytes(data)
        np.testing.assert_array_equal(read_outputs(path)[0], maps[0])


@pytest.mark.parametrize("verify", [False, True])
def test_npz_with_bytes_changed(tmp_path: Path, verify: bool) -> None:
    """Whatever stands in the headers and the directory: the maps as they are in the file, or an error that says so."""
    maps = some_maps()
    path = tmp_path / "o.npz"
    write_outputs(path, [maps])
    whole = path.read_bytes()
    buffer = ReadBuffer()
    rng = np.random.default_rng(0)
    headers = [*range(190), *range(190 + maps.nbytes, len(whole))]
    for place in headers:
        data = bytearray(whole)
        data[place] = rng.choice([0, 255, data[place] ^ 1, data[place] ^ 0x80, rng.integers(256)])
        path.write_bytes(data)
        try:
            (read,) = read_outputs(path, verify=verify, into=buffer)
        except DataError as error:
            assert str(path) in str(error)
        else:
            assert read.size == maps.size
            if verify or read.shape == maps[0].shape:
                np.testing.assert_array_equal(read.view(np.uint16), maps[0].view(np.uint16))


def test_npz_bytes_are_those_of_the_libraries(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "output_0": some_maps(),
        "output_1": np.asfortranarray(some_maps(17)),
        "single": some_maps().astype(">f4"),
        "empty": np.zeros((0, 3)),
        "number": np.array(1.5),
        "whole": np.arange(5),
        "every_second": some_maps()[:, ::2],
    }
    write_arrays(tmp_path / "o.npz", arrays)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array)
    assert (tmp_path / "o.npz").read_bytes() == stream.getvalue()


# ----------------------------------------------------------------------------------------------------------- datalist


def test_datalist_in_all_its_spellings(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    lines = ["/data/a.npz", "a_flip.npz", r"C:\my data\b c.npz", "./x/b c_flip.npz", "d.v2.npz", "d.v2_flip.npz"]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n\r\n  \n")
    listed = read_datalist(path)
    assert listed.stems == ("a", "a_flip", "b c", "b c_flip", "d.v2", "d.v2_flip")
    assert [(p.stem, p.line, p.flip) for p in pair_by_name(listed)] == [("a", 0, 1), ("b c", 2, 3), ("d.v2", 4, 5)]


def test_datalist_with_folders_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("/数据/a.npz\n".encode("gbk"))
    assert read_datalist(path).stems == ("a",)


def test_datalist_pairs_by_name_not_by_place(tmp_path: Path) -> None:
    listed = read_datalist(datalist(tmp_path, "b_flip.npz", "a.npz", "b.npz", "a_flip.npz"))
    assert [(p.stem, p.line, p.flip) for p in pair_by_name(listed)] == [("a", 1, 3), ("b", 2, 0)]
    assert [(p.stem, p.line, p.flip) for p in pair_by_name(listed, use_flip=False)] == [("a", 1, None), ("b", 2, None)]


def test_datalist_without_flips(tmp_path: Path) -> None:
    listed = read_datalist(datalist(tmp_path, "a.npz", "b.npz"))
    assert [(p.stem, p.line, p.flip) for p in pair_by_name(listed)] == [("a", 0, None), ("b", 1, None)]


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (("a.npz", "b_flip.npz"), ("line 1", "a_flip")),
        (("a.npz", "a_flip.npz", "b_flip.npz"), ("line 3", "b_flip", "picture b ")),
        (("a.npz", "a_flip.npz", "b.npz"), ("line 3", "b_flip", "--no_flip")),
        (("a.npz", "x/a.npz"), ("a stands", "line 1", "line 2")),
        (("a.npz", "", "b.npz"), ("line 2",)),
        (("a.npz", "folder/", "b.npz"), ("line 2",)),
    ],
)
def test_datalist_that_does_not_fit(tmp_path: Path, lines: tuple[str, ...], parts: tuple[str, ...]) -> None:
    path = datalist(tmp_path, *lines)
    with pytest.raises(DataError) as error:
        pair_by_name(read_datalist(path))
    message(error, path, *parts)


@pytest.mark.parametrize(("data", "part"), [(b"", "empty"), (b"\n \r\n", "empty"), (b"PK\0\0", "binary")])
def test_datalist_that_is_none(tmp_path: Path, data: bytes, part: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_datalist(path)
    message(error, path, part)
    with pytest.raises(DataError) as error:
        read_datalist(tmp_path / "absent.txt")
    message(error, "absent.txt", "no such file")


def test_datalist_of_flips_alone(tmp_path: Path) -> None:
    listed = read_datalist(datalist(tmp_path, "a_flip.npz"))
    for use_flip in (True, False):
        with pytest.raises(DataError) as error:
            pair_by_name(listed, use_flip)
        message(error, listed.path, "a_flip")


# ------------------------------------------------------------------------------------------------------------ folders


def names(folder: Path, *args: Any, **kwargs: Any) -> list[tuple[str, str, str | None]]:
    found = find_outputs(folder, *args, **kwargs)
    return [(s.stem, s.output.name, s.flipped.name if s.flipped else None) for s in found.samples]


def test_vamp_layout_numbers_the_lines(tmp_path: Path) -> None:
    touch(tmp_path / "out", *(f"output_{i:06d}.npz" for i in range(4)), "report.yaml")
    listed = datalist(tmp_path, "b.npz", "a_flip.npz", "b_flip.npz", "a.npz")
    assert find_outputs(tmp_path / "out", listed).layout == "vamp"
    assert find_outputs(tmp_path / "out", listed).flip
    assert names(tmp_path / "out", listed) == [
        ("b", "output_000000.npz", "output_000002.npz"),
        ("a", "output_000003.npz", "output_000001.npz"),
    ]
    assert names(tmp_path / "out", listed, use_flip=False) == [
        ("b", "output_000000.npz", None),
        ("a", "output_000003.npz", None),
    ]


def test_vamp_layout_beside_its_inputs(tmp_path: Path) -> None:
    touch(tmp_path / "out", "output_000000.npz", "output_000001.npz", "a.npz", "a_flip.npz")
    listed = datalist(tmp_path, "a.npz", "a_flip.npz")
    assert names(tmp_path / "out", listed) == [("a", "output_000000.npz", "output_000001.npz")]


def test_pictures_called_like_outputs_are_taken_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "out", "output_000000.npz", "output_000001.npz")
    listed = datalist(tmp_path, "output_000001.npz", "output_000000.npz")
    assert names(tmp_path / "out", listed)[0] == ("output_000001", "output_000001.npz", None)


def test_an_interrupted_vamp_run(tmp_path: Path) -> None:
    touch(tmp_path / "out", "output_000000.npz", "output_000002.npz")
    listed = datalist(tmp_path, "a.npz", "b.npz", "c.npz", "d.npz")
    with pytest.raises(DataError) as error:
        find_outputs(tmp_path / "out", listed)
    message(error, tmp_path / "out", "2 of 4 outputs", "output_000001.npz (b), output_000003.npz (d)")


def test_more_outputs_than_lines(tmp_path: Path) -> None:
    touch(tmp_path / "out", *(f"output_{i:06d}.npz" for i in range(4)))
    found = find_outputs(tmp_path / "out", datalist(tmp_path, "a.npz", "b.npz", "c.npz"))
    assert len(found.samples) == 3
    assert "4 numbered outputs" in found.warnings[0] and "3 lines" in found.warnings[0]
    with pytest.raises(DataError) as error:
        find_outputs(tmp_path / "out", datalist(tmp_path, "a.npz", "b.npz"))
    message(error, "4 numbered outputs", "2 lines", "no flips")


def test_runstream_layout_with_a_second_folder(tmp_path: Path) -> None:
    touch(tmp_path / "out", "b.npz", "a.npz")
    touch(tmp_path / "flip", "a.npz", "b_flip.npz")
    assert find_outputs(tmp_path / "out").layout == "runstream"
    assert names(tmp_path / "out") == [("a", "a.npz", None), ("b", "b.npz", None)]
    found = find_outputs(tmp_path / "out", output_flip=tmp_path / "flip")
    assert [sample.flipped for sample in found.samples] == [tmp_path / "flip/a.npz", tmp_path / "flip/b_flip.npz"]
    assert names(tmp_path / "out", datalist(tmp_path, "b.npz"), tmp_path / "flip") == [("b", "b.npz", "b_flip.npz")]
    assert names(tmp_path / "out", None, tmp_path / "absent", use_flip=False) == names(tmp_path / "out")


def test_runstream_layout_with_flips_beside(tmp_path: Path) -> None:
    touch(tmp_path / "out", "b.npz", "a.npz", "a_flip.npz", "b_flip.npz")
    expected = [("a", "a.npz", "a_flip.npz"), ("b", "b.npz", "b_flip.npz")]
    assert names(tmp_path / "out") == expected
    assert names(tmp_path / "out", datalist(tmp_path, "a.npz", "b.npz")) == expected
    assert names(tmp_path / "out", datalist(tmp_path, "b.npz", "b_flip.npz")) == expected[1:]
    assert names(tmp_path / "out", use_flip=False) == [("a", "a.npz", None), ("b", "b.npz", None)]


@pytest.mark.parametrize(
    ("outputs", "flips", "lines", "parts"),
    [
        (("a.npz", "b.npz", "b_flip.npz"), None, None, ("1 of 4 outputs is missing", "a_flip.npz")),
        (("a.npz", "a_flip.npz", "b_flip.npz"), None, None, ("b_flip.npz", "b.npz", "not there")),
        (("a_flip.npz",), None, None, ("only outputs of flips", "a_flip", "expected pictures")),
        (("a.npz",), None, ("a.npz", "b.npz"), ("1 of 2 outputs is missing", "b.npz")),
        (("a.npz",), None, ("a.npz", "a_flip.npz"), ("1 of 2 outputs is missing", "a_flip.npz")),
        (("a.npz", "b.npz"), ("a.npz",), None, ("flip: 1 of 2 outputs is missing", "b.npz")),
        (("a.npz",), (), None, ("flip: no .npz file",)),
        ((), None, None, ("out: no .npz file", "expected output_000000.npz")),
        (("output_000000.npz",), None, None, ("output_000000", "--datalist_txt")),
        (("output_000000.npz",), ("output_000000.npz",), ("a.npz",), ("--output_flip", "datalist")),
        (("x.npz", "y.npz"), None, ("a.npz",), ("2 .npz files", "x, y", "output_000000", "runstream")),
        (("output_0000.npz",), None, ("a.npz",), ("1 .npz files", "output_0000,", "output_000000", "runstream")),
    ],
)
def test_folders_that_do_not_fit(
    tmp_path: Path,
    outputs: tuple[str, ...],
    flips: tuple[str, ...] | None,
    lines: tuple[str, ...] | None,
    parts: tuple[str, ...],
) -> None:
    touch(tmp_path / "out", *outputs)
    if flips is not None:
        touch(tmp_path / "flip", *flips)
    with pytest.raises(DataError) as error:
        find_outputs(
            tmp_path / "out",
            datalist(tmp_path, *lines) if lines else None,
            tmp_path / "flip" if flips is not None else None,
        )
    message(error, tmp_path, *parts)


def test_folders_that_are_none(tmp_path: Path) -> None:
    touch(tmp_path, "a.npz")
    for folder, part in ((tmp_path / "absent", "no such folder"), (tmp_path / "a.npz", "expected a folder")):
        with pytest.raises(DataError) as error:
            find_outputs(folder)
        message(error, folder, part)


def test_the_second_folder_is_another_one(tmp_path: Path) -> None:
    touch(tmp_path, "a.npz")
    with pytest.raises(DataError) as error:
        find_outputs(tmp_path, output_flip=tmp_path)
    message(error, tmp_path, "expected one of the flips' outputs")


def test_only_flips_and_no_flip(tmp_path: Path) -> None:
    touch(tmp_path, "a_flip.npz")
    with pytest.raises(DataError) as error:
        find_outputs(tmp_path, use_flip=False)
    message(error, tmp_path, "a_flip", "expected pictures")
