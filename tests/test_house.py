"""The floors of the house: who may import whom. And what every step of the algorithm and every public name must have.

The picture is in docs/architecture.md. The checks read the source of the installed package, nothing is imported for
them but the package itself.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import hrnetae
import hrnetae.tools

HAS_TORCH = importlib.util.find_spec("torch") is not None
CSRC = Path(__file__).resolve().parents[1] / "csrc"

# From the top down. A module belongs to the first floor that names it or a package around it.
FLOORS = (
    ("tools", ("hrnetae.tools",)),
    ("runtime", ("hrnetae.runtime",)),
    ("networks", ("hrnetae.networks",)),
    ("tuning", ("hrnetae.tuning",)),
    ("evaluation", ("hrnetae.evaluation",)),
    ("files", ("hrnetae.files",)),
    ("compat", ("hrnetae.compat",)),
    (
        "decoder",
        (
            "hrnetae",
            "hrnetae.decoder",
            "hrnetae.batch",
            "hrnetae.capi",
            "hrnetae.steps",
            "hrnetae.poses",
            "hrnetae.outputs",
            "hrnetae.dispatch",
            "hrnetae.work",
        ),
    ),
    ("reference", ("hrnetae.reference", "hrnetae.reference_maps", "hrnetae.reference_options")),
    (
        "what everyone may know",
        (
            "hrnetae.params",
            "hrnetae.foreign",
            "hrnetae.rescoring",
            "hrnetae.skeleton",
            "hrnetae.types",
            "hrnetae.geometry",
        ),
    ),
    ("kernels", ("hrnetae._kernels",)),
    ("data", ("hrnetae.data",)),
)
# The floors from evaluation upwards may use these, files those that read a format; the ones below stand on NumPy and
# the standard library.
OUTSIDERS = frozenset(
    ("PIL", "cv2", "distributed", "matplotlib", "onnx", "onnxruntime", "pycocotools", "torch", "tqdm", "yaml")
)
MAY_IMPORT = {
    "tools": OUTSIDERS,
    "runtime": OUTSIDERS,
    "networks": OUTSIDERS,
    "evaluation": OUTSIDERS,
    "files": frozenset(("cv2", "onnx", "yaml")),
}
# Torch modules cannot be written without torch; whoever uses these imports them where they are needed.
TORCH_MODULES = ("hrnetae.networks.", "hrnetae.tools.train_demo")
# The package's own __init__ gives these two out, too. It opens the door when somebody asks for them, not before.
DOORS = frozenset(("hrnetae.evaluation.drawing.draw", "hrnetae.runtime.estimator.PoseEstimator"))
# Narrower than the rule of the floors: the reference may not stand on the kernels, nor they on each other's code.
ONLY = {"reference": ("reference", "what everyone may know")}


@dataclass(frozen=True)
class Import:
    """One import statement's target, as a dotted name. eager: it runs when the module is imported."""

    name: str
    line: int
    eager: bool


@cache
def imports_of(source: str, module: str, is_package: bool) -> tuple[Import, ...]:
    """Every import in a module's source, wherever it stands; relative ones made absolute."""
    found: list[Import] = []

    def visit(node: ast.AST, eager: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, eager) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                base = ".".join([*kept, *([base] if base else [])])
            # `from package import x`: x may be a module of its own.
            found.extend(Import(f"{base}.{alias.name}", node.lineno, eager) for alias in node.names)
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        inner = eager and not for_types and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(ast.parse(source), True)
    return tuple(found)


def floor_of(module: str) -> int | None:
    """Index into FLOORS, 0 at the top; None for modules of others and for those that no floor names."""
    best: tuple[int, int] | None = None
    for index, (_, names) in enumerate(FLOORS):
        for name in names:
            # The package's own __init__ stands on a floor, but not for the modules in it.
            around = module == name or (name != "hrnetae" and module.startswith(f"{name}."))
            if around and (best is None or len(name) > best[0]):
                best = (len(name), index)
    return None if best is None else best[1]


def target_floor(name: str, modules: frozenset[str]) -> int | None:
    """The floor of what `import name` or `from a import b` (name: a.b) reaches."""
    if name not in modules and name.rpartition(".")[0] in modules:
        name = name.rpartition(".")[0]
    return floor_of(name)


