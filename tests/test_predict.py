"""`hrnetae predict`: people in pictures, folders, videos and cameras, and what is left when it is interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import SHARED
from numpy.typing import NDArray
from small_networks import write_network, write_vdsp

import hrnetae
from hrnetae import PoseEstimator
from hrnetae.evaluation.drawn_scenes import draw_scene, scenes_ground_truth
from hrnetae.files import DataError
from hrnetae.files.frames import Frame, open_frames, picture_ids
from hrnetae.files.pictures import read_picture, write_picture
from hrnetae.runtime.prediction import Prediction, PredictJob
from hrnetae.runtime.prediction_files import People, PredictionFiles
from hrnetae.tools import cli, predict
from hrnetae.tools.demo_flow import demo_network

cv2 = pytest.importorskip("cv2")

FPS = 12.5
FRAMES = 9


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "hrnet_demo.onnx"
    path.write_bytes(demo_network())
    return path


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn scenes with COCO's names, ground truth beside it."""
    root = tmp_path_factory.mktemp("street")
    scenes = [draw_scene(seed) for seed in range(6)]
    truth = scenes_ground_truth(scenes)
    for image, scene in zip(truth["images"], scenes, strict=True):
        write_picture(root / "pictures" / image["file_name"], scene.picture)
    (root / "truth.json").write_text(json.dumps(truth))
    return root / "pictures"


