"""`hrnetae.PoseEstimator`: the same answer as the flow's, and the right place in every preprocessing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from small_networks import save, write_network

import hrnetae
from hrnetae import COCO17, CROWDPOSE14, DecodeParams, Decoder, PoseEstimator, Poses
from hrnetae.evaluation.drawn_scenes import draw_scene
from hrnetae.files import DataError, find_outputs, read_outputs
from hrnetae.files.pictures import write_picture
from hrnetae.tools import cli
from hrnetae.tools.demo_flow import SIDE, demo_network

pytest.importorskip("cv2")
STRIDE = 4


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "hrnet_demo.onnx"
    path.write_bytes(demo_network())
    return path


def vdsp(path: Path, kind: str, **config: Any) -> Path:
    config = {"NormaType": "EQUAL", "ResizeType": "BILINEAR_CV", **config}
    path.write_text(json.dumps({"OpType": f"FUSION_OP_RGB_{kind}_NORM_TENSOR", "OpConfig": config}))
    return path


def same(a: Poses, b: Poses) -> bool:
    pairs = ((a.keypoints, b.keypoints), (a.scores, b.scores), (a.tags, b.tags))
    return all(x.tobytes() == y.tobytes() and x.shape == y.shape for x, y in pairs)


# ------------------------------------------------------------------------------------------------- as the flow has it


@pytest.mark.parametrize("flip", [True, False])
def test_the_answer_is_that_of_runstream_and_the_decoder(demo: Path, tmp_path: Path, flip: bool) -> None:
    pictures = [draw_scene(seed).picture for seed in (3, 4)]
    assert any((side % 2) for picture in pictures for side in picture.shape[:2])  # odd sizes, odd borders
    for number, picture in enumerate(pictures):
        write_picture(tmp_path / "in" / f"{number}.png", picture)
    imagenet = {"NormaType": "DIV255_MINUSMEAN_DIVSTD", "Mean": [0.485, 0.456, 0.406], "Std": [0.229, 0.224, 0.225]}
    params = vdsp(tmp_path / "vdsp.json", "LETTERBOX_CVTCOLOR", OimageWidth=SIDE, OimageHeight=SIDE, **imagenet)
    words = ["runstream", "--file_path", tmp_path / "in", "--model", demo, "--vdsp_params_info", params]
    assert cli.main([*map(str, words), "--save_dir", str(tmp_path / "out"), *(["--flip"] if flip else [])]) == 0
    for given in (None, params):
        estimator = PoseEstimator(demo, given, flip=flip)
        for picture, sample in zip(pictures, find_outputs(tmp_path / "out").samples, strict=True):
            flipped = read_outputs(sample.flipped) if sample.flipped else None
            size = (picture.shape[1], picture.shape[0])
            want = Decoder().decode(read_outputs(sample.output), flipped, image_size=size)
            assert len(want) > 0 and same(estimator(picture), want)


def test_it_may_be_called_from_many_threads(demo: Path) -> None:
    estimator = PoseEstimator(demo, threads=1)
    pictures = [draw_scene(seed).picture for seed in range(4)]
    want = [estimator(picture) for picture in pictures]
    found: dict[int, Poses] = {}
    threads = [
        threading.Thread(target=lambda i=i, picture=picture: found.update({i: estimator(picture)}))  # type: ignore[misc]
        for i, picture in enumerate(pictures)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(found[i], want[i]) for i in range(4))


def test_the_picture_is_not_written_to_and_may_lie_anyhow(demo: Path) -> None:
    estimator = PoseEstimator(demo)
    picture = draw_scene(1).picture
    before = picture.copy()
    picture.setflags(write=False)
    want = estimator(picture)
    assert (picture == before).all()
    assert same(estimator(np.asfortranarray(picture)), want)
    bgr = np.ascontiguousarray(picture[:, :, ::-1])
    assert same(estimator(bgr[:, :, ::-1]), want)
    assert not same(estimator(bgr), want)


def test_settings_of_the_decoder_arrive(demo: Path) -> None:
    picture = draw_scene(1).picture
    many = PoseEstimator(demo, params=DecodeParams(detection_threshold=0.02))(picture)
    few = PoseEstimator(demo, params=DecodeParams(detection_threshold=0.6))(picture)
    assert len(many) > len(few)


# ------------------------------------------------------------------------------------------ where things are found


def spot_network(path: Path, width: int, height: int, joints: int = 17) -> Path:
    """A network whose every heatmap is the picture's red, 0..1, averaged over STRIDE pixels; all tags are 0."""
    mix = np.zeros((2 * joints, 3, 1, 1), np.float32)
    mix[:joints, 0] = 1 / 255
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["means"], kernel_shape=[STRIDE] * 2, strides=[STRIDE] * 2),
        helper.make_node("Conv", ["means", "mix"], ["maps"]),
    ]
    picture = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, height, width])
    size = [height // STRIDE, width // STRIDE]
    maps = helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 2 * joints, *size])
    return save(path, nodes, [picture], [maps], [numpy_helper.from_array(mix, "mix")])


