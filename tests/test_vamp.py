"""`hrnetae vamp` from end to end: the outputs, the figures, the vendor's command line, and what can be wrong."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from flows import COUNT, Flow, make_flow, names, outputs_in, vamp
from small_networks import expected, write_network, write_vdsp

from hrnetae.files.model_folder import Manifest, TensorInfo, write_model
from hrnetae.files.npz import write_arrays
from hrnetae.runtime.vamp import Vamp, VampRun
from hrnetae.tools import cli, vamp_options
from hrnetae.tools.vamp_report import latency_us

QPS = re.compile(r"\(qps\): (\d+.\d+)")  # what users of the vendor's tool look for


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    return make_flow(tmp_path_factory.mktemp("flow"), stages=(34, 17))


# ------------------------------------------------------------------------------------------------------------- outputs


def test_outputs_are_the_networks_in_the_order_of_the_list(flow: Flow, tmp_path: Path) -> None:
    assert vamp(flow.listed(tmp_path / "a" / "out")) == 0
    assert list(outputs_in(tmp_path / "a" / "out")) == names(COUNT)
    for line, picture in enumerate(flow.pictures):
        with np.load(tmp_path / "a" / "out" / f"output_{line:06d}.npz") as found:
            assert sorted(found) == ["output_0", "output_1"]
            for stage, channels in enumerate((34, 17)):
                maps = found[f"output_{stage}"]
                assert maps.dtype == np.float16 and maps.shape == (1, channels, 16, 16)
                want = expected(picture, channels, stage)
                np.testing.assert_allclose(maps[0], want, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("batch", [1, "N"])
def test_bytes_do_not_depend_on_how_it_is_run(tmp_path: Path, batch: int | str) -> None:
    flow = make_flow(tmp_path, stages=(34, 17), batch=batch, work=1)
    seen = set()
    ways: tuple[tuple[object, ...], ...] = (
        (),
        ("-i", 3),
        ("-b", 3),
        ("-b", 22, "--threads", 3),
        ("-i", 2, "-b", 2, "--threads", 1),
        ("--forward_mode", 1, "-b", 2),
        *([("-i", 3, "-p", 2, "-b", 2)] if batch == 1 else []),
    )
    for number, way in enumerate(ways):
        out = tmp_path / f"out{number}"
        assert vamp(flow.listed(out, *way)) == 0
        found = outputs_in(out)
        assert list(found) == names(COUNT)
        seen.add(b"".join(found.values()))
    assert len(seen) == 1


def test_values_beyond_float16_become_infinite(tmp_path: Path) -> None:
    flow = make_flow(tmp_path, count=1)
    write_vdsp(flow.vdsp, "MINUSMEAN_DIVSTD", Mean=[0, 0, 0], Std=[1e-6, 1e-6, 1e-6])
    assert vamp(flow.listed(tmp_path / "out")) == 0
    with np.load(tmp_path / "out" / names(1)[0]) as found:
        assert np.isinf(found["output_0"]).any()


def test_lines_may_be_relative_to_the_list(flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = flow.root / "relative.txt"
    listing.write_text("in/picture 1.npz\nin/picture 0.npz\n")
    monkeypatch.chdir(tmp_path)
    assert vamp(flow.words("--datalist", listing, "--path_output", tmp_path / "far")) == 0
    monkeypatch.chdir(flow.root)
    assert vamp(flow.words("--datalist", listing.name, "--path_output", tmp_path / "near")) == 0
    assert outputs_in(tmp_path / "far") == outputs_in(tmp_path / "near")
    with np.load(tmp_path / "far" / "output_000001.npz") as found:
        np.testing.assert_allclose(found["output_0"][0], expected(flow.pictures[0]), rtol=2e-3, atol=2e-3)


def test_the_folder_says_what_made_it(flow: Flow, tmp_path: Path) -> None:
    vamp(flow.listed(tmp_path))
    record = json.loads((tmp_path / "run.json").read_text())
    assert "ONNX Runtime" in record["backend"] and record["verb"] == "vamp" and record["dtype"] == "float16"


# --------------------------------------------------------------------------------------------------------- the figures


def test_the_printed_block(flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vamp(flow.listed(tmp_path, "-i", 2, "-b", 2)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Dump model info: {flow.model}"
    for line in (
        "[max_batch_size_]: 1",
        "[input_count]: 1",
        "input[0]: [3,64,64], dtype:f4",
        "[output_count]: 2",
        "output[0]: [1,34,16,16], dtype:f4",
        "output[1]: [1,17,16,16], dtype:f4",
        "*** number of instances in each device: 2 ****",
        "  devices: [0]",
        "  batch size: 2",
        f"  samples: {COUNT}",
        "  ai utilize (%): n/a",
        "  card power (W): n/a",
        "  temperature (°C): n/a",
        "  die memory used (MB): n/a",
        "  e2e latency (us):",
        "  model latency (us):",
    ):
        assert line in lines, line
    text = "\n".join(lines)
    assert text.count("ONNX Runtime") == 2
    assert len(re.findall(r"^    p99 latency: \d+$", text, re.M)) == 2
    found = re.search(r"forwad time \(s\): (\S+)", text)
    assert found is not None
    assert float(QPS.findall(text)[0]) == pytest.approx(COUNT / float(found[1]), rel=1e-2)


def test_a_range_of_instances_is_run_one_after_another(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    assert vamp(flow.words("-i", "1:3", "--iterations", 5)) == 0
    text = capsys.readouterr().out
    assert re.findall(r"instances in each device: (\d)", text) == ["1", "2", "3"]
    assert re.findall(r"  samples: (\d+)", text) == ["5", "5", "5"]
    assert len(QPS.findall(text)) == 3


def test_json_and_yaml_hold_the_same(flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("-f", tmp_path / "r.yaml", "--json", "--verbose", "--percentiles", "[50,99.9]", "-i", 2, "-p", 2)
    assert vamp(flow.words("--iterations", 6, *words)) == 0
    data = json.loads(capsys.readouterr().out)
    assert yaml.safe_load((tmp_path / "r.yaml").read_text()) == data
    (run,) = data["runs"]
    assert run["samples"] == 6 == sum(process["samples"] for process in run["per_process"])
    assert len(run["per_process"]) == run["processes"] == 2
    assert run["throughput_qps"] == pytest.approx(6 / run["forward_time_s"], rel=1e-3)
    assert list(run["model_latency_us"]) == ["avg", "min", "max", "p50", "p99.9"]
    assert run["model_latency_us"]["max"] <= run["e2e_latency_us"]["max"] <= 1e6 * run["forward_time_s"]
    assert run["ai_utilize_percent"] is None and "ONNX Runtime" in data["backend"]


def test_latencies_are_whole_microseconds() -> None:
    seconds = np.arange(1, 101) / 1000
    figures = latency_us(seconds, (50, 90, 100))
    assert figures == {"avg": 50500, "min": 1000, "max": 100000, "p50": 50500, "p90": 90100, "p100": 100000}
    assert latency_us(np.array([]), (50,)) == {}


def test_a_run_by_time(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    assert vamp(flow.words("-t", "0.3", "--iterations", 1, "--json", "-s", "[[3,100,50]]")) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["samples"] > 1 and 0.3 <= run["forward_time_s"] < 3


def test_one_after_the_other_nothing_waits(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    assert vamp(flow.words("--iterations", 20, "--forward_mode", 1, "--json")) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    # The sum over all samples of the time each was under way is then the time of the run.
    assert 20 * run["e2e_latency_us"]["avg"] <= 1.01e6 * run["forward_time_s"]


# ---------------------------------------------------------------------------------------------------- the command line


def test_stray_words_are_a_warning(flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["vamp", *flow.listed(tmp_path), "-i", "2", "p", "2", "-b", "1", "-s", "[3,512,512]"]
    assert cli.main(words) == 0
    assert "ignored: p 2" in capsys.readouterr().err
    assert list(outputs_in(tmp_path)) == names(COUNT)


def test_options_without_meaning_are_named_once(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    idle = ("--hwconfig", "x", "-g", "y", "--cache_input", 1, "--freqlist", "[1,2]", "--none-vaml", 1)
    assert vamp(flow.words("--iterations", 2, *idle)) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "without meaning" in line]
    for name in ("--hwconfig", "--graph", "--cache_input", "--freqlist", "--none_vaml"):
        assert name in line
    assert vamp(flow.words("--iterations", 2)) == 0
    assert capsys.readouterr().err == ""


def test_a_processor_is_one_device(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    assert vamp(flow.words("--iterations", 2, "-d", "0:3", "--json")) == 0
    captured = capsys.readouterr()
    assert captured.err == "hrnetae vamp: warning: --device_id ignored: CPUExecutionProvider has one device\n"
    assert json.loads(captured.out)["runs"][0]["devices"] == [0]


def test_a_config_file_takes_the_place_of_options(
    flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "vamp.yaml"
    settings = {
        "model_prefix": str(flow.model),
        "vdsp_params": str(flow.vdsp),
        "batch-size": 2,
        "instance": "1:2",
        "percentiles": [50],
        "iterations": 9,
        "json": True,
        "resume": False,
    }
    config.write_text(yaml.safe_dump(settings))
    assert vamp(["-c", str(config), "--iterations", "4"]) == 0  # the line has the last word
    data = json.loads(capsys.readouterr().out)
    assert [run["instances"] for run in data["runs"]] == [1, 2]
    assert {run["samples"] for run in data["runs"]} == {4} and {run["batch_size"] for run in data["runs"]} == {2}
    assert list(data["runs"][0]["e2e_latency_us"]) == ["avg", "min", "max", "p50"]
    for text, complaint in (
        ("batch: 2\n", "option batch, expected one of"),
        ("- 1\n", "list, expected options"),
        ("a: [\n", "no YAML"),
        ("json: maybe\n", "json is 'maybe', expected true or false"),
    ):
        config.write_text(text)
        assert vamp(["-c", str(config)]) == 1
        message = capsys.readouterr().err
        assert complaint in message and message.count("\n") == 1 and str(config) in message
    assert vamp(["-c", str(tmp_path / "none.yaml")]) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("-i", "0"), "expected a number of 1 or more"),
        (("-i", "3:1"), "a range like 1:4"),
        (("-d", "[a]"), "a list like"),
        (("-b", "0"), "whole number of 1 or more"),
        (("-i", "1:999999999999"), "-i/--instance: '999999999999', expected at most"),
        (("-d", "0:999999999999"), "expected numbers of devices below 1024"),
        (("-d", "[0,999999999999]"), "expected numbers of devices below 1024"),
        (("-s", "[3,200000,200000]"), "'[3,200000,200000]', expected sides up to 32767"),
        (("-s", "[3,30000,30000]"), "at most 67108864 pixels"),
        (("--threads", "100000"), "--threads: '100000', expected at most"),
        (("-p", "100000"), "-p/--processes: '100000', expected at most"),
        (("--percentiles", "[101]"), "from 0 to 100"),
        (("-s", "[1,224,224]"), "expected one picture as [3,H,W]"),
        (("-s", "[[3,2,2],[3,2,2]]"), "expected one picture as [3,H,W]"),
        (("--dtype", "float32"), "expected uint8"),
        (("-t", "-1"), "expected seconds"),
        (("--forward_mode", "2"), "invalid choice"),
        (("--resume",), "expected --datalist and --path_output"),
        (("--no_such_option", "1"), "unrecognized arguments"),
        (("--backend", "abacus"), "invalid choice"),
    ],
)
def test_wrong_usage(flow: Flow, words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        vamp(flow.words(*words))
    assert caught.value.code == 2 and complaint in capsys.readouterr().err


def test_required_options(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        vamp(["-m", "x"])
    assert "required: --vdsp_params" in capsys.readouterr().err


def test_help_shows_every_option_of_the_vendors(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["-?"]):
        with pytest.raises(SystemExit) as caught:
            vamp(words)
        assert caught.value.code == 0
        text = " ".join(capsys.readouterr().out.split())
        for option, default in (
            ("--model_prefix", None),
            ("--vdsp_params", None),
            ("--batch_size", "1"),
            ("--force_batch_size", "0"),
            ("--instance", "1"),
            ("--device_id", "0"),
            ("--config", None),
            ("--graph", None),
            ("--file_report", None),
            ("--shape", None),
            ("--dtype", "uint8"),
            ("--iterations", "1024"),
            ("--processes", "1"),
            ("--verbose", "0"),
            ("--percentiles", "[50,90,95,99]"),
            ("--datalist", None),
            ("--cache_input", "0"),
            ("--cache_output", "0"),
            ("--path_output", None),
            ("--backend", "onnxruntime"),
            ("--forward_time", "0"),
            ("--forward_mode", "0"),
            ("--provider", "CPUExecutionProvider"),
        ):
            shown = "" if default is None else rf"(?:(?! --).)*\(default: {re.escape(default)}\)"
            assert re.search(rf" {option} {shown}", text), option
        assert "example: hrnetae vamp -m" in text


def test_numbers_of_devices_and_instances() -> None:
    assert vamp_options.instances("1:4") == (1, 2, 3, 4) and vamp_options.instances("2") == (2,)
    assert vamp_options.devices("0:3") == (0, 1, 2, 3) and vamp_options.devices("[0,2]") == (0, 2)


def test_more_processes_than_instances_is_a_warning(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    assert vamp(flow.words("--iterations", 2, "-p", 2, "--json")) == 0
    captured = capsys.readouterr()
    assert "--processes 2" in captured.err and json.loads(captured.out)["runs"][0]["processes"] == 1


# ---------------------------------------------------------------------------------------------------- the vendor's own


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, help_text: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / "vamp"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = --help ]; then echo "{help_text}"; exit 0; fi\n'
        f'for word in "$@"; do echo "$word" >> {folder}/words; done\nexit 7\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as the vendor's tool")
def test_the_vendors_vamp_is_called_with_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path / "bin", monkeypatch, "usage: vamp [options]  -m, --model_prefix")
    line = ["-m", "x/mod", "--vdsp-params", "y.json", "-i", "2", "p", "2", "--hwconfig", "h.json"]
    ours = ["--json", "--provider", "cpu", "--threads=3", "--resume"]
    for backend, kept in (("vacc", []), ("vsx", ["--backend", "vsx"]), ("vastpipe", ["--backend", "vastpipe"])):
        (tmp_path / "bin" / "words").unlink(missing_ok=True)
        assert vamp([*line, *ours, "--backend", backend]) == 7
        want = ["-m", "x/mod", "--vdsp_params", "y.json", "-i", "2", "--hwconfig", "h.json", *kept, "p", "2"]
        assert (tmp_path / "bin" / "words").read_text().split("\n")[:-1] == want


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as the vendor's tool")
@pytest.mark.parametrize(
    ("words", "want"),
    [
        (("--prov", "cpu", "--thr", "2", "--res", "--js", "--back", "vacc", "-i2"), ["-i", "2"]),
        (("--prov=cpu", "--back=vacc", "--thr=2", "--inst", "1:2"), ["--instance", "1:2"]),
        (("--back=vsx", "--verb"), ["--backend", "vsx", "--verbose", "1"]),
        (("-i", "2", "-i", "3", "--backend", "vacc"), ["-i", "3"]),
        (("-c", "cc.yaml", "-b", "4"), ["--hwconfig", "h.json", "-b", "4"]),
    ],
)
def test_options_of_ours_stay_here_however_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], want: list[str]
) -> None:
    put_on_path(tmp_path / "bin", monkeypatch, "usage: vamp [options]  -m, --model_prefix")
    monkeypatch.chdir(tmp_path)
    own = "provider: cpu\nthreads: 2\njson: true\nresume: false\nbackend: vacc\n"
    Path("cc.yaml").write_text(own + "batch_size: 2\nhwconfig: h.json\n")
    assert vamp(["-m", "x/mod", *words]) == 7
    found = (tmp_path / "bin" / "words").read_text().split("\n")[:-1]
    assert sorted(found) == sorted(["-m", "x/mod", *want])
    assert all(found[found.index(name) + 1] == value for name, value in zip(want[::2], want[1::2], strict=True))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as the other tool")
def test_another_program_called_vamp_is_not_taken_for_it(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_on_path(tmp_path / "bin", monkeypatch, "USAGE: vamp [plugin]")
    assert vamp(flow.words("--backend", "vsx")) == 1
    assert "--backend vsx: the vendor's vamp is not on PATH" in capsys.readouterr().err
    assert not (tmp_path / "bin" / "words").exists()


# ----------------------------------------------------------------------------------------------------------- bad things


def test_bad_inputs_are_listed_and_the_rest_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = make_flow(tmp_path)
    inside = tmp_path / "in"
    cut, kind, shape, text, gone = (inside / f"picture {n}.npz" for n in (0, 2, 3, 5, 6))
    cut.write_bytes(cut.read_bytes()[:500])
    write_arrays(kind, {"input_0": np.zeros((3, 8, 8), np.float32)})
    write_arrays(shape, {"input_0": np.zeros((8, 8, 3), np.uint8)})
    text.write_text("no npz")
    gone.unlink()
    for words in (("-b", 2), ("-i", 2, "-p", 2)):  # processes hand their failures on
        out = tmp_path / "out"
        assert vamp(flow.listed(out, "--json", *words)) == 1
        captured = capsys.readouterr()
        failed = {each["line"]: each["error"] for each in json.loads(captured.out)["failed"]}
        assert sorted(failed) == [1, 3, 4, 6, 7]
        assert "damaged" in failed[1] and "float32 (3, 8, 8)" in failed[3] and "uint8 (8, 8, 3)" in failed[4]
        assert "no such file" in failed[7] and all("picture" in reason for reason in failed.values())
        assert list(outputs_in(out)) == ["output_000001.npz", "output_000004.npz"]
        lines = captured.err.splitlines()
        assert len(lines) == 6 and "5 of 7 inputs failed" in lines[-1]


def test_an_input_that_fails_in_any_run_of_a_range_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = make_flow(tmp_path)
    late = tmp_path / "in" / "picture 4.npz"
    content = late.read_bytes()
    late.unlink()
    run = Vamp.run

    def then_it_comes(self: Vamp, *words: Any) -> VampRun:  # another program puts it there after the first run
        done = run(self, *words)
        late.write_bytes(content)
        return done

    monkeypatch.setattr(Vamp, "run", then_it_comes)
    assert vamp(flow.listed(tmp_path / "out", "-i", "1:2", "--json")) == 1
    captured = capsys.readouterr()
    assert [each["line"] for each in json.loads(captured.out)["failed"]] == [5]
    lines = captured.err.splitlines()
    assert "line 5: " in lines[0] and "no such file" in lines[0]
    assert "1 of 7 inputs failed, 7 outputs made (by the last of 2 runs)" in lines[1] and len(lines) == 2


def test_a_model_that_its_manifest_does_not_tell_of_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = make_flow(tmp_path)
    folder = flow.model.parent
    onnx = (folder / "mod.onnx").read_bytes()
    other = write_network(tmp_path / "other.onnx", seed=5).read_bytes()
    (folder / "mod.onnx").unlink()
    tensor = TensorInfo("input.1", (1, 3, 64, 64), "float32")
    manifest = Manifest(
        "small", "onnxruntime", "fp32", "", (tensor,), (), {}, hashlib.sha256(onnx).hexdigest(), versions={}
    )
    write_model(folder, onnx, manifest)
    assert vamp(flow.listed(tmp_path / "out")) == 0
    (folder / "mod.onnx").write_bytes(other)
    capsys.readouterr()
    assert vamp(flow.listed(tmp_path / "out")) == 1
    message = capsys.readouterr().err
    assert (
        message.count("\n") == 1
        and f"{folder / 'mod.onnx'}: sha256 {hashlib.sha256(other).hexdigest()[:12]}" in message
    )
    assert f"expected {manifest.sha256[:12]} as in mod.json" in message


def test_without_opencv_one_line_says_so(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert vamp(flow.listed(tmp_path)) == 1
    message = capsys.readouterr().err
    assert "OpenCV is missing: pip install" in message and message.count("\n") == 1


def test_inputs_of_other_makers(tmp_path: Path) -> None:
    flow = make_flow(tmp_path, count=4)
    paths = [tmp_path / "in" / f"picture {number}.npz" for number in range(4)]
    np.savez_compressed(paths[0], any_key=flow.pictures[0])
    np.savez(paths[1], input_0=flow.pictures[1][np.newaxis], other=np.zeros(3))
    np.savez(paths[2], input_0=np.asfortranarray(flow.pictures[2]))
    assert vamp(flow.listed(tmp_path / "out")) == 0
    for line, picture in enumerate(flow.pictures):
        with np.load(tmp_path / "out" / f"output_{line:06d}.npz") as found:
            np.testing.assert_allclose(found["output_0"][0], expected(picture), rtol=2e-3, atol=2e-3)


def test_objects_in_an_input_are_never_unpickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = make_flow(tmp_path, count=1)
    np.savez(tmp_path / "in" / "picture 0.npz", input_0=np.array([{"a": 1}], dtype=object))
    assert vamp(flow.listed(tmp_path / "out")) == 1
    assert "input_0 is object (1,), expected uint8 (3, H, W)" in capsys.readouterr().err


def test_a_header_that_promises_too_much_takes_no_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flow = make_flow(tmp_path, count=1)
    with zipfile.ZipFile(tmp_path / "in" / "picture 0.npz", "w") as archive, archive.open("input_0.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "|u1", "fortran_order": False, "shape": (3, 1 << 20, 1 << 20)}
        )
        member.write(b"\0" * 100)
    assert vamp(flow.listed(tmp_path / "out")) == 1
    assert "in 100 bytes, expected uint8 (3, H, W) in 3298534883328" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda flow: flow.words("--provider", "abacus"), "abacus: not in this ONNX Runtime, expected one of"),
        (lambda flow: [*flow.words(), "-m", "nowhere/mod"], "nowhere/mod: no such model"),
        (lambda flow: [*flow.words(), "--vdsp_params", "nowhere.json"], "nowhere.json"),
        (lambda flow: [*flow.words(), "--datalist", "nowhere.txt"], "nowhere.txt: no such file"),
        (lambda flow: flow.listed(flow.vdsp), "vdsp.json: a file, expected a folder for the outputs"),
        (lambda flow: flow.listed(flow.vdsp / "out"), "vdsp.json"),
        (lambda flow: flow.words("-f", flow.vdsp / "report.yaml", "--iterations", 1), "report.yaml"),
    ],
)
def test_bad_data_is_one_line(
    flow: Flow, change: object, complaint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert callable(change)
    assert vamp(change(flow)) == 1
    message = capsys.readouterr().err
    assert complaint in message and message.count("\n") == 1
