"""What docs/security.md promises of files by strangers, where no other test shows it.

Nothing in a file is run, and no name in a file leads the program to write, remove or read outside of where it was sent.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from flows import make_flow, names, vamp
from report_scenes import PERSON, evaluated, results_of
from small_networks import write_network
from test_compare import make_truth, perfect
from test_report import HOSTILE, parsed

from hrnetae.evaluation.report.html import report_page
from hrnetae.evaluation.results import write_results
from hrnetae.files.atomic import atomic_write
from hrnetae.files.errors import DataError
from hrnetae.files.pictures import write_picture
from hrnetae.files.run_record import RECORD_NAME, RunRecord, recorded_outputs, write_record
from hrnetae.files.vamc_config import read_vamc_config
from hrnetae.runtime.sessions import open_session
from hrnetae.tools import cli

# ---------------------------------------------------------------------------------------------------------------------
# Nothing is run


class MakesAFile:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def tar_checkpoint(evil: bytes) -> bytes:
    """A checkpoint as torch before 0.1.10 wrote it: a tar archive, here with the same pickle in all its members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = len(evil)
            archive.addfile(info, io.BytesIO(evil))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["tar", "bare pickle", "zip within a zip"])
def test_no_format_of_a_checkpoint_runs_code(kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="checkpoints need torch, the extra [export]")
    from hrnetae.networks.checkpoints import read_state_dict

    evil = MakesAFile(tmp_path / "made")
    inner = io.BytesIO()
    torch.save({"x": evil}, inner)
    content = {"tar": tar_checkpoint(pickle.dumps(evil)), "bare pickle": pickle.dumps(evil)}
    path = tmp_path / "a.pth"
    if kind in content:
        path.write_bytes(content[kind])
    else:  # bytes in a checkpoint are bytes
        torch.save({"state_dict": {"w": torch.zeros(1)}, "x": inner.getvalue()}, path)
    if kind == "zip within a zip":
        assert list(read_state_dict(path)) == ["w"]
    else:
        with pytest.raises(DataError, match=r"a\.pth: "):
            read_state_dict(path)
    assert not (tmp_path / "made").exists()
    pickle.loads(pickle.dumps(evil))  # it would have
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("verb", ["vamc", "vamp"])
def test_yaml_makes_no_objects(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made"
    (tmp_path / "a.yaml").write_text(f"name: !!python/object/apply:os.mkdir ['{made}']\n")
    if verb == "vamc":
        with pytest.raises(DataError, match=r"a\.yaml: "):
            read_vamc_config(tmp_path / "a.yaml")
    else:
        flow = make_flow(tmp_path / "flow", count=1)
        assert vamp(flow.listed(tmp_path / "out", "-c", tmp_path / "a.yaml")) != 0
        assert "a.yaml" in capsys.readouterr().err
    assert not made.exists()


# ---------------------------------------------------------------------------------------------------------------------
# Paths in files


def with_external_weights(path: Path, location: str) -> Path:
    """A network whose weights lie in another file."""
    model = onnx.load(str(write_network(path)))
    weights = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    (path.parent.parent / "secret.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("how", ["up", "absolute", "link"])
def test_a_network_reads_no_weights_outside_of_its_folder(how: str, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    secret = tmp_path / "secret.bin"
    location = {"up": "../secret.bin", "absolute": str(secret), "link": "link.bin"}[how]
    path = with_external_weights(tmp_path / "models" / "a.onnx", location)
    (path.parent / "link.bin").symlink_to(secret)
    with pytest.raises(DataError, match=r"a\.onnx: "):
        open_session(path)
    with pytest.raises(Exception, match=r"outside|absolute|symbolic"):  # what vamc build reads it by
        onnx.load(str(path))
    with_external_weights(path, "beside.bin")
    (path.parent / "beside.bin").write_bytes(secret.read_bytes())
    assert open_session(path).outputs  # one that lies beside it is read


def test_a_run_record_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    record = RunRecord("vamp", "b", "float16", "m", "v")
    there = tmp_path / "victim.npz"
    hostile = ("../victim.npz", str(there), "..\\victim.npz", "a\0.npz", "c:victim.npz", "..", "victim.txt", "")
    write_record(tmp_path / "out", record, dict.fromkeys([*hostile, "output_000000.npz"], "x"))
    assert list(recorded_outputs(tmp_path / "out")) == ["output_000000.npz"]


def test_a_new_run_removes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    flow = make_flow(tmp_path / "flow", count=1)
    victim = tmp_path / "victim.npz"
    victim.write_bytes(b"mine")
    assert vamp(flow.listed(tmp_path / "out")) == 0
    record = json.loads((tmp_path / "out" / RECORD_NAME).read_text())
    record["model"], record["outputs"] = "another", {"../victim.npz": "x", str(victim): "x"}
    (tmp_path / "out" / RECORD_NAME).write_text(json.dumps(record))
    assert vamp(flow.listed(tmp_path / "out")) == 0
    assert victim.read_bytes() == b"mine"


def test_an_output_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    flow = make_flow(tmp_path / "flow", count=1)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "out").mkdir()
    link = tmp_path / "out" / names(1)[0]
    link.symlink_to(victim)
    assert vamp(flow.listed(tmp_path / "out")) == 0
    assert victim.read_bytes() == b"mine" and link.is_file() and not link.is_symlink()


def test_names_of_outputs_stay_in_their_folder(tmp_path: Path) -> None:
    """A list's lines are paths, and any file that they name is read; what is written has numbers."""
    flow = make_flow(tmp_path / "flow", count=1)
    outside = tmp_path / "deep" / ".." / "elsewhere.npz"
    (tmp_path / "deep").mkdir()
    (tmp_path / "elsewhere.npz").write_bytes(Path(flow.datalist.read_text().strip()).read_bytes())
    flow.datalist.write_text(f"{outside}\n")
    before = set(tmp_path.rglob("*"))
    assert vamp(flow.listed(tmp_path / "out")) == 0
    made = set(tmp_path.rglob("*")) - before
    assert made == {tmp_path / "out", tmp_path / "out" / names(1)[0], tmp_path / "out" / RECORD_NAME}


def test_temporary_names_are_new_each_time(tmp_path: Path) -> None:
    """Nobody can lay a link there beforehand; and one that lay there would not be followed."""
    seen = set()
    for _ in range(3):
        with atomic_write(tmp_path / "a"):
            seen |= {path.name for path in tmp_path.iterdir() if path.name != "a"}
    assert len(seen) == 3 and all(len(name) >= 32 for name in seen)


def test_a_report_shows_pictures_of_its_folder_alone(tmp_path: Path) -> None:
    picture = np.full((64, 64, 3), 200, np.uint8)
    write_picture(tmp_path / "secret.png", picture)
    (tmp_path / "val2017").mkdir()
    for name, embedded in (("../secret.png", 0), (str(tmp_path / "secret.png"), 0), ("x/inside.png", 1)):
        if embedded:
            write_picture(tmp_path / "val2017" / "inside.png", picture)
        images = [{"id": 1, "file_name": name, "width": 64, "height": 64}]
        joints = np.c_[np.linspace(1, 60, 17), np.linspace(60, 1, 17), np.ones(17)]
        dataset = {"images": images, "annotations": [], "categories": [PERSON]}
        one = evaluated(tmp_path, dataset, results_of([(1, joints, 0.9)]))
        root = parsed(report_page(one.job(tmp_path / "report", picture_folder=tmp_path / "val2017")))
        assert len(root.all("li", "card")) == 1
        assert len(root.all("image")) == embedded, name


# ---------------------------------------------------------------------------------------------------------------------
# Hostile words in a report


def test_no_name_can_break_a_comparison(tmp_path: Path) -> None:
    """Names of pictures, of the category, of columns, of files and on the command line."""
    words = HOSTILE.replace("\x00", "").replace("\ud800", "\udc80").replace("/", "").replace("=", "")
    truth = make_truth(tmp_path / f"t{words}.json", images=3)
    dataset = json.loads(truth.path.read_text())
    for image in dataset["images"]:
        image["file_name"] = f"{image['id']}{HOSTILE.replace('/', '')}.png"
    dataset["categories"][0]["name"] = HOSTILE
    truth.path.write_text(json.dumps(dataset))
    exact = perfect(truth)
    write_results(tmp_path / "a.json", exact)
    write_results(tmp_path / "b.json", exact[1:])
    columns = [f"{words}{number}={tmp_path / name}" for number, name in enumerate(("a.json", "b.json"))]
    where = ["--ann_file", str(truth.path), "--rounds", "20", "--report", str(tmp_path / "report")]
    assert cli.main(["compare", *columns, *where]) == 0
    root = parsed((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    scripts = root.all("script")
    assert len(scripts) == 1 and "alert" not in scripts[0].text() and not root.all("img")
    assert not [name for one in root.all() for name in one.attributes if name.startswith("on")]
    assert "onerroralert(1)" in root.all("main")[0].text() and "\u2028\u2029.png" in root.all("main")[0].text()
