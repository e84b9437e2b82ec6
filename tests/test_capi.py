"""From C and C++: what is installed, that it compiles and links, the bits of the answers, and what is refused."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_library import (
    Library,
    build_program,
    c_skeleton,
    find_compiler,
    run,
)
from golden import Case, own_cases
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import hrnetae
from hrnetae import COCO17, CROWDPOSE14, DecodeParams, Decoder, Poses
from hrnetae.dispatch import available_levels
from hrnetae.rescoring import FEATURES, Rescoring

Array = NDArray[Any]
DOCS = Path(__file__).resolve().parents[1] / "docs"
HEADER = Path(hrnetae.get_include()) / "hrnetae.h"
CASES = {case.name: case for case in own_cases()}
SCENES = ("scene_0000_1p_640x480", "scene_0001_3p_333x500", "scene_0002_0p_427x640", "scene_0039_5p_100x80")
NAN, INF = math.nan, math.inf


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("cpp") / "decode_golden"
    build_program(DOCS / "cpp" / "decode_golden.cpp", program, "c++11")
    return program


def as_bytes(poses: Poses) -> bytes:
    return b"".join(array.tobytes() for array in (poses.keypoints, poses.scores, poses.tags))


def save_outputs(case: Case, folder: Path) -> list[str]:
    """The example's arguments for a case: its image size, where the answer goes, and its outputs as .npy files."""
    golden = case.load()
    for name in ("out", "out_flip"):
        np.save(folder / f"{name}.npy", golden.arrays[name])
    return [*map(str, golden.image_size), *(str(folder / name) for name in ("people.bin", "out.npy", "out_flip.npy"))]


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / "cpp.md").read_text(encoding="utf-8"), re.M | re.S)


# ------------------------------------------------------------------------------------------------- what is installed


def test_versions_are_the_packages(c_library: Library) -> None:
    header = dict(re.findall(r"^#define (HRNETAE_VERSION\w*) (\S+)", HEADER.read_text(encoding="utf-8"), re.M))
    assert header["HRNETAE_VERSION"] == f'"{hrnetae.__version__}"'
    major, minor, patch = map(int, re.findall(r"\d+", hrnetae.__version__)[:3])
    assert int(header["HRNETAE_VERSION_NUMBER"]) == 10000 * major + 100 * minor + patch
    assert c_library.functions.hrnetae_version() == hrnetae.__version__.encode()
    assert c_library.functions.hrnetae_version_number() == int(header["HRNETAE_VERSION_NUMBER"])


def test_the_shared_library_shows_the_header_and_nothing_else(c_library: Library) -> None:
    declared = set(re.findall(r"HRNETAE_API [^;]*?\b(hrnetae_\w+)\(", HEADER.read_text(encoding="utf-8")))
    assert len(declared) == 11
    nm = find_compiler("nm")
    listed = run(nm, "-D", "--defined-only", c_library.functions._name)
    assert {line.split()[-1] for line in listed.splitlines() if " T " in line} == declared


def test_the_library_needs_no_python() -> None:
    wanted = run(find_compiler("nm"), "--undefined-only", hrnetae.get_library())
    assert " U malloc" in wanted and not re.search(r" U _?Py", wanted)


def test_the_manual_names_every_function() -> None:
    manual = (DOCS / "cpp.md").read_text(encoding="utf-8")
    for name in re.findall(r"\b(hrnetae_\w+)\(", HEADER.read_text(encoding="utf-8")):
        assert f"{name}(" in manual, name


@pytest.mark.parametrize("name", ["include/hrnetae.h", "lib/libhrnetae.a"])
def test_missing_files_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrnetae.capi._PACKAGE", tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / name)) + ".*install hrnetae again"):
        (hrnetae.get_include if "include" in name else hrnetae.get_library)()


# ------------------------------------------------------------------------------------------------------- compilation