def write_video(path: Path, count: int = FRAMES, codec: str = "mp4v", size: tuple[int, int] = (160, 96)) -> Path:
    """A grey that becomes lighter from frame to frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), FPS, size)
    assert writer.isOpened()
    for number in range(count):
        writer.write(np.full((size[1], size[0], 3), 20 + 20 * (number % 10), np.uint8))
    writer.release()
    return path


def read_video(path: Path) -> tuple[float, list[NDArray[np.uint8]]]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return capture.get(cv2.CAP_PROP_FPS), frames


def run(*words: object) -> int:
    return cli.main(["predict", *map(str, words)])


def only_line(text: str) -> str:
    assert text.count("\n") == 1, text
    return text


# ------------------------------------------------------------------------------------------------------------- pictures


def test_a_folder_as_pycocotools_scores_it(demo: Path, street: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(street, "-m", demo, "--out", out) == 0
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(street.parent / "truth.json"))
    scores = COCOeval(truth, truth.loadRes(str(out / "results.json")), "keypoints")
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    assert scores.stats[0] > 0.7
    # The list of pictures is enough for tools to load the results.
    pictures = COCO(str(out / "images.json"))
    assert len(pictures.loadRes(str(out / "results.json")).anns) == len(json.loads((out / "results.json").read_text()))
    want = json.loads((street.parent / "truth.json").read_text())["images"]
    keys = ("id", "file_name", "width", "height")
    assert [[image[key] for key in keys] for image in pictures.dataset["images"]] == [
        [image[key] for key in keys] for image in want
    ]


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent")
def test_real_pictures_score_as_recorded(tmp_path: Path) -> None:
    """The recorded AP is that of the reference decoder, each picture mirrored before the letterbox."""
    assert SHARED is not None
    pictures, truth = SHARED / "coco" / "val2017", SHARED / "coco" / "person_keypoints_val2017.json"
    assert run(pictures, "-m", SHARED / "realnet" / "realnet.onnx", "--out", tmp_path, "--no_draw") == 0
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    coco = COCO(str(truth))
    scores = COCOeval(coco, coco.loadRes(str(tmp_path / "results.json")), "keypoints")
    scores.params.imgIds = [image["id"] for image in json.loads((tmp_path / "images.json").read_text())["images"]]
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    recorded = json.loads((SHARED / "realnet" / "metrics.json").read_text())["all_fp32_flippicture"]
    assert scores.stats[0] == pytest.approx(recorded["metrics"]["AP"], abs=1e-4)
    assert len(scores.params.imgIds) == recorded["pictures"]


def test_results_and_drawings_are_those_of_the_estimator(demo: Path, street: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(street, "-m", demo, "--out", out, "--min_score", 0.4) == 0
    estimator = PoseEstimator(demo)
    results: list[dict[str, Any]] = []
    for path in sorted(street.iterdir()):
        poses = estimator(read_picture(path))
        results += poses.to_coco(int(path.stem))
        want = hrnetae.draw(read_picture(path), poses, min_score=0.4)
        np.testing.assert_array_equal(read_picture(out / path.name), want)
    assert json.loads((out / "results.json").read_text()) == results
    names = {path.name for path in street.iterdir()} | {"results.json", "images.json"}
    assert {path.name for path in out.iterdir()} == names


def test_names_need_not_be_utf_8(demo: Path, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    name = os.fsdecode(b"p\xff.png")
    try:
        shutil.copy(sorted(street.iterdir())[0], folder / name)
    except OSError:
        pytest.skip("this file system wants UTF-8")
    assert run(folder, "-m", demo, "--out", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "images.json").read_text())["images"][0]["file_name"] == name
    assert "p\\udcff.png" in capsys.readouterr().out


def test_a_score_is_a_number(demo: Path, street: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        run(street, "-m", demo, "--min_score", "nan")
    assert stop.value.code == 2


def test_one_picture_needs_no_folder(demo: Path, street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sorted(street.iterdir())[2]
    assert run(path, "-m", demo, "--no-flip", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["results"] == PoseEstimator(demo, flip=False)(read_picture(path)).to_coco(int(path.stem))
    assert data["persons"] == len(data["results"]) > 0 and data["images"] == 1 and not data["flip"]
    assert data["image_list"][0]["file_name"] == path.name and "ONNX Runtime" in data["backend"]
    assert set(data["seconds"]) == {"reading", "preparing", "network", "decoding", "drawing", "writing", "total"}
    assert run(path, "-m", demo) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith(f"{path.name} ===> ") and " in 1 image, " in lines[1]


def test_settings_of_the_decoder_and_of_the_preprocessing_arrive(tmp_path: Path, capsys: Any) -> None:
    model, vdsp = write_network(tmp_path / "small.onnx"), write_vdsp(tmp_path / "vdsp.json")
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    write_picture(tmp_path / "a.png", picture)
    words = (tmp_path / "a.png", "-m", model, "--json", "--vdsp-params", vdsp, "--detection-threshold", 0.6)
    assert run(*words) == 0
    params = hrnetae.DecodeParams(detection_threshold=0.6)
    assert json.loads(capsys.readouterr().out)["results"] == PoseEstimator(model, vdsp, params)(picture).to_coco(1)


def test_results_alone(demo: Path, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(street, "-m", demo, "--out", tmp_path / "out", "--no_draw", "--max_images", 2, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["images"] == 2 and data["drawn"] is None and data["seconds"]["drawing"] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.json", "images.json"}


def test_ids_are_the_numbers_in_the_names_or_counted() -> None:
    assert picture_ids(["000000000139", "785"]) == [139, 785]
    assert picture_ids(["139", "a"]) == [1, 2]
    assert picture_ids(["7", "007"]) == [1, 2]
    assert picture_ids(["1" * 30]) == [1]
    assert picture_ids([]) == []


def test_pictures_that_cannot_be_read_are_named(demo: Path, street: Path, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "in"
    for name in ("1.png", "3.png"):
        write_picture(folder / name, read_picture(sorted(street.iterdir())[0]))
    (folder / "2.png").write_bytes(b"")
    (folder / "4.jpg").write_text("no picture")
    assert run(folder, "-m", demo, "--out", tmp_path / "out") == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert "2.png: empty file" in lines[0] and "4.jpg: not a picture" in lines[1]
    assert "2 pictures failed, 2 done" in lines[2]
    images = json.loads((tmp_path / "out" / "images.json").read_text())["images"]
    assert [image["id"] for image in images] == [1, 3]


def test_what_is_read_is_not_written_over(demo: Path, street: Path, tmp_path: Path, capsys: Any) -> None:
    path = sorted(street.iterdir())[0]
    before = path.read_bytes()
    for source in (street, path):
        assert run(source, "-m", demo, "--out", street) == 1
        assert f"{path.name} would be written over, expected another folder" in only_line(capsys.readouterr().err)
    assert path.read_bytes() == before and not (street / "results.json").exists()
    video = write_video(tmp_path / "street.mp4")
    assert run(video, "-m", demo, "--out", tmp_path) == 1
    assert "street.mp4 would be written over" in only_line(capsys.readouterr().err)


def test_what_does_not_fit_is_refused_in_one_line(demo: Path, street: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "a file").write_text("")
    for words, complaint in (
        ((tmp_path / "none.jpg", "-m", demo), "none.jpg: no such file, expected a picture, a folder, a video"),
        ((tmp_path / "empty", "-m", demo), "empty: no pictures in the folder"),
        ((tmp_path / "text.mp4", "-m", demo), "text.mp4: cannot be opened, expected a picture (by its suffix)"),
        (("9876", "-m", demo), "9876: cannot be opened, expected a camera"),
        ((street, "-m", tmp_path / "none"), "none: no such model"),
        ((street, "-m", demo, "--out", tmp_path / "a file"), "a file: a file, expected a folder"),
        ((street, "-m", demo, "--out", tmp_path / "a file" / "x"), "a file above it is a file, expected a folder"),
        ((street, "-m", demo, "--vdsp_params", tmp_path / "no.json"), "no.json: no such file"),
        ((street, "-m", demo, "--provider", "abacus"), "--provider abacus: not in this ONNX Runtime"),
    ):
        assert run(*words) == 1
        assert complaint in only_line(capsys.readouterr().err)
    for words in ((street,), (street, "-m", demo, "--codec", "abc"), (street, "-m", demo, "--max_images", 0)):
        with pytest.raises(SystemExit) as caught:
            run(*words)
        assert caught.value.code == 2


# --------------------------------------------------------------------------------------------------------------- videos


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mp4v"), (".avi", "MJPG")])
def test_a_video_keeps_its_pace(demo: Path, tmp_path: Path, suffix: str, codec: str, capsys: Any) -> None:
    video = write_video(tmp_path / f"street{suffix}", codec=codec)
    out = tmp_path / "out"
    assert run(video, "-m", demo, "--out", out, "--json") == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert captured.err == "" and data["images"] == FRAMES and data["drawn"] == str(out / "street.mp4")
    fps, frames = read_video(out / "street.mp4")
    assert fps == FPS and len(frames) == FRAMES and frames[0].shape == (96, 160, 3)
    assert [round(float(frame.mean())) for frame in frames] == pytest.approx([20 + 20 * n for n in range(9)], abs=8)
    images = json.loads((out / "images.json").read_text())["images"]
    assert [image["id"] for image in images] == list(range(FRAMES))
    assert images[8] == {"id": 8, "file_name": f"street{suffix} frame 8", "width": 160, "height": 96}


@pytest.mark.parametrize("camera", [False, True])
def test_frames_are_rgb(tmp_path: Path, camera: bool) -> None:
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (64, 48))
    for _ in range(3):
        writer.write(np.full((48, 64, 3), (20, 60, 220), np.uint8))  # blue, green, red
    writer.release()
    frames = list(open_frames(path.as_uri() if camera else str(path)))
    assert frames and all(frame.image is not None for frame in frames)
    for frame in frames:
        assert frame.image is not None
        np.testing.assert_allclose(frame.image.mean(axis=(0, 1)), (220, 60, 20), atol=8)


def test_people_are_drawn_into_a_video_in_their_colours(demo: Path, street: Path, tmp_path: Path) -> None:
    picture = read_picture(sorted(street.iterdir())[0])
    picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
    size = (picture.shape[1], picture.shape[0])
    writer = cv2.VideoWriter(str(tmp_path / "in.avi"), cv2.VideoWriter_fourcc(*"MJPG"), FPS, size)
    for _ in range(3):
        writer.write(np.ascontiguousarray(picture[:, :, ::-1]))
    writer.release()
    assert run(tmp_path / "in.avi", "-m", demo, "--out", tmp_path / "out") == 0
    _, frames = read_video(tmp_path / "out" / "in.mp4")
    drawn = hrnetae.draw(picture, PoseEstimator(demo)(picture), min_score=0.2)
    difference = np.abs(frames[0][:, :, ::-1].astype(int) - drawn).mean()
    undrawn = np.abs(picture.astype(int) - drawn).mean()
    assert difference < 12 and len(frames) == 3  # two codecs in between
    assert undrawn > 2


def test_the_rate_is_shown(tmp_path: Path, capsys: Any) -> None:
    model = write_network(tmp_path / "small.onnx")
    video = write_video(tmp_path / "in.mp4", size=(640, 480))
    for name, words in (("plain", ()), ("rate", ("--show-fps",))):
        assert run(video, "-m", model, "--out", tmp_path / name, "--min_score", 1e9, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "network" in lines[-1] and lines[-1].endswith(" ms an image")
    plain, rate = (read_video(tmp_path / name / "in.mp4")[1] for name in ("plain", "rate"))
    corner = np.s_[:60, :320]
    changed = [np.abs(a.astype(int) - b)[corner].max() for a, b in zip(plain, rate, strict=True)]
    assert changed[0] < 30 and min(changed[1:]) > 60  # a rate takes two pictures
    assert max(np.abs(a.astype(int) - b)[80:].max() for a, b in zip(plain, rate, strict=True)) < 30


def test_a_codec_that_is_not_there_ends_the_run(demo: Path, tmp_path: Path, capsys: Any) -> None:
    video = write_video(tmp_path / "in.mp4", count=40)
    assert run(video, "-m", demo, "--out", tmp_path / "out", "--codec", "ZZZZ") == 1
    captured = capsys.readouterr()
    assert "in.mp4: OpenCV cannot write 'ZZZZ' in '.mp4', expected a codec that it has" in only_line(captured.err)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left <= {"results.json", "images.json"}


def test_a_video_shorter_than_it_says(demo: Path, tmp_path: Path, capsys: Any) -> None:
    video = write_video(tmp_path / "in.avi", codec="MJPG", count=30, size=(320, 240))
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    announced = open_frames(str(video)).total
    code = run(video, "-m", demo, "--out", tmp_path / "out", "--json")
    captured = capsys.readouterr()
    images = json.loads(captured.out)["images"]
    assert code == 0 and 0 < images < 30
    if announced is not None and announced > images:
        assert f"{announced - images} frames fewer than it announces" in captured.err


def test_an_error_ends_all_threads_and_what_was_done_is_kept(tmp_path: Path) -> None:
    model = write_network(tmp_path / "small.onnx")
    job = PredictJob(str(write_video(tmp_path / "in.mp4", count=60)), str(model), out=tmp_path / "out")
    caught: list[BaseException] = []

    def teller(frame: Frame, _: hrnetae.Poses) -> None:
        time.sleep(0.2)  # the network waits for room meanwhile
        if frame.id == 2:
            raise DataError("no more")

    def work() -> None:
        try:
            Prediction(job).run(teller)
        except DataError as error:
            caught.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive() and [str(error) for error in caught] == ["no more"]
    assert len(json.loads((tmp_path / "out" / "images.json").read_text())["images"]) == 3
    assert len(read_video(tmp_path / "out" / "in.mp4")[1]) == 3


def test_results_that_nobody_wants_take_no_memory(demo: Path, street: Path) -> None:
    told: list[int] = []
    report = Prediction(PredictJob(str(street), str(demo), kept=False)).run(lambda _, poses: told.append(len(poses)))
    assert report.images == [] and len(report.results) == 0
    assert report.pictures == len(told) == 6 and report.persons == sum(told) > 0


# -------------------------------------------------------------------------------------------------------------- cameras


def test_a_camera_gives_what_it_sees_now(demo: Path, tmp_path: Path, capsys: Any) -> None:
    # An address, and so read like a camera: as fast as it gives, the newest frame alone.
    address = write_video(tmp_path / "in.avi", codec="MJPG", count=60).as_uri()
    assert run(address, "-m", demo, "--out", tmp_path / "out", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert 1 <= data["images"] < 60
    fps, frames = read_video(tmp_path / "out" / "camera.mp4")
    assert fps == FPS and len(frames) >= data["images"]


def test_frames_that_a_camera_missed_are_filled(tmp_path: Path) -> None:
    frames = open_frames(write_video(tmp_path / "in.avi", codec="MJPG").as_uri())
    files = PredictionFiles(tmp_path / "out", frames)
    people = People(hrnetae.COCO17)
    for position, grey in ((0, 50), (3, 100), (4, 150)):
        picture = np.full((96, 160, 3), grey, np.uint8)
        files.keep(Frame(f"frame {position}", position, position, picture), picture)
    with pytest.raises(DataError, match=r"camera\.mp4: a frame of 8 x 6, expected 160 x 96 as the first"):
        files.keep(Frame("small", 5, 5, None), np.zeros((6, 8, 3), np.uint8))
    files.close(people)
    _, written = read_video(tmp_path / "out" / "camera.mp4")
    assert [round(float(frame.mean())) for frame in written] == pytest.approx([50, 50, 50, 100, 150], abs=8)


# --------------------------------------------------------------------------------------------------------- interruption


def interrupt(words: Sequence[object], after: int) -> tuple[int, str, str, float]:
    """Runs the command, presses ctrl-c after so many pictures; exit code, stdout, stderr, seconds until it ended."""
    command = [sys.executable, "-c", "import sys; from hrnetae.tools.cli import main; sys.exit(main())", "predict"]
    with subprocess.Popen(
        [*command, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        told = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGINT)
        pressed = time.monotonic()
        out, err = process.communicate(timeout=60)
        return process.returncode, "".join(told) + out, err, time.monotonic() - pressed


@pytest.mark.skipif(sys.platform == "win32", reason="ctrl-c cannot be sent to one process")
@pytest.mark.parametrize("kind", ["folder", "video"])
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, kind: str) -> None:
    model = write_network(tmp_path / "slow.onnx", work=40)
    if kind == "video":
        source = write_video(tmp_path / "in.mp4", count=400)
    else:
        source = tmp_path / "in"
        for number in range(200):
            write_picture(source / f"{number:03d}.png", np.full((64, 64, 3), 99, np.uint8))
    out = tmp_path / "out"
    code, told, err, seconds = interrupt((source, "-m", model, "--out", out), after=5)
    images = json.loads((out / "images.json").read_text())["images"]
    assert code == 130 and 5 <= len(images) < 200 and seconds < 20
    assert f"interrupted: {len(images)} images of {400 if kind == 'video' else 200} done, kept in {out}" in err
    assert "Traceback" not in err and told.count("===>") == len(images)
    assert [image["id"] for image in images] == list(range(len(images)))
    assert {result["image_id"] for result in json.loads((out / "results.json").read_text())} <= set(range(len(images)))
    names = {path.name for path in out.iterdir()} - {"results.json", "images.json"}
    if kind == "video":
        assert names == {"in.mp4"} and len(read_video(out / "in.mp4")[1]) == len(images)
    else:
        assert names == {image["file_name"] for image in images}
        assert all(read_picture(out / name).shape == (64, 64, 3) for name in names)


def test_who_reads_the_lines_may_go(demo: Path, street: Path) -> None:
    command = [sys.executable, "-c", "import sys; from hrnetae.tools.cli import main; sys.exit(main())", "predict"]
    words = [*command, str(street), "-m", str(demo)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert "===>" in process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        # All may have been written by then; a crash of threads at the end would be neither.
        assert process.wait(timeout=60) in (0, 1) and err == ""


# ----------------------------------------------------------------------------------------------------------------- help


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["predict", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0 and "example: hrnetae predict street.mp4 -m " in text
    for action in predict.build_parser()._actions:
        assert all(option in text for option in action.option_strings)
    assert "people below it are not drawn (default: 0.2)" in text
