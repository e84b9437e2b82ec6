"""`hrnetae eval` from end to end: recorded outputs, drawn outputs in every layout, and everything that can be wrong."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_outputs import PICTURES, SIDE, Dataset, make_dataset
from golden import SHARED
from numpy.typing import NDArray

from hrnetae.evaluation.evaluate import EvalJob, evaluate
from hrnetae.evaluation.ground_truth import find_ann_file, load_ground_truth, picture_size
from hrnetae.evaluation.metrics import BACKENDS, METRICS, keypoint_metrics
from hrnetae.evaluation.results import Results, write_results
from hrnetae.files import DataError, write_outputs
from hrnetae.files.npz import write_arrays
from hrnetae.params import DecodeParams
from hrnetae.skeleton import Skeleton
from hrnetae.tools import cli
from hrnetae.tools import eval as tool
from hrnetae.work import ordered_map

needs_shared = [
    pytest.mark.shared,
    pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent"),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("template") / "data")


@pytest.fixture
def data(template: Dataset, tmp_path: Path) -> Dataset:
    """A data set of one's own, to spoil."""
    shutil.copytree(template.root, tmp_path / "data")
    return Dataset(tmp_path / "data")


# ----------------------------------------------------------------------------------------------------- it all works


def test_drawn_people_are_found(template: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(template.args()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.rpartition(" ")[0].strip() for line in out.splitlines()[:10]] == [
        "AP", "AP .5", "AP .75", "AP (M)", "AP (L)", "AR", "AR .5", "AR .75", "AR (M)", "AR (L)",
    ]  # fmt: skip
    assert float(out.splitlines()[0].split()[-1]) > 0.8
    assert "persons in 4 images (vamp layout, with flip, mode reference)" in out


def test_json_is_one_object(template: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "new" / "results.json"
    assert tool.main(template.args("--json", "--out", str(results), "--tag-threshold=0.9")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    report = json.loads(out)
    assert list(report["metrics"]) == list(METRICS)
    assert report["images"] == 4
    assert report["persons"] == len(json.loads(results.read_text()))
    assert set(report["seconds"]) == {"reading", "decoding", "wall", "metrics", "total"}
    assert report["images_per_s"] > 0
    assert report["parameters"] == json.loads(json.dumps(DecodeParams(tag_threshold=0.9).to_dict()))
    assert (report["flip"], report["layout"], report["out"]) == (True, "vamp", str(results))


def test_the_result_does_not_depend_on_the_workers(template: Dataset, tmp_path: Path) -> None:
    written = []
    for workers in (1, 2, 8):
        path = tmp_path / f"{workers}.json"
        assert tool.main(template.args("--num_process", str(workers), "--out", str(path))) == 0
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]
    assert [entry["image_id"] for entry in json.loads(written[0])] == sorted(
        (entry["image_id"] for entry in json.loads(written[0])), key=[p[1] for p in PICTURES].index
    )


def test_every_way_to_the_metrics_gives_the_same(template: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for backend in BACKENDS:
        assert tool.main(template.args("--json", "--metrics", backend)) == 0
        found.append(json.loads(capsys.readouterr().out)["metrics"])
    assert found[0] == found[1]


def test_checksums_are_compared_on_request(data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    path = data.vamp / "output_000003.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert tool.main(data.args()) == 0
    capsys.readouterr()
    assert tool.main(data.args("--verify")) == 1
    assert f"{path}: damaged (Bad CRC-32" in capsys.readouterr().err


def test_many_pictures_in_pieces(data: Dataset, tmp_path: Path) -> None:
    """More pictures than a thread takes at a time, which all read into the same memory."""
    lines: list[str] = []
    truth = json.loads(data.ann_file.read_text())
    images = truth["images"]
    truth["images"] = []
    (tmp_path / "many").mkdir()
    for number in range(75):
        entry = images[number % 4]
        truth["images"].append(entry | {"id": 1000 + number, "file_name": f"p{number}.jpg"})
        for kind in range(2):
            source = data.vamp / f"output_{2 * (number % 4) + kind:06d}.npz"
            shutil.copy(source, tmp_path / "many" / f"output_{len(lines):06d}.npz")
            lines.append(f"p{number}{'_flip' * kind}.npz")
    data.datalist.write_text("\n".join(lines))
    expected = json.loads(run(tmp_path, data.args("--output_data", str(data.vamp), "--datalist_txt", str(few(data)))))
    data.ann_file.write_text(json.dumps(truth))
    args = data.args("--output_data", str(tmp_path / "many"))
    written = [run(tmp_path, [*args, "--num_process", workers]) for workers in ("1", "2", "5")]
    assert written[0] == written[1] == written[2]
    found = json.loads(written[0])
    for number in range(75):
        ours = [entry | {"image_id": 0} for entry in found if entry["image_id"] == 1000 + number]
        theirs = [entry | {"image_id": 0} for entry in expected if entry["image_id"] == images[number % 4]["id"]]
        assert ours == theirs


def few(data: Dataset) -> Path:
    path = data.root / "few.txt"
    path.write_text("".join(f"{stem}.npz\n{stem}_flip.npz\n" for stem, *_ in PICTURES))
    return path


def run(tmp_path: Path, args: list[Any]) -> bytes:
    path = tmp_path / "run.json"
    assert tool.main([*map(str, args), "--out", str(path)]) == 0
    return path.read_bytes()


def test_both_layouts_give_the_same(template: Dataset, data: Dataset, tmp_path: Path) -> None:
    expected = run(tmp_path, template.args())
    named = ["--data_root", data.root, "--output_data", data.runstream]
    assert run(tmp_path, [*named, "--datalist_txt", data.datalist, "--output_flip", data.flips]) == expected
    by_id = sorted(json.loads(expected), key=lambda entry: [p[1] for p in sorted(PICTURES)].index(entry["image_id"]))
    assert json.loads(run(tmp_path, [*named, "--output_flip", data.flips])) == by_id
    for path in data.flips.iterdir():
        shutil.copy(path, data.runstream / f"{path.stem}_flip.npz")
    assert run(tmp_path, [*named, "--datalist_txt", data.datalist]) == expected


def test_flips_are_used_and_left_out(template: Dataset, data: Dataset, tmp_path: Path) -> None:
    with_flip = run(tmp_path, template.args("--flip_test"))
    without = run(tmp_path, template.args("--no-flip"))
    assert with_flip != without
    assert run(tmp_path, ["--data_root", data.root, "--output_data", data.runstream]) != without  # other order
    assert run(tmp_path, template.args("--no_flip", "--output_flip", str(data.flips))) == without


def test_flips_need_not_stand_next_to_their_pictures(template: Dataset, data: Dataset, tmp_path: Path) -> None:
    lines = data.datalist.read_text().splitlines()
    order = [1, 6, 0, 3, 2, 4, 7, 5]  # the pictures keep their order
    data.datalist.write_text("\r\n".join(lines[i] for i in order) + "\r\n\r\n")
    shutil.rmtree(data.vamp)
    data.vamp.mkdir()
    for place, line in enumerate(order):
        shutil.copy(template.vamp / f"output_{line:06d}.npz", data.vamp / f"output_{place:06d}.npz")
    found, expected = json.loads(run(tmp_path, data.args())), json.loads(run(tmp_path, template.args()))
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, expected))


def test_a_datalist_without_flips(template: Dataset, data: Dataset, tmp_path: Path) -> None:
    lines = data.datalist.read_text().splitlines()[::2]
    data.datalist.write_text("\n".join(lines))
    shutil.rmtree(data.vamp)
    data.vamp.mkdir()
    for number in range(len(lines)):
        shutil.copy(template.vamp / f"output_{2 * number:06d}.npz", data.vamp / f"output_{number:06d}.npz")
    assert run(tmp_path, data.args()) == run(tmp_path, template.args("--no_flip"))


def test_surplus_outputs_are_mentioned(data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(data.vamp / "output_000000.npz", data.vamp / "output_000008.npz")
    assert tool.main(data.args("--json")) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 4
    assert err.count("\n") == 1 and err.startswith("hrnetae eval: warning: ") and "9 numbered outputs" in err


def test_nothing_found_is_zero(data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in data.vamp.iterdir():
        write_outputs(path, [np.zeros((34, SIDE, SIDE), np.float16)])
    assert tool.main(data.args("--json", "--out", str(tmp_path / "r.json"))) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["metrics"] == dict.fromkeys(METRICS, 0.0)
    assert report["persons"] == 0
    assert json.loads((tmp_path / "r.json").read_text()) == []


def test_a_value_that_is_not_finite_does_no_harm(data: Dataset, tmp_path: Path) -> None:
    maps = np.load(data.vamp / "output_000000.npz")["output_0"]
    maps[0, :, 3, 3] = np.nan
    maps[0, 20:, 9, :] = np.inf
    write_outputs(data.vamp / "output_000000.npz", [maps])
    assert "NaN" not in run(tmp_path, data.args()).decode()


def test_two_stages(data: Dataset, tmp_path: Path) -> None:
    expected = json.loads(run(tmp_path, data.args()))
    for path in data.vamp.iterdir():
        maps = np.load(path)["output_0"]
        write_outputs(path, [maps, maps[:, :17].repeat(2, axis=2).repeat(2, axis=3)])
    found = json.loads(run(tmp_path, data.args()))
    assert len(found) == len(expected) and found != expected


@pytest.mark.parametrize(
    "args",
    [
        ["--mode", "mmpose1"],
        ["--mode=mmpose1", "--input-size", "128", "128", "--no_restore_heatmap_size"],
        ["--no_refine", "--no-adjust", "--max-num-people", "5"],
        ["--score_per_joint"],
        ["--use_udp", "--align_corners"],
    ],
)
def test_the_decoders_parameters(template: Dataset, args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(template.args("--json", *args)) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["parameters"] != json.loads(json.dumps(DecodeParams().to_dict()))
    assert report["persons"] > 0


def test_every_parameter_is_an_option() -> None:
    parser = tool.build_parser()
    defaults = vars(parser.parse_args(["--output_data", "x"]))
    for field in dataclasses.fields(DecodeParams):
        if field.name != "rescoring":  # many numbers, which stand in a file
            assert defaults[field.name] == field.default
    switched = parser.parse_args(["--output-data", "x", "--no-project2image", "--ignore_too_much"])
    assert (switched.project2image, switched.ignore_too_much) == (False, True)


def test_progress_is_told(template: Dataset) -> None:
    seen: list[tuple[int, int]] = []
    job = EvalJob(template.vamp, template.datalist, template.root, workers=2)
    evaluate(job, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_progress_bar_on_a_terminal(
    template: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert tool.main(template.args("--json")) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 4
    assert "4/4" in err or "image" in err


# ------------------------------------------------------------------------------------------------------- bad data


def spoil_missing(data: Dataset) -> str:
    (data.vamp / "output_000003.npz").unlink()
    return "output_000003.npz"


def spoil_truncated(data: Dataset) -> str:
    path = data.vamp / "output_000004.npz"
    path.write_bytes(path.read_bytes()[:10_000])
    return str(path)


def spoil_with(name: str, arrays: dict[str, NDArray[Any]]) -> Callable[[Dataset], str]:
    def spoil(data: Dataset) -> str:
        write_arrays(data.vamp / name, arrays)
        return str(data.vamp / name)

    return spoil


def spoil_datalist(*lines: str) -> Callable[[Dataset], str]:
    def spoil(data: Dataset) -> str:
        data.datalist.write_text("".join(f"{line}\n" for line in lines))
        return str(data.datalist)

    return spoil


def spoil_pickle(data: Dataset) -> str:
    np.savez(data.vamp / "output_000002.npz", output_0=np.array([[[None]]]))
    return str(data.vamp / "output_000002.npz")


def spoil_more_lines(data: Dataset) -> str:
    with data.datalist.open("a") as handle:
        handle.write("npz/f.npz\nnpz/f_flip.npz\n")
    return "output_000008.npz (f)"


def spoil_absent_picture(data: Dataset) -> str:
    data.edit(lambda truth: truth["images"].pop(3))
    return f"{data.ann_file}: no picture of the name d e.1"


def spoil_empty_folder(data: Dataset) -> str:
    shutil.rmtree(data.vamp)
    data.vamp.mkdir()
    return str(data.vamp)


def spoil_no_folder(data: Dataset) -> str:
    shutil.rmtree(data.vamp)
    return str(data.vamp)


def spoil_no_ground_truth(data: Dataset) -> str:
    data.ann_file.unlink()
    return f"{data.ann_file} and {data.root / 'annotations' / data.ann_file.name}"


def spoil_json(data: Dataset) -> str:
    data.ann_file.write_text(data.ann_file.read_text()[:-10])
    return str(data.ann_file)


def spoil_truth(what: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Dataset], str]:
    def spoil(data: Dataset) -> str:
        data.edit(lambda truth: (change(truth), None)[1])
        return what

    return spoil


MAPS = np.zeros((1, 34, SIDE, SIDE), np.float16)
SPOILERS: dict[str, Callable[[Dataset], str]] = {
    "missing npz": spoil_missing,
    "truncated npz": spoil_truncated,
    "wrong key": spoil_with("output_000002.npz", {"arr_0": MAPS}),
    "wrong shape": spoil_with("output_000002.npz", {"output_0": MAPS[0, 0]}),
    "wrong channels": spoil_with("output_000002.npz", {"output_0": MAPS[:, :33]}),
    "wrong channels of a flip": spoil_with("output_000003.npz", {"output_0": MAPS[:, :33]}),
    "wrong size of a flip": spoil_with("output_000001.npz", {"output_0": MAPS[:, :, :8, :8]}),
    "flip with another stage": spoil_with("output_000001.npz", {"output_0": MAPS, "output_1": MAPS[:, :17]}),
    "wrong dtype": spoil_with("output_000000.npz", {"output_0": MAPS.astype(np.int8)}),
    "float64": spoil_with("output_000007.npz", {"output_0": MAPS.astype(np.float64)}),
    "objects": spoil_pickle,
    "datalist line without file": spoil_more_lines,
    "flip without its image": spoil_datalist("c.npz", "c_flip.npz", "a_flip.npz"),
    "image without its flip": spoil_datalist("c.npz", "c_flip.npz", "a.npz"),
    "twice in the datalist": spoil_datalist("c.npz", "x/c.npz"),
    "list of another run": spoil_datalist("c.npz", "a.npz", "b.npz", "d e.1.npz"),
    "empty datalist": spoil_datalist(),
    "picture absent from the ground truth": spoil_absent_picture,
    "empty folder": spoil_empty_folder,
    "no folder": spoil_no_folder,
    "no ground truth": spoil_no_ground_truth,
    "broken ground truth": spoil_json,
    "not COCO": spoil_truth("categories", lambda truth: truth.pop("categories")),
    "picture without a name": spoil_truth("images[1]", lambda truth: truth["images"][1].pop("file_name")),
    "instances, not keypoints": spoil_truth("annotations[0]", lambda truth: truth["annotations"][0].pop("keypoints")),
    "other joints": spoil_truth("length 6", lambda truth: truth["annotations"][0].update(keypoints=[0] * 6)),
    "name twice": spoil_truth("2 pictures", lambda truth: truth["images"].append(truth["images"][0])),
    "absurd size": spoil_truth("picture a", lambda truth: truth["images"][1].update(width=-1)),
    "size without height": spoil_truth("picture a", lambda truth: truth["images"][1].pop("height")),
    "no size and no picture": spoil_truth(
        "c.jpg", lambda truth: (truth["images"][0].pop("width"), truth["images"][0].pop("height"))
    ),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_bad_data_is_one_line_and_exit_1(
    data: Dataset, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = SPOILERS[name](data)
    out_dir = tmp_path / "results"
    for workers in ("1", "3"):
        args = data.args("--json", "--out", str(out_dir / "r.json"), "--num_process", workers)
        assert tool.main(args) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("hrnetae eval: ") and err.count("\n") == 1 and named in err
        assert not out_dir.exists() or not list(out_dir.iterdir())


def test_bad_data_leaves_earlier_results_alone(data: Dataset, tmp_path: Path) -> None:
    before = run(tmp_path, data.args())
    spoil_truncated(data)
    assert tool.main(data.args("--out", str(tmp_path / "run.json"))) == 1
    assert (tmp_path / "run.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "run.json"]


def test_the_first_error_in_order_is_told(data: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (6, 2, 4):
        (data.vamp / f"output_{number:06d}.npz").write_bytes(b"x")
    for workers in ("1", "2", "8"):
        assert tool.main(data.args("--num_process", workers)) == 1
        assert "output_000002.npz" in capsys.readouterr().err


def test_results_that_cannot_be_written(data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file" / "r.json"):
        assert tool.main(data.args("--out", str(out))) == 1
        out_text, err = capsys.readouterr()
        assert out_text == ""
        assert err.startswith("hrnetae eval: ") and err.count("\n") == 1 and str(tmp_path) in err


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--nms_kernel", "4"],
        ["--nms_kernel", "x"],
        ["--max-num-people", "0"],
        ["--mode", "mmpose2"],
        ["--mode", "mmpose1", "--use_udp"],
        ["--detection_threshold", "nan"],
        ["--input_size", "512"],
        ["--input_size", "0", "512"],
        ["--num_process", "0"],
        ["--metrics", "matlab"],
        ["--num_process", "ten"],
        ["--unknown"],
        ["stray"],
    ],
)
def test_usage_errors_exit_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        tool.main(["--output_data", "x", "--ann_file", "y", *args] if args else ["--output_data", "x"])
    assert error.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and "hrnetae eval: error: " in err


# ------------------------------------------------------------------------------------------------------ ground truth


def test_ground_truth_is_looked_for_in_its_usual_places(data: Dataset, tmp_path: Path) -> None:
    expected = run(tmp_path, data.args())
    (data.root / "annotations").mkdir()
    data.ann_file.rename(data.root / "annotations" / data.ann_file.name)
    assert run(tmp_path, data.args()) == expected
    shutil.move(data.root / "annotations" / data.ann_file.name, tmp_path / "other.json")
    assert run(tmp_path, data.args("--ann_file", str(tmp_path / "other.json"))) == expected
    with pytest.raises(DataError, match="expected --data_root or --ann_file"):
        find_ann_file(None)


def test_sizes_from_the_pictures_headers(data: Dataset, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    expected = run(tmp_path, data.args())
    (data.root / "val2017").mkdir()
    for stem, _, size, _ in PICTURES:
        image.new("RGB", size).save(data.root / "val2017" / f"{stem}.jpg")

    def forget(truth: dict[str, Any]) -> None:
        for entry in truth["images"]:
            del entry["width"], entry["height"]

    data.edit(forget)
    assert run(tmp_path, data.args()) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_picture_size_is_that_of_the_picture_as_shown(tmp_path: Path, orientation: int) -> None:
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[0x0112] = orientation
    image.new("RGB", (40, 30)).save(tmp_path / "p.jpg", exif=exif)
    assert picture_size(tmp_path / "p.jpg") == ((30, 40) if orientation >= 5 else (40, 30))


def test_picture_size_reads_the_header_alone(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)).save(tmp_path / "p.jpg")
    (tmp_path / "p.jpg").write_bytes((tmp_path / "p.jpg").read_bytes()[:2000])  # the pixels are cut off
    assert picture_size(tmp_path / "p.jpg") == (120, 90)
    (tmp_path / "p.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"p\.jpg: not a picture"):
        picture_size(tmp_path / "p.jpg")


def test_only_the_pictures_of_the_folder_count(data: Dataset, template: Dataset) -> None:
    job = EvalJob(template.vamp, template.datalist, template.root)
    data.edit(lambda truth: truth["images"].append({"id": 999, "file_name": "z.jpg", "width": 9, "height": 9}))
    data.edit(lambda truth: truth["annotations"].append(truth["annotations"][0] | {"id": 9999, "image_id": 999}))
    assert evaluate(dataclasses.replace(job, data_root=data.root)).metrics == evaluate(job).metrics


def test_metrics_are_those_of_pycocotools_itself(
    template: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    run(tmp_path, template.args())
    truth = COCO(str(template.ann_file))
    scorer = COCOeval(truth, truth.loadRes(str(tmp_path / "run.json")), "keypoints")
    scorer.evaluate()
    scorer.accumulate()
    scorer.summarize()
    capsys.readouterr()
    report = evaluate(EvalJob(template.vamp, template.datalist, template.root))
    assert list(report.metrics.values()) == scorer.stats.tolist()
    assert capsys.readouterr().out == ""


def test_other_skeletons_bring_their_sigmas(template: Dataset) -> None:
    two = Skeleton("two", ("head", "foot"), sigmas=(0.05, 0.1))
    truth = json.loads(template.ann_file.read_text())
    for annotation in truth["annotations"]:
        annotation.update(keypoints=annotation["keypoints"][:6], num_keypoints=2)
    path = template.root.parent / "two.json"
    path.write_text(json.dumps(truth))
    ground_truth = load_ground_truth(path)
    ids = [picture[1] for picture in PICTURES]
    perfect = [
        {key: annotation[key] for key in ("image_id", "category_id", "keypoints", "bbox")} | {"score": 0.5}
        for annotation in truth["annotations"]
    ]
    assert keypoint_metrics(ground_truth, perfect, ids, two)["AP"] == pytest.approx(1)
    with pytest.raises(DataError, match="bare: no sigmas"):
        keypoint_metrics(ground_truth, perfect, ids, Skeleton("bare", ("head", "foot")))
    with pytest.raises(DataError, match=r"two\.json: annotation .* length 6, expected 51"):
        keypoint_metrics(ground_truth, perfect, ids)


def some_results(count: int) -> Results:
    rng = np.random.default_rng(count)
    scale = rng.choice([1e-6, 0.01, 1.0, 640.0, 1e20], (count, 17, 3))
    keypoints = (rng.normal(size=(count, 17, 3)) * scale).astype(np.float32)
    keypoints[:, ::5] = np.round(keypoints[:, ::5])
    return Results(
        rng.integers(1, 10**12, count),
        np.ones(count, np.int64),
        keypoints,
        rng.random(count).astype(np.float32),
        rng.normal(scale=100, size=(count, 4)),
    )


@pytest.mark.parametrize("count", [0, 1, 2, 1024, 2500])
def test_results_are_written_as_json_dumps_has_them(tmp_path: Path, count: int) -> None:
    results = some_results(count)
    write_results(tmp_path / "r.json", results)
    expected = "[" + ",\n".join(json.dumps(entry, allow_nan=False) for entry in results) + "]\n"
    assert (tmp_path / "r.json").read_text() == expected


def test_results_hold_no_infinity(tmp_path: Path) -> None:
    for column in ("keypoints", "scores", "boxes"):
        results = some_results(3)
        getattr(results, column)[1] = np.nan
        with pytest.raises(ValueError, match="JSON"):
            write_results(tmp_path / "r.json", results)
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------------------------- the pool


def test_ordered_map_keeps_order_and_few_in_work() -> None:
    running, most, lock = 0, 0, threading.Lock()
    taken: list[int] = []

    def source() -> Iterator[int]:
        for number in range(40):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002 if number % 3 else 0.0)
        with lock:
            running -= 1
        return number

    for done, result in enumerate(ordered_map(work, source(), workers=3)):
        assert result == done
        assert len(taken) <= done + 6
    assert most <= 3


def test_ordered_map_stops_at_the_first_error() -> None:
    started: list[int] = []

    def work(number: int) -> int:
        started.append(number)
        if number == 3:
            time.sleep(0.05)
        if number >= 3:
            raise DataError(str(number))
        return number

    before = threading.active_count()
    with pytest.raises(DataError, match=r"^3$"):
        list(ordered_map(work, range(1000), workers=4))
    assert max(started) < 16
    assert threading.active_count() == before


# ------------------------------------------------------------------------------------------------------ the command


def test_command_line_of_the_command(template: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["eval", *template.args("--json")]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 4
    for args, code in ((["--help"], 0), (["--version"], 0), (["eval", "--help"], 0), ([], 2), (["evaluate"], 2)):
        with pytest.raises(SystemExit) as error:
            cli.main(args)
        assert error.value.code == code
        out, err = capsys.readouterr()
        assert (out if code == 0 else err).strip()
        assert (err if code == 0 else out) == ""


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        cli.main([verb, "--help"])
    assert error.value.code == 0
    assert f"example: hrnetae {verb} " in capsys.readouterr().out


def test_the_command_in_a_process_of_its_own(data: Dataset) -> None:
    command = [sys.executable, "-m", "hrnetae.tools.cli", "eval"]
    good = subprocess.run([*command, *data.args("--json")], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["images"] == 4
    spoil_truncated(data)
    bad = subprocess.run([*command, *data.args("--json")], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (1, "", 1)
    assert subprocess.run([*command, "--bogus"], capture_output=True, check=False).returncode == 2


# --------------------------------------------------------------------------------------- a real network's outputs


def assert_equals_reference(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [entry["image_id"] for entry in found] == [entry["image_id"] for entry in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["category_id"] == theirs["category_id"]
        mine, reference = (np.reshape(entry["keypoints"], (-1, 3)) for entry in (ours, theirs))
        np.testing.assert_allclose(mine[:, :2], reference[:, :2], rtol=0, atol=0.01)
        np.testing.assert_allclose(mine[:, 2], reference[:, 2], rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours["score"], theirs["score"], rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours["bbox"], theirs["bbox"], rtol=0, atol=0.02)


def rearrange(sample: Path, folder: Path) -> None:
    """The sample as runstream would leave it: by name, float32, the flips in a second folder."""
    for line, name in enumerate((sample / "datalist.txt").read_text().split()):
        stem = Path(name).stem
        target = folder / ("flip/img" if stem.endswith("_flip") else "img") / f"{stem.removesuffix('_flip')}.npz"
        with np.load(sample / f"output_{line:06d}.npz") as arrays:
            write_outputs(target, [arrays["output_0"]], dtype=np.float32)


@pytest.mark.parametrize("layout", ["vamp", "runstream"])
@pytest.mark.parametrize("workers", ["1", "2", "8"])
class TestRealNetwork:
    pytestmark = needs_shared

    def test_sample(self, layout: str, workers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert SHARED is not None
        realnet = SHARED / "realnet"
        where = ["--output_data", str(realnet / "sample"), "--datalist_txt", str(realnet / "sample" / "datalist.txt")]
        if layout == "runstream":
            rearrange(realnet / "sample", tmp_path)
            where = ["--output_data", str(tmp_path / "img"), "--output_flip", str(tmp_path / "flip" / "img")]
        results = tmp_path / "results.json"
        args = ["--data_root", str(SHARED / "coco"), *where, "--num_process", workers, "--out", str(results), "--json"]
        assert tool.main(args) == 0
        report = json.loads(capsys.readouterr().out)
        recorded = json.loads((realnet / "metrics.json").read_text())["sample"]
        assert list(report["metrics"].values()) == pytest.approx(list(recorded["metrics"].values()), rel=0, abs=5e-5)
        assert report["layout"] == layout and report["flip"] is True
        assert report["persons"] == sum(recorded["people_found"].values())
        found, expected = json.loads(results.read_text()), json.loads((realnet / "reference_results.json").read_text())
        assert_equals_reference(found, expected)