@pytest.mark.parametrize("standard", ["c99", "c11", "c++11", "c++20"])
def test_the_manuals_program(standard: str, tmp_path: Path) -> None:
    text = code_blocks("c")[0]
    if standard.startswith("c++"):
        text = text.replace("= calloc(", "= (float *)calloc(")
    source = tmp_path / ("program.cpp" if standard.startswith("c++") else "program.c")
    source.write_text(text, encoding="utf-8")
    build_program(source, tmp_path / "program", standard)
    output = np.zeros((34, 128, 128), np.float32)
    output[0, 40, 30] = 0.9
    poses = Decoder(DecodeParams(detection_threshold=0.2)).decode(output, image_size=(640, 480))
    assert len(poses) == 1
    (x, y, _), score = poses.keypoints[0, 0], poses.scores[0]
    assert run(tmp_path / "program") == f"nose at {x:.1f} {y:.1f}, score {score:.3f}\n"


def test_the_manuals_skeleton(tmp_path: Path) -> None:
    source = tmp_path / "skeleton.c"
    body = "hrnetae_decoder *decoder;\nint status = hrnetae_decoder_create(NULL, &three, &decoder, NULL);"
    body += "\nhrnetae_decoder_free(decoder);\nreturn status;"
    source.write_text(f"#include <hrnetae.h>\n{code_blocks('c')[1]}\nint main(void) {{ {body} }}\n")
    build_program(source, tmp_path / "skeleton", "c99")
    run(tmp_path / "skeleton")


def test_kernels_from_c(tmp_path: Path) -> None:
    """Every installed header by itself, and one of the kernels called."""
    headers = sorted(path.name for path in (HEADER.parent / "hrnetae" / "kernels").glob("*.h"))
    assert "steps.h" in headers
    source = tmp_path / "kernels.c"
    includes = "".join(f"#include <hrnetae/kernels/{name}>\n" for name in headers)
    body = "float heat[] = {1, 2, 1}, peaks[3];\n"
    body += "return hae_heatmap_nms(heat, 1, 1, 3, 3, peaks) || peaks[0] || peaks[1] != 2;"
    source.write_text(f"{includes}int main(void) {{ {body} }}\n")
    build_program(source, tmp_path / "kernels", "c99")
    run(tmp_path / "kernels")


