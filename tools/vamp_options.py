"""vamp's command line: the vendor's options with their names and defaults, and a few of our own."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hrnetae import __version__
from hrnetae.files.errors import DataError
from hrnetae.files.yaml_files import read_yaml
from hrnetae.runtime.sessions import CPU
from hrnetae.runtime.vamp import VampJob
from hrnetae.tools.options import Parser, at_once, positive, with_underscores

PROG = "hrnetae vamp"
OWN_BACKEND = "onnxruntime"
VENDOR_BACKENDS = ("vsx", "vastpipe", "vacc")
_EXAMPLE = (
    f"{PROG} -m deploy_weights/hrnet/mod --vdsp_params mmpose-hrnet_pose-vdsp_params.json -i 2 -p 2 -b 1 "
    "--datalist vamp_datalist.txt --path_output model_throughput_npz"
)
_SHORT = MappingProxyType(
    {
        "model_prefix": "-m",
        "batch_size": "-b",
        "instance": "-i",
        "device_id": "-d",
        "config": "-c",
        "graph": "-g",
        "file_report": "-f",
        "shape": "-s",
        "processes": "-p",
        "forward_time": "-t",
    }
)
# Options of the accelerator's runtime that have nothing to act upon here: parsed, named once, left alone.
_NO_MEANING = (
    ("model_json", "FILE", str, None, "a file of the vendor's model suite"),
    ("model_param", "FILE", str, None, "a file of the vendor's model suite"),
    ("model_lib", "FILE", str, None, "a file of the vendor's model suite"),
    ("hwconfig", "FILE", str, None, "hardware configuration"),
    ("graph", "FILE", str, None, "graph description (pbtxt)"),
    ("force_batch_size", "N", int, 0, "1: use the exact batch size"),
    ("cache_input", "N", int, 0, "keep inputs on the device"),
    ("cache_input_host", "N", int, 0, "keep inputs on the host"),
    ("cache_output", "N", int, 0, "keep outputs on the device"),
    ("producer_mode", "N", int, 0, "0 or 1"),
    ("none_vaml", "N", int, 0, "1: no reading of the card's sensors"),
    ("freqlist", "LIST", str, None, "clocks: [OCLK,ODSPCLK,CCLK,DLC,SOC]"),
)
# Options that the vendor's tool does not know, and the config file, which may hold such.
_NOT_THE_VENDORS = frozenset(("provider", "threads", "json", "resume", "config"))
_MOST_NUMBERS = 1024  # in a range or list, and the highest of a device
_SIDE = 32767  # what OpenCV resizes
_PIXELS = 1 << 26  # 8192 x 8192


def build_parser() -> argparse.ArgumentParser:
    """The parser; what is required is checked later, because a config file may give it."""
    parser = Parser(
        PROG,
        "Runs a network on a list of inputs and writes its outputs, or measures its throughput on random ones. Without "
        "the vendor's accelerator ONNX Runtime does the work. Without --datalist a random picture of --shape is "
        "preprocessed anew for every sample. Words that belong to no option are a warning, no error.",
        _EXAMPLE,
    )
    parser.add_argument("-?", action="help", help="show this help message and exit")
    parser.add_argument("-v", "--version", action="version", version=f"{PROG} {__version__}")
    _add_model(parser)
    _add_load(parser)
    _add_data(parser)
    _add_own(parser)
    group = parser.add_argument_group("the accelerator's own", "accepted; without meaning for ONNX Runtime")
    for name, metavar, kind, default, text in _NO_MEANING:
        _add(group, name, metavar=metavar, type=kind, default=default, help=text)
    return parser


def _add(group: Any, name: str, **settings: Any) -> None:
    names = [_SHORT[name]] if name in _SHORT else []
    group.add_argument(*names, f"--{name}", **settings)


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    _add(group, "model_prefix", metavar="PREFIX", help="the model: a folder that vamc built, its mod, or an ONNX file")
    _add(group, "vdsp_params", type=Path, metavar="FILE", help="preprocessing parameters (JSON)")
    _add(group, "config", type=Path, metavar="FILE", help="YAML file with options by their long names")
    _add(
        group,
        "backend",
        choices=(OWN_BACKEND, *VENDOR_BACKENDS),
        default=OWN_BACKEND,
        help="the others call the vendor's own vamp, which must be on PATH",
    )


def _add_load(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("load")
    _add(group, "batch_size", type=positive, default=1, metavar="N", help="samples that go through together")
    _add(
        group,
        "instance",
        type=instances,
        default="1",
        metavar="N|A:B",
        help="sessions per device, or a range of numbers, each of which is run",
    )
    _add(group, "device_id", type=devices, default="0", metavar="N|A:B|LIST", help="as 0, 0:3 or [0,2]")
    _add(group, "processes", type=at_once, default=1, metavar="N", help="processes that share the instances")
    _add(group, "iterations", type=positive, default=1024, metavar="N", help="samples of a run without a datalist")
    _add(
        group,
        "forward_time",
        type=_seconds,
        default="0",
        metavar="SECONDS",
        help="how long to run, in place of a number of iterations; 0: off",
    )
    _add(
        group,
        "forward_mode",
        type=int,
        choices=(0, 1),
        default=0,
        help="0: reading, network and writing overlap (throughput); 1: one after the other (latency)",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data and report")
    _add(group, "datalist", type=Path, metavar="FILE", help="the inputs, one npz path per line")
    _add(group, "path_output", type=Path, metavar="DIR", help="where output_000000.npz ... of the datalist's lines go")
    _add(group, "shape", metavar="LIST", help="of the random picture, as [3,H,W]; else that of the model's input")
    _add(group, "dtype", default="uint8", help="of the random picture; pictures are uint8")
    _add(group, "percentiles", type=percentiles, default="[50,90,95,99]", metavar="LIST", help="of the latencies")
    _add(group, "file_report", type=Path, metavar="FILE", help="write the figures there, too (YAML)")
    _add(group, "verbose", type=int, nargs="?", const=1, default=0, metavar="N", help="1: figures of every process")


def _add_own(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("ONNX Runtime")
    _add(group, "provider", default=CPU, metavar="NAME", help="an installed execution provider, as cpu or cuda")
    _add(group, "threads", type=at_once, metavar="N", help="of every session; else the processors / instances")
    _add(group, "resume", action="store_true", help="keep the outputs of an interrupted run and make the others")
    _add(group, "json", action="store_true", help="print one JSON object")


# ------------------------------------------------------------------------------------------------------------- reading


def parse(argv: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace, list[str]]:
    """The parser, the arguments and the stray words. Wrong usage exits with 2; DataError for a bad config file."""
    parser = build_parser()
    words = with_underscores(sys.argv[1:] if argv is None else argv)
    args, strays = parser.parse_known_args(words)
    if args.config is not None:
        # As if they stood first on the line, so that the line itself decides.
        args, strays = parser.parse_known_args(_all_words(parser, args, words))
    unknown = [word for word in strays if word.startswith("-") and not _is_number(word)]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return parser, args, strays


def _all_words(parser: argparse.ArgumentParser, args: argparse.Namespace, argv: Sequence[str] | None) -> list[str]:
    """The line's words, those of its config file in front."""
    words = with_underscores(sys.argv[1:] if argv is None else argv)
    return words if args.config is None else [*_config_words(parser, args.config), *words]


