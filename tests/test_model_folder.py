"""Model folders: written whole or not at all, and found by every form of prefix."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hrnetae.files.errors import DataError
from hrnetae.files.model_folder import (
    Manifest,
    TensorInfo,
    check_target,
    find_model,
    mend_model,
    read_manifest,
    write_model,
)

MANIFEST = Manifest(
    name="hrnet",
    backend="onnxruntime",
    dtype="int8",
    execution="8-bit",
    inputs=(TensorInfo("input.1", (1, 3, 64, 64), "float32"),),
    outputs=(TensorInfo("heat", (1, 34, 16, 16), "float32"), TensorInfo("tags", (1, 17, 32, 32), "float16")),
    source={"file": "hrnet.onnx", "sha256": "00"},
    sha256="11",
    versions={"onnx": "1"},
    calibration={"mode": "max", "pictures": 3},
    settings={"backend.compile.cluster_mode": 0},
    unknown={"backend.magic": [1, {"a": None}]},
)


def write(folder: Path, onnx: bytes = b"network") -> Path:
    write_model(folder, onnx, MANIFEST)
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "deep" / "hrnet")
    assert sorted(path.name for path in folder.iterdir()) == ["mod.json", "mod.onnx"]
    assert (folder / "mod.onnx").read_bytes() == b"network"
    assert read_manifest(folder / "mod.json") == MANIFEST
    assert [path.name for path in folder.parent.iterdir()] == ["hrnet"]  # nothing is left beside it


def test_a_manifest_without_calibration(tmp_path: Path) -> None:
    manifest = dataclasses.replace(MANIFEST, calibration=None)
    write_model(tmp_path / "m", b"", manifest)
    assert read_manifest(tmp_path / "m" / "mod.json") == manifest


@pytest.mark.parametrize(
    "prefix",
    ["w/hrnet-int8-max-1_3_64_64-vacc", "w/hrnet-int8-max-1_3_64_64-vacc/mod", "w/hrnet-int8-max-1_3_64_64-vacc/hrnet"],
)
def test_prefixes_of_a_folder(tmp_path: Path, prefix: str) -> None:
    folder = write(tmp_path / "w" / "hrnet-int8-max-1_3_64_64-vacc")
    found = find_model(tmp_path / prefix)
    assert found.onnx == folder / "mod.onnx" and found.manifest == MANIFEST


def test_other_prefixes(tmp_path: Path) -> None:
    folder = write(tmp_path / "pose_int8")
    for prefix in ("pose_int8/mod.onnx", "pose_int8/pose_int8", "pose_int8/", "pose_int8/hrnet"):
        assert find_model(os.fspath(tmp_path / prefix)).onnx == folder / "mod.onnx"
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "net.v2.onnx").write_bytes(b"n")
    for prefix in ("bare", "bare/net.v2", "bare/net.v2.onnx"):
        found = find_model(tmp_path / prefix)
        assert found.onnx == bare / "net.v2.onnx" and found.manifest is None


def test_the_vendors_graph_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "mod.onnx").write_bytes(b"n")
    (tmp_path / "mod.json").write_text(json.dumps({"nodes": [], "heads": []}))
    assert find_model(tmp_path).manifest is None


@pytest.mark.parametrize("prefix", ["d/mod", "d", "d/hrnet"])
def test_a_vendors_model_alone_is_named(tmp_path: Path, prefix: str) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for name in ("mod.so", "mod.params", "mod.json"):
        (folder / name).write_text("{}")
    with pytest.raises(DataError, match=r"only the vendor's model \(mod\.so\)"):
        find_model(tmp_path / prefix)


def test_prefixes_that_name_nothing(tmp_path: Path) -> None:
    write(tmp_path / "pose")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "two").mkdir()
    for name in ("a", "b"):
        (tmp_path / "two" / f"{name}.onnx").write_bytes(b"n")
    for prefix, words in (
        ("nothing/mod", "no such model"),
        ("pose/other", "no such model"),
        ("empty", "no ONNX file"),
        ("notes.txt", "expected an ONNX file"),
        ("two", "a.onnx, b.onnx"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            find_model(tmp_path / prefix)
        assert str(tmp_path / prefix) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": None}, "inputs is NoneType"),
        ({"outputs": [{"name": "x", "dtype": "float32"}]}, "no 'shape'"),
        ({"outputs": [{"name": "x", "dtype": "float32", "shape": ["a"]}]}, "outputs is str"),
        ({"dtype": 7}, "dtype is int"),
        ({"settings": []}, "settings is list"),
    ],
)
def test_a_broken_manifest_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = write(tmp_path / "m") / "mod.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=words) as caught:
        find_model(tmp_path / "m")
    assert str(path) in str(caught.value)


def test_a_manifest_cut_short_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "m") / "mod.json"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="no JSON"):
        find_model(tmp_path / "m" / "mod")


def test_an_earlier_model_is_replaced(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    write(folder, b"newer")
    assert (folder / "mod.onnx").read_bytes() == b"newer"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("name", ["notes.txt", "mod.so"])
def test_other_files_are_never_lost(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "m")
    (folder / name).write_text("mine")
    with pytest.raises(DataError, match=rf"holds {name}"):
        write(folder, b"newer")
    assert (folder / name).read_text() == "mine" and (folder / "mod.onnx").read_bytes() == b"network"


def test_a_vendors_graph_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mod.json").write_text('{"nodes": []}')
    with pytest.raises(DataError, match=r"holds mod\.json"):
        check_target(tmp_path)


@pytest.mark.parametrize("call", ["write_text", "write_bytes", "rename"])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, there: bool, error: BaseException
) -> None:
    folder = tmp_path / "m"
    if there:
        write(folder)
    real = getattr(Path, call)

    def fail(path: Path, *args: Any, **settings: Any) -> Any:
        if call == "rename" and Path(args[0]).name != "m":
            return real(path, *args, **settings)  # an old folder may step aside
        monkeypatch.setattr(Path, call, real)
        raise error

    monkeypatch.setattr(Path, call, fail)
    with pytest.raises(type(error)):
        write(folder, b"newer")
    assert folder.exists() == there
    if there:
        assert (folder / "mod.onnx").read_bytes() == b"network"
        assert read_manifest(folder / "mod.json") == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == (["m"] if there else [])


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="a file, expected a folder"):
        check_target(tmp_path / "file")


@pytest.mark.parametrize("replaced", [False, True])
def test_a_model_that_stepped_aside_comes_back(tmp_path: Path, replaced: bool) -> None:
    """As a process that was killed in mid-replacement leaves it."""
    write(tmp_path / "m")
    (tmp_path / "m").rename(tmp_path / ".m.old")
    write(tmp_path / "n", b"newer").rename(tmp_path / (f"{'m' if replaced else '.m.new'}"))
    mend_model(tmp_path / "m")
    assert (tmp_path / "m" / "mod.onnx").read_bytes() == (b"newer" if replaced else b"network")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