def spot(width: int, height: int, x: float, y: float, radius: float) -> NDArray[np.uint8]:
    """A red spot on black, its middle at (x, y) where the first pixel's middle is (0.5, 0.5)."""
    across, down = np.arange(width) + 0.5 - x, np.arange(height)[:, None] + 0.5 - y
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, :, 0] = np.round(255 * np.exp(-(across**2 + down**2) / (2 * radius**2)))
    return picture


GEOMETRIES = {
    "letterbox": ("LETTERBOX_CVTCOLOR", (256, 256), {}),
    "wide letterbox": ("LETTERBOX_CVTCOLOR", (320, 192), {}),
    "high letterbox": ("LETTERBOX_CVTCOLOR", (192, 320), {}),
    "border on one side": (
        "LETTERBOX_CVTCOLOR",
        (256, 256),
        {"PaddingLeft": 0, "PaddingRight": 40, "PaddingTop": 64, "PaddingBottom": 0},
    ),
    "stretched": ("RESIZE_CVTCOLOR", (256, 192), {}),
    "cropped on one side": (
        "RESIZE_CVTCOLOR_CROP",
        (256, 256),
        {"ResizeWidth": 400, "ResizeHeight": 300, "CropX": 120, "CropY": 10},
    ),
}


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("size", [(480, 360), (333, 501), (97, 64)])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_spot_is_found_where_it_was_painted(name: str, size: tuple[int, int], flip: bool, tmp_path: Path) -> None:
    kind, (wide, high), config = GEOMETRIES[name]
    config = {"OimageWidth": wide, "OimageHeight": high, "Padding": [0, 0, 0], **config}
    estimator = PoseEstimator(
        spot_network(tmp_path / "spot.onnx", wide, high), vdsp(tmp_path / "vdsp.json", kind, **config), flip=flip
    )
    x, y = 0.61 * size[0], 0.42 * size[1]
    poses = estimator(spot(*size, x, y, max(size) / 20))
    assert len(poses) == 1
    found = poses.keypoints[0]
    # A map's cell in the picture, the larger way: the peak is found within a fraction of it.
    cell = STRIDE * max(size) / min(wide, high)
    np.testing.assert_allclose(found[:, 0], x, atol=0.75 * cell)
    np.testing.assert_allclose(found[:, 1], y, atol=0.75 * cell)
    # Were the mirrored maps those of another part of the picture, the mean of the two would be half of this.
    assert (found[:, 2] > 0.85).all()


# ----------------------------------------------------------------------------------------------------------- the joints


def test_the_skeleton_is_told_from_the_maps(tmp_path: Path) -> None:
    assert PoseEstimator(spot_network(tmp_path / "a.onnx", 64, 64)).skeleton is COCO17
    assert PoseEstimator(spot_network(tmp_path / "b.onnx", 64, 64, 14)).skeleton is CROWDPOSE14
    other = spot_network(tmp_path / "c.onnx", 64, 64, 15)
    with pytest.raises(DataError, match=r"c\.onnx: 30 maps in maps, expected 34 \(COCO-17\) or 28 \(CrowdPose-14\)"):
        PoseEstimator(other)
    skeleton = hrnetae.Skeleton("mine", [f"joint {k}" for k in range(15)])  # type: ignore[arg-type]
    plain = vdsp(tmp_path / "vdsp.json", "LETTERBOX_CVTCOLOR")
    poses = PoseEstimator(other, plain, skeleton=skeleton)(spot(90, 80, 40, 50, 8))
    assert poses.keypoints.shape == (1, 15, 3)
    shared = write_network(tmp_path / "d.onnx", stages=(18,))
    assert PoseEstimator(shared, params=DecodeParams(tag_per_joint=False)).skeleton is COCO17