def breaches(sources: dict[str, tuple[str, bool]]) -> list[str]:
    """What is wrong with the imports of some modules. sources: module name -> (source, whether it is a package)."""
    wrong = []
    known = frozenset(sources) | {"hrnetae._kernels"}
    for module, (source, is_package) in sources.items():
        floor = floor_of(module)
        if floor is None:
            wrong.append(f"{module}: on no floor")
            continue
        here = FLOORS[floor][0]
        for one in imports_of(source, module, is_package):
            where = f"{module}:{one.line}: {here} imports {one.name}"
            if one.name.split(".")[0] in OUTSIDERS - MAY_IMPORT.get(here, frozenset()):
                wrong.append(f"{where}, which belongs on a higher floor")
            if one.name.split(".")[0] == "tools":
                wrong.append(f"{where}, expected hrnetae.tools")
            if one.name.split(".")[0] != "hrnetae":
                continue
            if module == "hrnetae" and one.name in DOORS and not one.eager:
                continue
            target = target_floor(one.name, known)
            if target is None:
                wrong.append(f"{where}, which is on no floor")
            elif target < floor:
                wrong.append(f"{where}, from the floor above ({FLOORS[target][0]})")
            elif FLOORS[target][0] not in ONLY.get(here, (FLOORS[target][0],)):
                wrong.append(f"{where}, expected only {' and '.join(ONLY[here])}")
    return wrong


def package_sources() -> dict[str, tuple[str, bool]]:
    """Every Python module of the installed package, hrnetae.tools among them, which may lie elsewhere."""
    sources: dict[str, tuple[str, bool]] = {}
    for package in (hrnetae, hrnetae.tools):
        for folder in map(Path, package.__path__):
            for path in sorted(folder.rglob("*.py")):
                parts = list(path.relative_to(folder).with_suffix("").parts)
                is_package = parts[-1] == "__init__"
                name = ".".join([package.__name__, *(parts[:-1] if is_package else parts)])
                sources[name] = (path.read_text(encoding="utf-8"), is_package)
    return sources


# ---------------------------------------------------------------------------------------------------------- the floors


def test_nothing_imports_upwards() -> None:
    sources = package_sources()
    for module in ("hrnetae", "hrnetae.decoder", "hrnetae.reference", "hrnetae.files.npz", "hrnetae.tools.cli"):
        assert module in sources
    assert breaches(sources) == []


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    late = {"cv2", "distributed", "matplotlib", "onnx", "onnxruntime", "pycocotools", "supervision", "torch", "yaml"}
    for module, (source, is_package) in package_sources().items():
        may = {"torch"} if module.startswith(TORCH_MODULES) else set()
        for one in imports_of(source, module, is_package):
            assert not (one.eager and one.name.split(".")[0] in late - may), f"{module}:{one.line}: {one.name}"
            torch_module = one.name.startswith(TORCH_MODULES) and not module.startswith(TORCH_MODULES)
            assert not (one.eager and torch_module), f"{module}:{one.line}: {one.name}"


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("hrnetae.files.npz", "from hrnetae.evaluation import metrics", "floor above (evaluation)"),
        ("hrnetae.files.npz", "from ..evaluation.metrics import keypoint_metrics", "floor above (evaluation)"),
        ("hrnetae.files.npz", "def read():\n    import hrnetae.tools.cli", "floor above (tools)"),
        ("hrnetae.decoder", "from hrnetae.files import read_outputs", "floor above (files)"),
        ("hrnetae.decoder", "from hrnetae import files", "floor above (files)"),
        ("hrnetae.decoder", "from . import files", "floor above (files)"),
        ("hrnetae.decoder", "def f():\n    from hrnetae.networks.hrnet import PoseNetwork", "floor above (networks)"),
        ("hrnetae.networks.hrnet", "from hrnetae.runtime import build", "floor above (runtime)"),
        ("hrnetae.params", "import hrnetae.decoder", "floor above (decoder)"),
        ("hrnetae.params", "from hrnetae import Decoder", "floor above (decoder)"),
        ("hrnetae.types", "if TYPE_CHECKING:\n    from .poses import Poses", "floor above (decoder)"),
        ("hrnetae.reference", "from hrnetae import _kernels", "expected only reference and"),
        ("hrnetae.reference_maps", "from hrnetae.steps import project", "floor above (decoder)"),
        ("hrnetae.outputs", "import cv2", "higher floor"),
        ("hrnetae.compat.arrays", "def f():\n    import torch", "higher floor"),
        ("hrnetae.decoder", "from hrnetae.compat import HeatmapParser", "floor above (compat)"),
        ("hrnetae.files.npz", "def show():\n    from PIL import Image", "higher floor"),
        ("hrnetae.tools.eval", "from tools import cli", "expected hrnetae.tools"),
        ("hrnetae.novelty", "", "on no floor"),
        ("hrnetae.decoder", "def f():\n    from hrnetae.evaluation.drawing import draw", "floor above (evaluation)"),
    ],
)
def test_the_check_finds_what_is_planted(module: str, source: str, complaint: str) -> None:
    sources = package_sources()
    planted = breaches(sources | {module: (source, False)})
    found = [breach for breach in planted if breach.startswith(f"{module}:")]
    assert len(found) == 1 and complaint in found[0], found