def job_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> VampJob:
    """What the arguments ask for. Wrong usage exits with 2."""
    missing = [name for name in ("model_prefix", "vdsp_params") if getattr(args, name) is None]
    if missing:
        parser.error(f"the following arguments are required: {', '.join('--' + name for name in missing)}")
    if args.resume and (args.datalist is None or args.path_output is None):
        parser.error("argument --resume: expected --datalist and --path_output, whose outputs it keeps")
    if args.resume and len(args.instance) > 1:
        parser.error("argument --resume: expected one number of instances, not a range")
    return VampJob(
        model=args.model_prefix,
        vdsp_params=args.vdsp_params,
        datalist=args.datalist,
        path_output=None if args.datalist is None else args.path_output,
        shape=None if args.datalist is not None else _picture_shape(parser, args),
        iterations=args.iterations,
        seconds=args.forward_time or None,
        batch_size=args.batch_size,
        processes=args.processes,
        one_by_one=args.forward_mode == 1,
        provider=args.provider,
        threads=args.threads,
        devices=args.device_id,
        resume=args.resume,
    )


def remarks(args: argparse.Namespace, strays: Sequence[str]) -> list[str]:
    """What of the command line goes unheeded, one line each."""
    lines = []
    if strays:
        lines.append(f"words that belong to no option, ignored: {' '.join(strays)}")
    idle = [f"--{name}" for name, _, _, default, _ in _NO_MEANING if getattr(args, name) != default]
    if idle:
        lines.append(f"without meaning for ONNX Runtime here, ignored: {', '.join(idle)}")
    if args.datalist is None and args.path_output is not None:
        lines.append("--path_output ignored: there is no --datalist whose outputs could go there")
    if args.datalist is not None and args.forward_time:
        lines.append("--forward_time ignored: the run ends with the datalist")
    if args.processes > min(args.instance):
        lines.append(f"--processes {args.processes}: more than instances, of which every process gets at least one")
    return lines


def vendor_words(parser: argparse.ArgumentParser, args: argparse.Namespace, argv: Sequence[str] | None) -> list[str]:
    """The command line for the vendor's vamp: every option that was given once, without our own.

    An option of a config file stands on the line, too, unless the line itself has it: the file may hold options of
    ours. Words that belong to no option stand at the end.
    """
    given, strays = _recorder(parser).parse_known_args(_all_words(parser, args, argv))
    if args.backend == "vacc":
        del given.backend  # the vendor's default
    return [word for name, words in vars(given).items() if name not in _NOT_THE_VENDORS for word in words] + strays


