"""Every level of the kernels against the dense way: the same bits, whatever the maps, their layout and the threads."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import campaign
import golden
import guarded
import hostile
import numpy as np
import pytest
from conftest import FULL

from hrnetae import COCO17, DecodeParams, Decoder, Skeleton, _kernels, dispatch
from hrnetae.evaluation.synthetic import Scene, draw_scene

SPARSE = tuple(name for name in dispatch.LEVELS if name != "dense")


def _level(name: str) -> Any:
    here = name in dispatch.available_levels()
    return pytest.param(name, marks=[] if here else pytest.mark.skip(reason=f"this processor does not have {name}"))


each_level = pytest.mark.parametrize("level", [_level(name) for name in SPARSE])


@functools.lru_cache(maxsize=1)  # the levels of a case come one after the other
def recorded(case: golden.Case) -> tuple[hostile.Inputs, campaign.Answer]:
    """A recorded case and the dense answer."""
    inputs = case.load().inputs()
    return inputs, dict(campaign.answers(inputs, ["dense"]))["dense"]


def _pixels(case: golden.Case) -> int:
    size = re.search(r"_(\d+)x(\d+)$", case.name)
    return int(size[1]) * int(size[2]) if size else 640 * 480


def recorded_cases() -> list[Any]:
    """Own cases; of the shared ones the smallest picture of each kind, all of them with HRNETAE_FULL=1."""
    own = golden.own_cases()
    params, kinds = [pytest.param(case, id=case.name) for case in own], set()
    known = {case.name for case in own}
    shared = [case for case in golden.shared_cases() if case.name not in known]
    for case in sorted(shared, key=lambda case: (_pixels(case), case.name)):
        kind = re.sub(r"_noflip|_\d+p|_\d+x\d+|_[\d.]+", "", case.name)
        marks = [pytest.mark.shared, pytest.mark.slow] if kind in kinds else [pytest.mark.shared]
        kinds.add(kind)
        params.append(pytest.param(case, id=case.name, marks=marks))
    if not shared:
        absent = pytest.mark.skip(reason="the recorded cases in shared/golden are absent")
        params.append(pytest.param(None, id="shared", marks=[pytest.mark.shared, absent]))
    return params


@each_level
@pytest.mark.parametrize("case", recorded_cases())
def test_recorded_cases(case: golden.Case, level: str) -> None:
    inputs, dense = recorded(case)
    assert campaign.difference(dict(campaign.answers(inputs, [level]))[level], dense) == ""


# -------------------------------------------------------------------------------------------------------- the campaign


@each_level
@pytest.mark.parametrize("part", range(5))
def test_drawn_cases(part: int, level: str) -> None:
    tally = campaign.run_cases(12345, 100 * part, 100, [level])
    assert tally.failures == []


@each_level
def test_cases_of_the_campaign_that_failed_once(level: str) -> None:
    for failure in campaign.load_regressions():
        _, inputs = campaign.draw_case(failure.seed, failure.case)
        assert campaign.check(campaign.place(inputs, failure.case), [level])[1] == "", failure


def test_the_campaign_draws_every_family() -> None:
    words: set[str] = set()
    for number in range(1500):
        what, _ = campaign.draw_case(1, number)
        words.update(what.split(", "))
    assert words >= {"hostile", *campaign.enlarged.SIZES, *campaign.enlarged.HEATS}
    assert words >= {f"tags {name}" for name in campaign.enlarged.TAGS}
    assert words >= {f"flip {name}" for name in ("alike", "near", "other", "opposite", "a bit off")}
    assert words >= {"float16", "float32", "2 stages", "3 stages", "2 scales", "3 scales", "mmpose1", "udp"}
    assert words >= {"align_corners", "bad cell", "bad map", "all bad", "far cell", "far map"}


def test_the_campaign_finds_and_keeps_what_differs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = _kernels.decode

    def wrong(*arguments: Any) -> Any:
        keypoints, scores, tags = real(*arguments)
        if arguments[-1] == dispatch.LEVELS["baseline"] and keypoints.size:
            keypoints[0, 0, 0] = np.nextafter(keypoints[0, 0, 0], np.float32(9e9))
        return keypoints, scores, tags

    monkeypatch.setattr(_kernels, "decode", wrong)
    tally = campaign.run_cases(0, 0, 10, ["baseline"])
    assert tally.cases == 10 and tally.failures
    assert all(re.match(r"baseline: keypoints\[0, 0, 0\] ", failure.differs) for failure in tally.failures)
    path = tmp_path / "kept.json"
    campaign.keep(tally.failures, path)
    campaign.keep(tally.failures, path)
    assert campaign.load_regressions(path) == tally.failures

    monkeypatch.undo()
    assert campaign.main(["--cases", "3", "--seed", "7"]) == 0
    assert "0 of 3 cases failed" in capsys.readouterr().out


@each_level
@pytest.mark.parametrize("value", [1e-45, 1e-44, 1e-40, 2e-38])
@pytest.mark.parametrize("twice", [1, 2])
def test_the_smallest_heat_fills_in_a_joint(level: str, value: float, twice: int) -> None:
    maps = np.zeros((4, 12, 20), np.float32)
    maps[0, 3, 4] = 0.9
    maps[1, 9, 17] = value
    skeleton = Skeleton("two joints", ("a", "b"))
    inputs = {
        "output": maps,
        "flipped": None,
        "image_size": (20 * twice, 12 * twice),
        "params": DecodeParams(),
        "skeleton": skeleton,
        "scales": None,
    }
    (_, dense), (_, found) = campaign.answers(inputs, ["dense", level])
    assert dense[0].shape == (1, 2, 3)
    assert dense[0][0, 1, 2] > 0
    assert campaign.difference(found, dense) == ""


# Noise in which each search would look at most cells: after some persons all others are offered every pixel at once.
@each_level
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("mode", ["reference", "mmpose1"])
@pytest.mark.parametrize("spread", [0.3, 4.0, 30.0, 1e6])
@pytest.mark.parametrize("highest", [1.0, 4.0])  # heat that differs by more than 1 does not settle who is nearest
@pytest.mark.parametrize("step", [0.0, 0.5])  # equal scores, and distances that are half a unit
def test_many_persons_in_noise(level: str, flip: bool, mode: str, spread: float, highest: float, step: float) -> None:
    rng = np.random.default_rng(11)

    def maps() -> Any:
        made = rng.uniform(0.15, highest, (8, 32, 32))
        made[4:] = rng.normal(0, spread, (4, 32, 32))
        return (np.rint(made / step) * step if step else made).astype(np.float32)

    inputs = {
        "output": maps(),
        "flipped": maps() if flip else None,
        "image_size": (128, 96) if mode == "reference" else (128, 128),
        "params": DecodeParams(mode=mode),
        "skeleton": Skeleton("four joints", ("a", "b", "c", "d")),
        "scales": None,
    }
    (_, dense), (_, found) = campaign.answers(inputs, ["dense", level])
    assert len(dense[0]) >= 14
    assert campaign.difference(found, dense) == ""


# ------------------------------------------------------------------------------------------------------------- layouts


@functools.cache
@each_level
@pytest.mark.parametrize("wide", [1, 8, 16, 17, 31, 32, 33, 34, 36, 38, 39, 40, 64])
def test_a_fine_map_over_a_tag_grid_of_one_column(level: str, wide: int) -> None:
    """A cell of the tag grid then covers all of a row's nodes: up to 38 were looked at, but 24 at most were seen."""
    skeleton = Skeleton("two", ("a", "b"))
    params = DecodeParams(detection_threshold=0.2)
    rng = np.random.default_rng(wide)
    rows = 4
    for _ in range(40):
        coarse, fine = np.zeros((4, rows, 1), np.float32), np.zeros((2, rows, wide), np.float32)
        fine[0, 0, min(1, wide - 1)] = 1  # founds the person that lacks joint b
        fine[1] = rng.random((rows, wide)) * 0.045
        fine[1, rng.integers(rows), rng.integers(wide)] = 0.0855
        inputs = _inputs([coarse, fine], None, (2 * wide, 8 * rows), params, skeleton)
        assert campaign.check(inputs, [level])[1] == ""