@pytest.mark.parametrize(
    "source",
    [
        "from hrnetae.evaluation.drawing import draw",
        "def f():\n    from hrnetae.evaluation.drawing import draw_person",
        "def f():\n    import hrnetae.runtime.estimator",
    ],
)
def test_the_doors_are_two_and_shut(source: str) -> None:
    planted = breaches(package_sources() | {"hrnetae": (source, True)})
    found = [breach for breach in planted if breach.startswith("hrnetae:")]
    assert len(found) == 1 and "floor above" in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hrnetae.tools.eval", "import cv2\nfrom hrnetae.decoder import Decoder"),
        ("hrnetae.evaluation.metrics", "from hrnetae import COCO17, Decoder\nfrom ..files import DataError"),
        ("hrnetae.decoder", "from hrnetae import _kernels\nfrom .outputs import arrange\nimport numpy"),
        ("hrnetae.reference", "from hrnetae.params import DecodeParams\nfrom hrnetae.reference_maps import project"),
    ],
)
def test_the_check_lets_pass_what_is_right(module: str, source: str) -> None:
    planted = breaches(package_sources() | {module: (source, False)})
    assert [breach for breach in planted if breach.startswith(f"{module}:")] == []


# --------------------------------------------------------------------------------------------------------- the kernels

STEPS = (
    "flip.h",
    "project.c",
    "heatmap_nms.c",
    "top_k.c",
    "group.c",
    "assignment.c",
    "adjust.c",
    "dark.c",
    "refine.c",
    "back_project.c",
    "decode.c",
    "steps.h",
    "_kernels.pyx",
)
needs_csrc = pytest.mark.skipif(not CSRC.is_dir(), reason="the C sources are absent: tested away from the checkout")


@needs_csrc
@pytest.mark.parametrize("name", STEPS)
def test_every_step_has_its_file(name: str) -> None:
    assert (CSRC / name).is_file()


@needs_csrc
def test_the_c_knows_nothing_of_python() -> None:
    for path in sorted([*CSRC.glob("*.c"), *CSRC.rglob("*.h")]):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'#\s*include\s*[<"](Python|numpy)', text), path.name
        assert not re.search(r"\bPy[A-Z_]\w*\s*\(", text), path.name


# --------------------------------------------------------------------------------------------------------- docstrings


def test_every_public_function_says_what_it_does() -> None:
    silent = []
    for module_name in package_sources():
        if module_name.endswith("__main__") or (module_name.startswith(TORCH_MODULES) and not HAS_TORCH):
            continue
        module = importlib.import_module(module_name)
        if not inspect.getdoc(module):
            silent.append(module_name)
        for name, thing in vars(module).items():
            ours = getattr(thing, "__module__", None) == module_name
            if name.startswith("_") or not ours or not (inspect.isfunction(thing) or inspect.isclass(thing)):
                continue
            if not thing.__doc__:
                silent.append(f"{module_name}.{name}")
            if not inspect.isclass(thing):
                continue
            for member, method in vars(thing).items():
                inherited = any(hasattr(base, member) for base in thing.__bases__)
                public = inspect.isfunction(method) and not member.startswith("_") and not inherited
                if public and not method.__doc__:
                    silent.append(f"{module_name}.{name}.{member}")
    obvious = re.compile(r"\.(main|build_parser)$")  # the same in every driver
    assert [name for name in silent if not obvious.search(name)] == []


@pytest.mark.skipif(not (CSRC.parent / "pyproject.toml").is_file(), reason="the sources are not here")
def test_every_package_is_in_the_wheel() -> None:
    """An editable install would hide one that was forgotten."""
    listed = tomllib.loads((CSRC.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    if not (CSRC.parent / "hrnetae").is_dir():
        pytest.skip("the sources were taken away")
    folders = {path.parent.relative_to(CSRC.parent) for path in (CSRC.parent / "hrnetae").rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} | {"hrnetae.tools"} <= set(listed)
