"""The five verbs that work for long, on small inputs: how to start and stop them, and what they leave.

The inputs are what a user has: drawn pictures and the bundled network, and what the package's own verbs make of them.
A run's processes are looked up in /proc, which Linux has.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hrnetae.evaluation.drawn_scenes import draw_scene, scenes_ground_truth
from hrnetae.files.pictures import write_picture
from hrnetae.tools import cli
from hrnetae.tools.demo_flow import Folder, write_settings

SCENES = 4  # that are drawn; the pictures repeat them
CONVERTED, EVALUATED = 40, 120  # pictures
RUN = 6  # pictures that the network is run on
CALIBRATION = 4
PATIENCE = 120.0  # seconds: what waits longer than this hangs, however busy the machine is
GLANCE = 0.0005  # seconds


@dataclass(frozen=True)
class Stage:
    """The inputs of all five verbs.

    A run writes below ``out``, which is the same folder for all, as paths stand in some of the files.
    """

    root: Path

    @property
    def settings(self) -> Folder:
        """The network, its preprocessing and build files, pictures and ground truth, as the demo has them."""
        return Folder(self.root)

    @property
    def few(self) -> Path:
        """The pictures that the network is run on."""
        return self.root / "few"

    @property
    def few_inputs(self) -> Path:
        return self.root / "few_npz"

    @property
    def few_list(self) -> Path:
        """The same as inputs of vamp, and mirrored."""
        return self.root / "few.txt"

    @property
    def model(self) -> Path:
        return self.root / "fp16"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def clear(self) -> None:
        """As before the first run."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def left(self) -> dict[str, bytes]:
        """Every file below ``out``, hidden ones too, and every empty folder, by their paths."""
        found = {}
        for path in sorted(self.out.rglob("*")):
            name = path.relative_to(self.out).as_posix()
            if path.is_file():
                found[name] = path.read_bytes()
            elif not any(path.iterdir()):
                found[f"{name}/"] = b""
        return found

    def fill(self, files: Mapping[str, bytes]) -> None:
        """As after a run that left these files."""
        self.clear()
        for name, content in files.items():
            (self.out / name).parent.mkdir(parents=True, exist_ok=True)
            (self.out / name).write_bytes(content)

    def names(self) -> list[str]:
        """The paths of the files below ``out``: quick enough to wait for one of them."""
        start = len(str(self.out)) + 1
        return [f"{folder}/{name}"[start:] for folder, _, files in os.walk(self.out) for name in files]


def is_hidden(path: str) -> bool:
    """Whether a file, or a folder around it, has no name of its own yet."""
    return any(part.startswith(".") for part in path.split("/"))


def make_stage(root: Path) -> Stage:
    """Draws the pictures and makes what the verbs need of each other: inputs of vamp, a float16 model, its outputs."""
    stage = Stage(root)
    settings = stage.settings
    scenes = [draw_scene(seed) for seed in range(SCENES)]
    truth = scenes_ground_truth([scenes[number % SCENES] for number in range(EVALUATED)])
    settings.pictures.parent.mkdir(parents=True)
    settings.ground_truth.write_text(json.dumps(truth))
    for folder, count in ((settings.pictures, CONVERTED), (stage.few, RUN), (settings.calibration, CALIBRATION)):
        folder.mkdir()
        for number, image in enumerate(truth["images"][:count]):
            write_picture(folder / image["file_name"], scenes[number % SCENES].picture)
    write_settings(settings)
    build_file = settings.build_file("int8")
    build_file.write_text(re.sub(r"(?<=get_data_num: )\d+", str(CALIBRATION), build_file.read_text()))
    _do("vamc", "build", settings.build_file("fp16"), "--out", stage.model)
    _do("convert-image", "--image_dir", stage.few, "--save_dir", stage.few_inputs, "--datalist", stage.few_list)
    network = ["-m", stage.model, "--vdsp_params", settings.vdsp_params]
    _do("vamp", *network, "--datalist", stage.few_list, "--path_output", root / "made")
    _repeat_outputs(root / "made", stage, [Path(image["file_name"]).stem for image in truth["images"]])
    return stage


def _repeat_outputs(made: Path, stage: Stage, stems: list[str]) -> None:
    """The outputs of the few pictures as if they were of all that are evaluated, each flip after its picture."""
    outputs = stage.settings.outputs("fp16")
    outputs.mkdir(parents=True)
    for line in range(2 * len(stems)):
        shutil.copy(made / f"output_{line % (2 * SCENES):06d}.npz", outputs / f"output_{line:06d}.npz")
    stage.settings.datalist.write_text("".join(f"{stem}.npz\n{stem}_flip.npz\n" for stem in stems))


def _do(*words: object) -> None:
    code, _, errors = call(*words)
    assert code == 0, errors