class _Record(argparse.Action):
    """Keeps the words of an option as they were given, the last ones of each."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        vars(namespace).pop(self.dest, None)  # its place is that of the last one, too
        setattr(namespace, self.dest, [option_string] if self.nargs == 0 else [option_string, str(values)])


def _recorder(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """A parser of the same options, so that argparse itself says which words belong to which, abbreviations too."""
    recorder = Parser(PROG, "", "")
    for name, action in _settable(parser).items():
        recorder.add_argument(
            *action.option_strings,
            dest=name,
            action=_Record,
            nargs=action.nargs,
            const=action.const,
            default=argparse.SUPPRESS,
        )
    return recorder


def _settable(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options that stand for a value, by their long names."""
    return {action.dest: action for action in parser._actions if action.dest not in ("help", "version", "?")}


def instances(text: str) -> tuple[int, ...]:
    """``2`` -> (2,); ``1:4`` -> (1, 2, 3, 4)."""
    numbers = _range(text)
    if not numbers or numbers[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of 1 or more, or a range like 1:4")
    at_once(str(numbers[-1]))
    return tuple(numbers)


def devices(text: str) -> tuple[int, ...]:
    """``0`` -> (0,); ``0:3`` -> (0, 1, 2, 3); ``[0,2]`` -> (0, 2)."""
    numbers: Sequence[int] = _whole_list(text) if text.startswith("[") else _range(text)
    # Of a range only the ends are looked at: it may be one of more numbers than there is time to count.
    ends = (numbers[0], numbers[-1]) if isinstance(numbers, range) and numbers else tuple(numbers)
    if not ends or min(ends) < 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number like 0, a range like 0:3 or a list like [0,2]")
    if max(ends) >= _MOST_NUMBERS or len(ends) > _MOST_NUMBERS:
        raise argparse.ArgumentTypeError(f"{text!r}, expected numbers of devices below {_MOST_NUMBERS}")
    return tuple(numbers)


def percentiles(text: str) -> tuple[float, ...]:
    """``[50,99.9]`` -> (50, 99.9)."""
    try:
        values = json.loads(text)
        numbers = tuple(float(value) for value in (values if isinstance(values, list) else [values]))
    except (ValueError, TypeError):
        numbers = (-1.0,)
    if not all(0 <= number <= 100 for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a list of numbers from 0 to 100, like [50,90,95,99]")
    return numbers


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}, expected seconds, 0 or more")
    return value


def _range(text: str) -> range:
    """Empty for what is none, or for numbers of more digits than anything here has."""
    first, colon, last = text.partition(":")
    try:
        low, high = int(first), int(last) if colon else int(first)
    except ValueError:
        return range(0)
    return range(low, high + 1)


def _whole_list(text: str) -> tuple[int, ...]:
    try:
        values = json.loads(text)
    except ValueError:
        return ()
    return tuple(values) if isinstance(values, list) and all(type(value) is int for value in values) else ()


def _picture_shape(parser: argparse.ArgumentParser, args: argparse.Namespace) -> tuple[int, int] | None:
    """(H, W) of --shape, None where it is not given."""
    if args.dtype != "uint8":
        parser.error(f"argument --dtype: {args.dtype!r}, expected uint8: what is preprocessed are pictures")
    if args.shape is None:
        return None
    try:
        shape = json.loads(args.shape)
    except ValueError:
        shape = None
    if isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], list):
        shape = shape[0]
    whole = isinstance(shape, list) and all(type(length) is int and length > 0 for length in shape)
    if not whole or len(shape) != 3 or shape[0] != 3:
        parser.error(f"argument -s/--shape: {args.shape!r}, expected one picture as [3,H,W]")
    if max(shape) > _SIDE or shape[1] * shape[2] > _PIXELS:
        parser.error(
            f"argument -s/--shape: {args.shape!r}, expected sides up to {_SIDE} and at most {_PIXELS} pixels in all"
        )
    return shape[1], shape[2]


def _config_words(parser: argparse.ArgumentParser, path: Path) -> list[str]:
    """The options of a config file as words of a command line."""
    known = {name: action for name, action in _settable(parser).items() if name != "config"}
    words: list[str] = []
    for key, value in _read_config(path).items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise DataError(f"{path}: option {key}, expected one of {', '.join(sorted(known))}")
        if known[name].nargs == 0:
            if type(value) is not bool:
                raise DataError(f"{path}: {key} is {value!r}, expected true or false")
            words += [f"--{name}"] if value else []
        elif value is not None:
            words.append(f"--{name}={value if isinstance(value, str) else json.dumps(value)}")
    return words


def _read_config(path: Path) -> dict[Any, Any]:
    found = read_yaml(path, "options with values")
    if not isinstance(found, dict):
        raise DataError(f"{path}: {type(found).__name__}, expected options with values, like `instance: 2`")
    return found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