def test_networks_of_two_stages(tmp_path: Path) -> None:
    path = write_network(tmp_path / "two.onnx", stages=(34, 17))
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    estimator = PoseEstimator(path, params=DecodeParams(detection_threshold=0.3))
    outputs = estimator.infer(estimator.prepare(picture))
    assert [output.shape for output in outputs] == [(2, 34, 16, 16), (2, 17, 16, 16)]
    want = estimator.decoder.decode([o[0] for o in outputs], [o[1] for o in outputs], image_size=(64, 64))
    assert same(estimator(picture), want)
    wrong = PoseEstimator(write_network(tmp_path / "wrong.onnx", stages=(34, 9)))
    with pytest.raises(DataError, match=r"wrong\.onnx: "):
        wrong(picture)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (None, TypeError, "image: NoneType, expected an array of uint8"),
        (np.zeros((4, 4, 3)), TypeError, "image: float64, expected an array of uint8"),
        (np.zeros((4, 4), np.uint8), ValueError, r"image: shape \(4, 4\), expected \(H, W, 3\)"),
        (np.zeros((3, 4, 5), np.uint8), ValueError, r"image: shape \(3, 4, 5\)"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, r"image: shape \(0, 4, 3\)"),
    ],
)
def test_what_is_no_picture_is_named(demo: Path, image: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        PoseEstimator(demo)(image)


def test_what_is_not_there_is_named(demo: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: no such model"):
        PoseEstimator(tmp_path / "none")
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        PoseEstimator(demo, tmp_path / "none.json")
    with pytest.raises(DataError, match="expected the network's input, 256 x 256"):
        PoseEstimator(demo, vdsp(tmp_path / "v.json", "RESIZE_CVTCOLOR", OimageWidth=512, OimageHeight=512))


# ------------------------------------------------------------------------------------------------- the package's doors


def test_the_doors_open_when_somebody_comes() -> None:
    script = (
        "import sys, hrnetae\n"
        "floors = ('hrnetae.runtime', 'hrnetae.evaluation', 'hrnetae.files')\n"
        "assert not [f for f in floors if f in sys.modules]\n"
        "assert {'PoseEstimator', 'draw', 'Decoder'} <= set(dir(hrnetae))\n"
        "hrnetae.draw\n"
        "assert 'hrnetae.evaluation.drawing' in sys.modules and 'hrnetae.runtime' not in sys.modules\n"
        "hrnetae.PoseEstimator\n"
        "assert 'hrnetae.runtime.estimator' in sys.modules\n"
        "assert not [m for m in ('cv2', 'onnxruntime', 'torch') if m in sys.modules]\n"
        "from hrnetae import *\n"
        "assert draw is hrnetae.draw and PoseEstimator is hrnetae.PoseEstimator\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="no attribute 'PoseEstimater'"):
        hrnetae.PoseEstimater  # type: ignore[attr-defined]  # noqa: B018


# --------------------------------------------------------------------------------------------------------- neighbours


def two_people() -> Poses:
    keypoints = np.arange(2 * 17 * 3, dtype=np.float32).reshape(2, 17, 3) + 1
    keypoints[1, 4, 2] = 0  # an ear that was not found
    tags = np.arange(2 * 17 * 2, dtype=np.float32).reshape(2, 17, 2) / 10
    return Poses(keypoints, np.array([0.75, 0.25], np.float32), tags)


def test_records_are_flat_rows_of_plain_values() -> None:
    poses = two_people()
    rows = poses.to_records(image_id=7)
    assert len(rows) == 34 and len({tuple(row) for row in rows}) == 1
    assert list(rows[0]) == ["image_id", "person", "person_score", "joint", "x", "y", "value", "tag"]
    assert rows[17 + 9] == {
        "image_id": 7,
        "person": 1,
        "person_score": 0.25,
        "joint": "left_wrist",
        "x": float(3 * 26 + 1),
        "y": float(3 * 26 + 2),
        "value": float(3 * 26 + 3),
        "tag": float(np.float32(5.2)),
    }
    assert rows[17 + 4]["x"] is None and rows[17 + 4]["y"] is None and rows[17 + 4]["value"] == 0.0
    assert {type(value) for row in rows for value in row.values()} == {int, float, str, type(None)}
    assert json.loads(json.dumps(rows)) == rows
    assert "image_id" not in poses.to_records()[0] and poses[:0].to_records(1) == []


def test_supervision_takes_the_people() -> None:
    sv = pytest.importorskip("supervision", minversion="0.29")
    poses = two_people()
    points = poses.to_supervision()
    assert isinstance(points, sv.KeyPoints) and len(points) == 2
    np.testing.assert_array_equal(points.xy, poses.keypoints[:, :, :2])
    np.testing.assert_array_equal(points.keypoint_confidence, poses.keypoints[:, :, 2])
    np.testing.assert_array_equal(points.detection_confidence, poses.scores)
    assert points.visible.sum() == 33 and not points.visible[1, 4]
    assert list(points.data["class_name"]) == ["person"] * 2
    assert len(points[points.detection_confidence > 0.5]) == 1
    canvas = np.zeros((120, 120, 3), np.uint8)
    drawn = sv.VertexAnnotator(radius=0).annotate(canvas.copy(), points)
    x, y = poses.keypoints[:, :, :2].astype(int).reshape(-1, 2)[:40].T  # those that lie in the picture
    assert drawn[y, x].any(axis=1).tolist() == [joint != 17 + 4 for joint in range(34) if joint < len(x)]
    assert sv.EdgeAnnotator(thickness=1).annotate(canvas.copy(), points).any()
    assert len(poses[:0].to_supervision()) == 0