@each_level
def test_maps_of_sizes_that_have_nothing_to_do_with_each_other(level: str) -> None:
    """Stages need not double, as HigherHRNet's do."""
    rng = np.random.default_rng(20261123)
    skeleton = Skeleton("three", ("a", "b", "c"), ((0, 1),))
    for _ in range(60 if not FULL else 5000):
        sizes = [tuple(int(side) for side in np.ceil(rng.random(2) ** 2 * 60)) for _ in range(rng.integers(2, 4))]

        def stages(sizes: list[tuple[int, ...]] = sizes) -> list[Any]:
            drawn = [_bumps(rng, (6 if stage == 0 else 3, *size)) for stage, size in enumerate(sizes)]
            drawn[0][3:] = rng.integers(0, 4, (3, 1, 1)) + 0.2 * rng.random(drawn[0][3:].shape)
            return drawn

        target = (int(rng.integers(1, 140)), int(rng.integers(1, 90)))
        threshold, align_corners = float(rng.choice([0.05, 0.1, 0.3])), bool(rng.integers(2))
        params = DecodeParams(detection_threshold=threshold, align_corners=align_corners)
        flipped = stages() if rng.random() < 0.5 else None
        inputs = _inputs(stages(), flipped, target, params, skeleton)
        assert campaign.check(inputs, [level])[1] == "", (sizes, target)