def python_first_on_path(folder: Path) -> str:
    """A PATH whose `python` is this one."""
    (folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / "python").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_the_manuals_command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("g++", "gcc"):
        find_compiler(name)
    arguments = save_outputs(CASES[SCENES[0]], tmp_path)
    monkeypatch.setenv("PATH", python_first_on_path(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copy(DOCS / "cpp" / "decode_golden.cpp", tmp_path)
    build, _, shared = code_blocks("sh")
    assert build.endswith("./decode_golden 640 480 people.bin output.npy flipped.npy\n")
    run("sh", "-ec", build.replace("output.npy flipped.npy", "out.npy out_flip.npy") + shared)
    assert arguments[:2] == ["640", "480"]
    assert (tmp_path / "people.bin").read_bytes() == as_bytes(decoded(CASES[SCENES[0]]))
    assert (tmp_path / "libhrnetae.so").is_file()


def test_the_manuals_cmake(tmp_path: Path) -> None:
    cmake = find_compiler("cmake")
    find_compiler("g++", "clang++")
    (tmp_path / "CMakeLists.txt").write_text(code_blocks("cmake")[0])
    shutil.copy(DOCS / "cpp" / "decode_golden.cpp", tmp_path)
    run(cmake, "-S", tmp_path, "-B", tmp_path / "build", f"-DPython3_EXECUTABLE={sys.executable}")
    run(cmake, "--build", tmp_path / "build")
    run(tmp_path / "build" / "decode_golden", *save_outputs(CASES[SCENES[0]], tmp_path))
    assert (tmp_path / "people.bin").read_bytes() == as_bytes(decoded(CASES[SCENES[0]]))


def test_the_flags_for_another_processor_are_ours() -> None:
    setup = DOCS.parent / "setup.py"
    if not setup.is_file():
        pytest.skip("the sources are absent: tested away from the checkout")
    text = setup.read_text(encoding="utf-8")
    flags = re.search(r"\$CC (.*) -fPIC -Icsrc/include -c", code_blocks("sh")[1])
    assert flags and all(f'"{flag}"' in text for flag in flags[1].split())


# ------------------------------------------------------------------------------------------------------- the example


def decoded(case: Case) -> Poses:
    inputs = case.load().inputs()
    decoder = Decoder(inputs.pop("params"), inputs.pop("skeleton"))
    return decoder.decode(inputs.pop("output"), inputs.pop("flipped"), **inputs)


@pytest.mark.parametrize("name", SCENES)
def test_the_example_decodes_a_golden(name: str, example: Path, tmp_path: Path) -> None:
    golden = CASES[name].load()
    printed = run(example, *save_outputs(CASES[name], tmp_path))
    answer = (tmp_path / "people.bin").read_bytes()
    assert answer == as_bytes(decoded(CASES[name]))
    arrays = [golden.arrays[key] for key in ("preds", "scores", "tags")]
    numbers = np.frombuffer(answer, np.float32)
    assert len(numbers) == sum(array.size for array in arrays)
    assert_array_equal(numbers[: arrays[0].size].reshape(arrays[0].shape), arrays[0])
    assert printed.count("person ") == len(arrays[0]) == printed.count("score ")


def test_the_example_says_what_is_wrong(example: Path, tmp_path: Path) -> None:
    arguments = save_outputs(CASES[SCENES[0]], tmp_path)
    np.save(tmp_path / "narrow.npy", np.zeros((34, 8, 7), np.float32))
    np.save(tmp_path / "double.npy", np.zeros((34, 8, 8)))
    np.save(tmp_path / "flat.npy", np.zeros((34, 64), np.float32))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "out.npy").read_bytes()[:-1])
    for given, complaint in (
        (["0", *arguments[1:]], "width: 0"),
        (
            [*arguments[:4], str(tmp_path / "narrow.npy")],
            r"flipped\[0\]: shape \(34, 8, 7\), expected \(34, 128, 128\)",
        ),
        ([*arguments[:3], str(tmp_path / "double.npy")], "double.npy: found .*<f8"),
        ([*arguments[:3], str(tmp_path / "flat.npy")], "flat.npy: found .*expected a shape"),
        ([*arguments[:3], str(tmp_path / "cut.npy")], "cut.npy: ends within its numbers"),
        ([*arguments[:3], str(tmp_path / "none.npy")], "none.npy: not read"),
    ):
        done = subprocess.run([example, *given], capture_output=True, text=True)
        assert done.returncode == 1 and re.search(complaint, done.stderr, re.S), done.stderr
    assert subprocess.run([example], capture_output=True).returncode == 2


# ------------------------------------------------------------------------------------------------------ the same bits


def decode_case(c_library: Library, case: Case) -> bytes:
    """By hrnetae_decode where it is one array, else by hrnetae_decode_stages."""
    inputs = case.load().inputs()
    decoder = c_library.decoder(c_library.params(inputs["params"]), c_skeleton(inputs["skeleton"]))
    output, flipped, size = inputs["output"], inputs["flipped"], inputs["image_size"]
    if isinstance(output, np.ndarray):
        return decoder.decode(output, flipped, size)
    return decoder.decode_stages(output, flipped, inputs["scales"] or (1.0,), size)