def call(*words: object) -> tuple[int, str, str]:
    """The command in this process: its exit code, what it printed, and what it complained of."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([*map(str, words)])
    return code, out.getvalue(), err.getvalue()


# ----------------------------------------------------------------------------------------------------------- the verbs


def _convert_image(stage: Stage) -> list[object]:
    out = ["--save_dir", stage.out / "npz", "--datalist", stage.out / "datalist.txt"]
    return ["--image_dir", stage.settings.pictures, *out, "--workers", 1]


def _vamc(stage: Stage) -> list[object]:
    return ["build", stage.settings.build_file("int8"), "--out", stage.out / "model", "--threads", 1]


def _runstream(stage: Stage) -> list[object]:
    network = ["--model", stage.model, "--vdsp_params_info", stage.settings.vdsp_params, "--threads", 1]
    return ["--file_path", stage.few, *network, "--save_dir", stage.out / "outputs", "--flip"]


def _vamp(stage: Stage) -> list[object]:
    network = ["-m", stage.model, "--vdsp_params", stage.settings.vdsp_params, "-i", 2, "-p", 2]
    return [*network, "--datalist", stage.few_list, "--path_output", stage.out / "outputs"]


def _eval(stage: Stage) -> list[object]:
    data = ["--output_data", stage.settings.outputs("fp16"), "--datalist_txt", stage.settings.datalist]
    return [*data, "--ann_file", stage.settings.ground_truth, "--out", stage.out / "results.json", "--num_process", 1]


@dataclass(frozen=True)
class Verb:
    """One of the five. arguments: on a stage, without the verb itself."""

    name: str
    arguments: Callable[[Stage], list[object]]

    def words(self, stage: Stage, *more: object) -> list[str]:
        """The command's words."""
        return [*map(str, [self.name, *self.arguments(stage), *more])]

    def alone(self, stage: Stage, *more: object) -> list[str]:
        """The same with all work in one process, which must not change what comes out."""
        return self.words(stage, *more, *(("-i", 1, "-p", 1) if self.name == "vamp" else ()))


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        verb.name: verb
        for verb in (
            Verb("convert-image", _convert_image),
            Verb("vamc", _vamc),
            Verb("runstream", _runstream),
            Verb("vamp", _vamp),
            Verb("eval", _eval),
        )
    }
)


# ------------------------------------------------------------------------------------------------------------- the run


class Run:
    """A verb at work in processes of its own, which a signal can reach one by one or all together.

    Its complaints go to a file, since a pipe would be held open by what the run leaves behind.
    """

    def __init__(self, stage: Stage, verb: Verb, *more: object) -> None:
        self._stage = stage
        self._complaints = stage.root / "complaints.txt"
        command = [sys.executable, "-m", "hrnetae.tools.cli", *verb.words(stage, *more)]
        with self._complaints.open("wb") as complaints:
            self.process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=complaints, start_new_session=True
            )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.clean_up()

    @property
    def over(self) -> bool:
        return self.process.poll() is not None

    @property
    def errors(self) -> str:
        return self._complaints.read_text()

    def wait_for(self, happened: Callable[[], bool]) -> bool:
        """Whether it happened before the run was over."""
        until = time.monotonic() + PATIENCE
        while not happened():
            if self.over:
                return False
            assert time.monotonic() < until, "nothing happens"
            time.sleep(GLANCE)
        return not self.over

    def wait_until(self, moment: float) -> bool:
        """Until a time on the monotonic clock."""
        return self.wait_for(lambda: time.monotonic() >= moment)

    def wait_for_files(self, count: int) -> bool:
        """Until so many files have names of their own, other than temporary ones."""
        return self.wait_for(lambda: sum(not is_hidden(name) for name in self._stage.names()) >= count)

    def wait_for_temporary(self) -> bool:
        """Until a file is being written."""
        return self.wait_for(lambda: any(map(is_hidden, self._stage.names())))

    def end(self) -> int:
        """Wait for the end of the run; its exit code."""
        return self.process.wait(PATIENCE)

    def signal(self, number: signal.Signals, pid: int | None = None) -> None:
        """To one of its processes, the first where no other is named; to none if it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid or self.process.pid, number)

    def signal_all(self, number: signal.Signals) -> None:
        """To all of them at once, as ctrl-c in a terminal is."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def members(self) -> list[int]:
        """The run's processes that live, wherever their parents went."""
        return [pid for pid, session in _sessions() if session == self.process.pid]

    def workers(self) -> list[int]:
        """Those that share the work."""
        return [pid for pid in self.members() if b"spawn_main" in _command_line(pid)]

    def wait_for_nobody(self) -> bool:
        """Whether all processes of the run end by themselves."""
        until = time.monotonic() + PATIENCE
        while self.members():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def clean_up(self) -> None:
        """Nothing of the run stays, whatever went wrong."""
        while self.members():
            self.signal_all(signal.SIGKILL)
            self.process.wait(PATIENCE)


def _sessions() -> list[tuple[int, int]]:
    """Every process that is no zombie, and its session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if state != "Z":
                    found.append((int(entry.name), int(session)))
    return found


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