def _inputs(output: Any, flipped: Any, size: tuple[int, int], params: DecodeParams, skeleton: Skeleton) -> Any:
    return {
        "output": output,
        "flipped": flipped,
        "image_size": size,
        "params": params,
        "skeleton": skeleton,
        "scales": None,
    }


def _bumps(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Faint noise and a few high cells in each map."""
    maps = (0.08 * rng.random(shape)).astype(np.float32)
    for one in maps:
        for _ in range(rng.integers(4)):
            one[rng.integers(shape[1]), rng.integers(shape[2])] = rng.random()
    return maps


def scenes(count: int) -> list[Scene]:
    """Pictures of several sizes and numbers of people, for maps of 48 x 40 cells."""
    rng = np.random.default_rng(3)
    sizes = ((200, 150), (96, 80), (131, 97), (48, 40), (150, 210), (33, 21))
    return [draw_scene(rng, i % 5, sizes[i % len(sizes)], (48, 40), noise=1 + i % 3) for i in range(count)]


def as_inputs(scene: Scene, dtype: Any = np.float16) -> hostile.Inputs:
    """Arguments of `decode`, with the reference's settings."""
    return {
        "output": hostile.relaid(scene.output, lambda maps: maps.astype(dtype)),
        "flipped": hostile.relaid(scene.flipped, lambda maps: maps.astype(dtype)),
        "image_size": scene.image_size,
        "params": DecodeParams(),
        "skeleton": COCO17,
        "scales": None,
    }


@functools.cache
def dense_batch() -> list[campaign.Answer]:
    return [dict(campaign.answers(as_inputs(scene), ["dense"]))["dense"] for scene in scenes(24)]


def assert_same_answers(inputs: hostile.Inputs, moved: hostile.Inputs, level: str) -> None:
    expected = dict(campaign.answers(inputs, ["dense"]))["dense"]
    for name, found in campaign.answers(moved, ["dense", level]):
        assert campaign.difference(found, expected) == "", name


@each_level
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("offset", [0, 1, 3, 64, 130])
def test_read_only_maps_of_files_at_any_offset(tmp_path: Path, level: str, dtype: Any, offset: int) -> None:
    def mapped(maps: Any) -> Any:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.bin"
        path.write_bytes(b"\xff" * offset + maps.tobytes() + b"\xff" * 3)
        return np.memmap(path, maps.dtype, "r", offset, maps.shape)

    for scene in scenes(3):
        inputs = as_inputs(scene, dtype)
        moved = inputs | {side: hostile.relaid(inputs[side], mapped) for side in ("output", "flipped")}
        assert not any(maps.flags.writeable for maps in hostile.arrays_of(moved["output"]))
        assert_same_answers(inputs, moved, level)


@each_level
@pytest.mark.skipif(not guarded.AVAILABLE, reason="pages are guarded on Linux alone")
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(("at_end", "shift"), [(True, 0), (False, 0), (True, 1), (False, 1)])
def test_nothing_beyond_the_maps_is_touched(level: str, dtype: Any, at_end: bool, shift: int) -> None:
    memory = guarded.Guarded()
    rng = np.random.default_rng(5)
    for width, height in ((1, 1), (3, 2), (7, 9), (8, 8), (15, 17), (16, 16), (17, 4), (32, 24), (48, 5), (64, 33)):
        scene = draw_scene(rng, 2, (2 * width + 1, 3 * height), (width, height), noise=2)
        inputs = as_inputs(scene, dtype)
        memory.clear()
        moved = inputs | {
            side: hostile.relaid(inputs[side], lambda maps: memory.put(maps, at_end, shift))
            for side in ("output", "flipped")
        }
        assert_same_answers(inputs, moved, level)


@pytest.mark.skipif(not guarded.AVAILABLE, reason="pages are guarded on Linux alone")
@pytest.mark.parametrize("at_end", [True, False])
def test_guarded_memory_is_guarded(at_end: bool) -> None:
    step = "one.nbytes" if at_end else "-1"
    code = (
        "import ctypes, guarded, numpy as np\n"
        f"one = guarded.Guarded().put(np.arange(3.0), {at_end})\n"
        "assert one.tolist() == [0, 1, 2]\n"
        f"ctypes.string_at(one.ctypes.data + {step}, 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False)
    assert done.returncode != 0  # a signal


# ------------------------------------------------------------------------------------------------------------- threads


@pytest.mark.parametrize("level", ["dense", *(_level(name) for name in SPARSE)])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_batch_is_its_images_in_their_order(monkeypatch: pytest.MonkeyPatch, level: str, threads: int) -> None:
    monkeypatch.setattr("hrnetae.decoder.LEVEL", level)
    drawn = scenes(24)
    outputs, mirrored = [scene.output for scene in drawn], [scene.flipped for scene in drawn]
    sizes = [scene.image_size for scene in drawn]
    decoder = Decoder()
    together = decoder.decode_batch(outputs, mirrored, image_sizes=sizes, threads=threads)
    assert len(together) == len(drawn)
    assert len({len(poses) for poses in together}) > 2
    for scene, poses, dense in zip(drawn, together, dense_batch(), strict=True):
        alone = decoder.decode(scene.output, scene.flipped, image_size=scene.image_size)
        for one in (poses, alone):
            assert campaign.difference((one.keypoints, one.scores, one.tags), dense) == ""


@pytest.mark.parametrize("level", ["dense", *(_level(name) for name in SPARSE)])
def test_eight_threads_share_a_decoder(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    """Each begins with another image; `make sanitize` looks for races in it."""
    monkeypatch.setattr("hrnetae.decoder.LEVEL", level)
    drawn, decoder, together = scenes(24), Decoder(), threading.Barrier(8, timeout=60)

    def differences(first: int) -> set[str]:
        together.wait()
        found = set()
        for i in (at % 24 for at in range(first, first + 8)):
            poses = decoder.decode(drawn[i].output, drawn[i].flipped, image_size=drawn[i].image_size)
            found.add(campaign.difference((poses.keypoints, poses.scores, poses.tags), dense_batch()[i]))
        return found

    dense_batch()  # made once, before the threads ask for it
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(differences, range(0, 24, 3))) == [{""}] * 8


# ---------------------------------------------------------------------------------------------------------- the switch

SAY = """
import hashlib, numpy as np, hrnetae
from hrnetae import COCO17, DecodeParams, Decoder, Skeleton, _kernels, dispatch
maps = np.random.default_rng(0).random((34, 16, 16), dtype=np.float32)
poses = hrnetae.Decoder().decode(maps, image_size=(40, 50))
print(dispatch.LEVEL, len(poses), hashlib.sha256(poses.keypoints.tobytes()).hexdigest())
"""


def say(level: str | None, monkeypatch: pytest.MonkeyPatch) -> subprocess.CompletedProcess[str]:
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    if level is not None:
        monkeypatch.setenv(dispatch.VARIABLE, level)
    return subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=False)


@functools.cache
def best_says() -> str:
    with pytest.MonkeyPatch.context() as patch:
        return say(None, patch).stdout


def test_the_best_level_is_taken() -> None:
    assert best_says().split()[0] == dispatch.available_levels()[-1]
    assert int(best_says().split()[1]) > 0


@pytest.mark.parametrize("level", ["", "dense", *(_level(name) for name in SPARSE)])
def test_the_environment_forces_a_level(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    done = say(level, monkeypatch)
    assert (done.returncode, done.stderr) == (0, "")
    name, *answer = done.stdout.split()
    assert name == (level or dispatch.available_levels()[-1])
    assert answer == best_says().split()[1:]


@pytest.mark.parametrize("level", ["sse9", "AVX2", "1", *(set(SPARSE) - set(dispatch.available_levels()))])
def test_an_unknown_level_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    done = say(level, monkeypatch)
    assert done.returncode == 1
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if not line.startswith((" ", "Traceback"))]
    there = ", ".join(dispatch.available_levels())
    assert errors == [f"ValueError: HRNETAE_LEVEL: {level!r}, expected one of {there} on this processor"]


def test_a_level_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kernels, "has_level", lambda level: level == 0)
    assert dispatch.available_levels() == ("dense", "baseline")
    assert dispatch.choose_level(None) == dispatch.choose_level("") == "baseline"
    for name in set(SPARSE) - {"baseline"}:
        with pytest.raises(ValueError, match=f"HRNETAE_LEVEL: '{name}', expected one of dense, baseline on this"):
            dispatch.choose_level(name)