@pytest.mark.parametrize("level", available_levels())
@pytest.mark.parametrize("name", CASES)
def test_every_golden(name: str, level: str, c_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRNETAE_LEVEL", level)
    assert c_library.decoder().level == level
    assert decode_case(c_library, CASES[name]) == as_bytes(decoded(CASES[name]))


RESCORING = Rescoring(0.25, tuple(0.1 * (i % 5) for i in range(len(FEATURES))))


@pytest.mark.parametrize(
    "params",
    [
        DecodeParams(),
        DecodeParams(use_detection_val=False, ignore_too_much=True, max_num_people=2),
        DecodeParams(adjust=False, refine=False, nms_kernel=3, detection_threshold=0.3, tag_threshold=0.5),
        DecodeParams(project2image=False, align_corners=True, score_per_joint=True),
        DecodeParams(tag_window=3, second_pass=True, subpixel="fit", person_score="found", exact_geometry=True),
        DecodeParams(person_score="geometric", suppress_oks=0.4, filled_floor=0.05, input_size=(500, 512)),
        DecodeParams(exact_geometry=True, input_size=(500, 512), rescoring=RESCORING),
        DecodeParams(mode="mmpose1", center_shift=0.25, restore_heatmap_size=False),
        DecodeParams(mode="mmpose1", input_size=(480, 500)),
        DecodeParams(detection_threshold=-1.0, max_num_people=3),
    ],
    ids=lambda params: ",".join(f.name for f in dataclasses.fields(params) if getattr(params, f.name) != f.default),
)
def test_every_parameter(params: DecodeParams, c_library: Library) -> None:
    golden = CASES[SCENES[1]].load()
    output, flipped = golden.arrays["out"], golden.arrays["out_flip"].astype(np.float32)
    expected = as_bytes(Decoder(params).decode(output, flipped, image_size=golden.image_size))
    assert c_library.decoder(c_library.params(params)).decode(output, flipped, golden.image_size) == expected
    assert len(expected) > 0


def test_the_parameters_together_change_every_field() -> None:
    """That the test above leaves none out."""
    marks = [mark for mark in test_every_parameter.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    tried = marks[0].args[1]
    constant = {"tag_per_joint", "use_udp"}  # of goldens that test_every_golden decodes
    for field in dataclasses.fields(DecodeParams):
        assert field.name in constant or any(getattr(params, field.name) != field.default for params in tried), (
            field.name
        )


def test_without_the_mirrored_output(c_library: Library) -> None:
    golden = CASES[SCENES[1]].load()
    expected = Decoder().decode(golden.arrays["out"], image_size=golden.image_size)
    assert len(expected) > 0 and expected.tags.shape[2] == 1
    assert c_library.decoder().decode(golden.arrays["out"], None, golden.image_size) == as_bytes(expected)


def test_scales_in_any_order(c_library: Library) -> None:
    golden = CASES["var_multiscale_2p_427x640"].load()
    inputs = golden.inputs()
    scales = inputs["scales"]
    order = [2, 0, 1]
    decoder = c_library.decoder(c_library.params(inputs["params"]))
    arranged = ([inputs[name][i] for i in order] for name in ("output", "flipped"))
    shuffled = decoder.decode_stages(*arranged, [scales[i] for i in order], golden.image_size)
    assert shuffled == decoder.decode_stages(inputs["output"], inputs["flipped"], scales, golden.image_size)


@pytest.mark.parametrize(("name", "ours"), [("hrnetae_coco17", COCO17), ("hrnetae_crowdpose14", CROWDPOSE14)])
def test_skeletons_are_ours(name: str, ours: hrnetae.Skeleton, c_library: Library) -> None:
    built_in = getattr(c_library.functions, name)()[0]
    assert built_in.joints == len(ours) and built_in.flip_pairs == len(ours.flip_pairs)
    assert tuple(built_in.flip_pair[: 2 * len(ours.flip_pairs)]) == tuple(k for pair in ours.flip_pairs for k in pair)
    assert tuple(built_in.sigmas[: len(ours)]) == ours.sigmas
    golden = CASES["var_crowdpose14_2p_640x427" if len(ours) == 14 else SCENES[1]].load()
    maps = golden.arrays["out"], golden.arrays["out_flip"]
    answer = c_library.decoder(c_library.params(golden.params), built_in).decode(*maps, golden.image_size)
    assert answer == as_bytes(Decoder(golden.params, ours).decode(*maps, image_size=golden.image_size))


def test_many_threads_with_one_decoder(c_library: Library) -> None:
    cases = [CASES[name].load() for name in SCENES]
    decoder = c_library.decoder()
    expected = [as_bytes(decoded(CASES[name])) for name in SCENES]

    def decode(turn: int) -> bool:
        golden = cases[turn % len(cases)]
        maps = golden.arrays["out"], golden.arrays["out_flip"]
        return decoder.decode(*maps, golden.image_size) == expected[turn % len(cases)]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(decode, range(64)))
