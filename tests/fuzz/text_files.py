"""The readers of datalists and of YAML: build files, and the options of vamp."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from file_target import FileTarget
from mutate import Rng, mutate_bytes, mutate_tree, splice, unfold

from hrnetae.files.datalist import Datalist, pair_by_name, read_datalist
from hrnetae.files.vamc_config import DTYPES, VamcConfig, read_vamc_config

# ------------------------------------------------------------------------------------------------------------- datalist

_LISTS = (
    b"/data/val/000000000001.npz\n/data/val/000000000001_flip.npz\n/data/val/2.npz\n/data/val/2_flip.npz\n",
    b"a.npz\nb.npz\nc d.npz\n\n\n",
    b"\xef\xbb\xbfC:\\val\\a.npz\r\nC:\\val\\b.npz\r\n",
    "bilder/größe.npz\n画像/写真.npz".encode(),
)
_LINES = (
    *(
        b"\n",
        b"\r\n",
        b"\r",
        b"..\n",
        b"/\n",
        b"\\\n",
        b"../../x.npz\n",
        b"_flip.npz\n",
        b"_flip_flip.npz\n",
        b"a.npz\n",
    ),
    *(b"\0", b"\xff\xfe", b"\x1b[2J\n", b"\x0b", b"\x0c", b"\x85", b"\xe2\x80\xa8", b"nul\n", b".npz\n", b" \n", b"\t"),
    *(b"x" * 5000 + b"\n", b"a\n" * 30, b"\xed\xa0\x80.npz\n", b"\x1c\n", b"\xe3\x80\x80\n", b"a_flip"),
)


def _draw_list(rng: Rng) -> bytes:
    data = rng.choice(_LISTS)
    if rng.random() < 0.2:
        data = splice(rng, data, rng.choice(_LISTS))
    return mutate_bytes(rng, data, _LINES)


def _read_list(path: Path, rng: Rng) -> Datalist:
    listed = read_datalist(path)
    pair_by_name(listed, use_flip=rng.random() < 0.5)
    return listed


def _check_list(found: Datalist, _: bytes) -> str:
    if not len(found) == len(found.lines) == len(set(found.stems)):
        return f"{len(found.stems)} stems, {len(set(found.stems))} of them different, of {len(found.lines)} lines"
    strange = [stem for stem in found.stems if not stem or set(stem) & set("/\\\0\n")]
    return f"stems {strange}" if strange else ""


# ----------------------------------------------------------------------------------------------------------------- YAML

BUILD_SEEDS: tuple[dict[str, Any], ...] = (
    {
        "name": "hrnet",
        "frontend": {"type": "onnx", "shape": {"input.1": [1, 3, 512, 512]}, "checkpoint": "a/hrnet.onnx"},
        "graph": {"extra_ops": {"type": None}},
        "backend": {
            "type": "tvm_vacc",
            "dtype": "int8",
            "compile": {"cluster_mode": 0, "opt_level": 2},
            "quantize": {
                "calibrate_mode": "percentile",
                "calibrate_range": 0.9999,
                "quantize_per_channel": False,
                "skip_conv_layers": [0, 3],
                "exclude_layers": ["conv1", 2],
            },
        },
        "dataset": {
            "path": "calib",
            "sampler": {"suffix": "jpg", "get_data_num": 10},
            "process_ops": [{"type": "DecodeImage"}, {"type": "LetterResize", "size": [512, 512]}],
        },
        "workspace": {"path": "deploy_weights", "enable_ir": False},
    },
    {
        "name": "m",
        "frontend": {"shape": {"x": [1, 2]}, "checkpoint": "m.pth"},
        "backend": {"dtype": "fp16"},
        "workspace": {"work_dir": "out"},
        "extra": {"when": "2001-02-03", "set": [1]},
    },
)
_YAML_TOKENS = (
    *(
        b"&a ",
        b"*a",
        b"&b [*a,*a]",
        b"<<: *a\n",
        b"<<: [*a, *a]\n",
        b"!!int ",
        b"!!float ",
        b"!!bool ",
        b"!!null ",
        b"!!set ",
    ),
    *(
        b"!!binary ",
        b"!!timestamp ",
        b"!!omap ",
        b"!!pairs ",
        b"!!str ",
        b"!!seq ",
        b"!!map ",
        b"!!python/object:os.system ",
    ),
    *(
        b"!!python/object/apply:os.system ['true']",
        b"!x ",
        b"? ",
        b": ",
        b"- ",
        b"---\n",
        b"...\n",
        b"%YAML 1.1\n",
        b"%TAG ! x\n",
    ),
    *(
        b"|\n",
        b">-\n",
        b"\t",
        b"#",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"'",
        b'"',
        b"1:2:3",
        b"1:" * 90 + b"1",
        b"0x" + b"f" * 99,
    ),
    *(
        b"0x" + b"f" * 5000,
        b"9" * 299,
        b".inf",
        b".nan",
        b"~",
        b"2001-99-99",
        b"2001-1-1 1:1:1 +99:99",
        b"0b",
        b"0o9",
        b"1e999",
    ),
    *(
        b"[" * 400,
        b"{a: " * 300,
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\x1b",
        b"\xed\xa0\x80",
        b"\n",
        b"  ",
        b"- " * 300,
        b"? " * 200,
    ),
    *(
        b'"\\ud800"',
        b'"\\x00"',
        b'"\\U00110000"',
        b"=",
        b"yes",
        b"../../x",
        b"/etc/passwd",
        b"a: b: c",
        b"\xe2\x80\xa8",
        b"_",
    ),
)


def _draw_yaml(rng: Rng) -> bytes:
    """The flow style is JSON but for its numbers; the block style is written here."""
    if rng.random() < 0.02:
        return _laughs(rng)
    tree = rng.choice((*BUILD_SEEDS, *BUILD_SEEDS[1:] * 2))  # the long one takes long
    way = rng.random()
    if way < 0.75:
        tree = mutate_tree(rng, tree)
    flow = rng.random() < 0.3 or not isinstance(tree, dict)
    text = json.dumps(tree) if flow else "\n".join(_block(tree, 0)) + "\n"
    deepest = 400 if rng.random() < 0.02 else 20  # PyYAML is slow
    data = unfold(text, deepest).encode("utf-8", "surrogatepass")
    return mutate_bytes(rng, data, _YAML_TOKENS) if way > 0.5 else data


def _block(tree: Any, depth: int) -> list[str]:
    lines = []
    for key, value in tree.items():
        name = key if key.isidentifier() else json.dumps(key)
        if isinstance(value, dict) and value:
            lines += [f"{'  ' * depth}{name}:", *_block(value, depth + 1)]
        else:
            plain = isinstance(value, str) and value.replace("_", "").isalnum()
            lines.append(f"{'  ' * depth}{name}: {value if plain else json.dumps(value)}")
    return lines


def _laughs(rng: Rng) -> bytes:
    """Aliases of aliases, in lists or merged, and some in themselves."""
    width, depth = rng.choice((1, 2, 9, 10)), rng.choice((2, 4, 9, 30))
    lines = ["name: m", rng.choice(("a0: &a0 [lol]", "a0: &a0 {lol: 1}", "a0: &a0 [*a0]", "a0: &a0 {b: *a0}"))]
    for level in range(1, depth + 1):
        laughs = ", ".join([f"*a{level - 1}"] * width)
        form = rng.choice(("[%s]", "{<<: [%s]}", "{x: [%s]}", "{? [%s] : 1}", "!!set {? [%s]}", "!!omap [%s]"))
        lines.append(f"a{level}: &a{level} {form % laughs}")
    return "\n".join(lines).encode()


def _check_build(found: VamcConfig, _: bytes) -> str:
    if found.dtype not in DTYPES or not found.shapes:
        return f"dtype {found.dtype}, shapes {found.shapes}"
    if not all(type(size) is int and 1 <= size < 1 << 31 for shape in found.shapes.values() for size in shape):
        return f"shapes {found.shapes}"
    if set(found.name) & set("/\\\0") or found.name in ("", ".", "..") or ".." in found.folder.parts[-1:]:
        return f"name {found.name}, folder {found.folder}"
    share = found.quantization.percentile
    if share is not None and not (math.isfinite(share) and 0.5 < share <= 1):
        return f"percentile {share}"
    json.dumps([dict(found.settings), dict(found.unknown)], allow_nan=False)  # the manifest takes them as they are
    return ""


DATALIST = FileTarget("datalist", _draw_list, _read_list, _check_list)
BUILD_FILE = FileTarget("vamc", _draw_yaml, lambda path, _: read_vamc_config(path), _check_build)
