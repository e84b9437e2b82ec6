"""What the drivers' command lines have in common: spelling of options, the decoder's parameters, error lines."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

from hrnetae.decoder import available_processors
from hrnetae.params import CHOICES, DecodeParams

_PARAM_HELP = MappingProxyType(
    {
        "max_num_people": "candidates kept per joint",
        "detection_threshold": "a candidate's heat is above this",
        "tag_threshold": "a candidate joins a person whose tag is nearer than this",
        "nms_kernel": "side of the max-pooling window in pixels, odd",
        "use_detection_val": "the heat takes part in the assignment cost",
        "ignore_too_much": "at most max_num_people persons",
        "tag_per_joint": "one tag map per joint, else one for all",
        "adjust": "the sub-pixel step",
        "refine": "fill in missing joints",
        "project2image": "resize the maps to the picture first",
        "align_corners": "the bilinear resize of UDP-trained networks",
        "use_udp": "UDP geometry and the DARK sub-pixel step",
        "score_per_joint": "a person's score is that of its joints after filling in (results: their mean)",
        "mode": "whose decoder: mmpose 0.x, as the page's script, or 1.x",
        "restore_heatmap_size": "mmpose1: resize the maps to the network's input",
        "center_shift": "mmpose1: shift of found joints in pixels",
        "input_size": "mmpose1, exact_geometry: the network's input in pixels; 4 x the map where not given",
        "tag_window": "a candidate's tag is averaged over so many x so many pixels, odd",
        "second_pass": "give joints away again by the persons' final mean tags",
        "subpixel": "the reference's quarter step, or a fit on the network's own map",
        "person_score": "mean over all joints, over the found ones, or the geometric mean of both",
        "suppress_oks": "drop persons that are more similar than this to a better one; 1: nobody",
        "filled_floor": "fill joints in only where the heat is above this",
        "exact_geometry": "undo the letterbox to the pixel",
    }
)
_AT_ONCE = 64  # more than that is a slip of the keyboard, which the system would answer by never ending
_NUMBERS = MappingProxyType({"int": int, "float": float})
_METAVARS = MappingProxyType({"int": "N", "float": "X"})


class Parser(argparse.ArgumentParser):
    """An argument parser for which ``--data-root`` is ``--data_root``, and whose help shows the defaults.

    example: one command line, shown at the end of the help.
    """

    def __init__(self, prog: str, description: str, example: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=_Defaults,
        )
        self._example = example

    def format_help(self) -> str:
        """The example stands as it is, however narrow the terminal: a wrapped one could not be copied."""
        return f"{super().format_help()}\nexample: {self._example}\n"

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        namespace = argparse.Namespace(given=set()) if namespace is None else namespace
        return super().parse_known_args(with_underscores(sys.argv[1:] if args is None else args), namespace)


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something: not "None", and not that a flag is off."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or (action.nargs == 0 and not isinstance(action, Switch)):
            return action.help
        return super()._get_help_string(action)


class Switch(argparse.Action):
    """``--name`` for True, ``--no_name`` for False."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__([f"--{dest}", f"--no_{dest}"], dest, nargs=0, **settings)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        _note(namespace, self.dest, option_string == f"--{self.dest}")


class _Noted(argparse.Action):
    """Stores a value, as actions do, and that it was given, whatever it is."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        _note(namespace, self.dest, values)


def _note(namespace: Any, name: str, value: Any) -> None:
    setattr(namespace, name, value)
    namespace.given.add(name)


def with_underscores(args: Sequence[str]) -> list[str]:
    """The arguments with underscores in place of dashes in the names of long options, up to a lone ``--``."""
    args = list(args)
    end = args.index("--") if "--" in args else len(args)
    return [_with_underscores(arg) for arg in args[:end]] + args[end:]


def _with_underscores(arg: str) -> str:
    if not arg.startswith("--"):
        return arg
    name, equals, value = arg[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def positive(text: str) -> int:
    """An argparse type: a whole number of 1 or more."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of 1 or more")
    return value


def finite(text: str) -> float:
    """An argparse type: a number that is neither infinite nor NaN."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number")
    return value


def whole_to(most: int, least: int = 1) -> Callable[[str], int]:
    """An argparse type: a whole number from ``least`` to ``most``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{_cut(text)!r}, expected a whole number from {least} to {most}")
        return value

    return read


def at_once(text: str) -> int:
    """An argparse type: how many threads, sessions or processes; at most 64 for each processor that is there."""
    value, processors = positive(text), available_processors()
    most = _AT_ONCE * processors
    if value > most:
        here = "one processor" if processors == 1 else f"{processors} processors"
        raise argparse.ArgumentTypeError(f"{_cut(text)!r}, expected at most {most} ({here} here, {_AT_ONCE} for each)")
    return value


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."


def add_decode_params(parser: argparse.ArgumentParser) -> None:
    """Every field of DecodeParams as an option of its own name and default, and a file that holds them."""
    group = parser.add_argument_group("decoder", "defaults: the reference's, or those of --params")
    group.add_argument(
        "--params", metavar="FILE", help="parameters that `hrnetae tune` wrote; options beside it go before it"
    )
    for field in _options():
        kind = str(field.type)
        settings: dict[str, Any] = {"default": field.default, "help": _PARAM_HELP.get(field.name, field.name)}
        if kind == "bool":
            settings |= {"action": Switch}
        elif kind in _NUMBERS:
            settings |= {"action": _Noted, "type": _NUMBERS[kind], "metavar": _METAVARS[kind]}
        elif field.name in CHOICES:
            settings |= {"action": _Noted, "choices": CHOICES[field.name]}
        else:
            settings |= {"action": _Noted, "type": int, "nargs": 2, "metavar": ("W", "H")}
        group.add_argument(f"--{field.name}", **settings)


def _options() -> list[dataclasses.Field[Any]]:
    """What can be said on a command line; a rescoring stands in a file."""
    return [field for field in dataclasses.fields(DecodeParams) if field.name != "rescoring"]


def decode_params(parser: argparse.ArgumentParser, args: argparse.Namespace) -> DecodeParams:
    """The DecodeParams of parsed arguments; a value out of range is a usage error (exit 2), a bad file exits with 1."""
    given = {field.name: getattr(args, field.name) for field in _options() if field.name in args.given}
    try:
        base = DecodeParams() if args.params is None else DecodeParams.from_json(args.params)
    except (OSError, ValueError) as error:
        complain(parser.prog, error)
        raise SystemExit(1) from None
    try:
        return base.replace(**given)
    except (TypeError, ValueError) as error:
        option = f"params {args.params}: " if str(error).startswith("rescoring") else ""
        parser.error(f"argument --{option}{error}")


def complain(prog: str, error: BaseException | str) -> None:
    """One line on stderr, whatever the message holds. An OSError's begins with the path, as those of DataError do."""
    message = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{os.fsdecode(error.filename)}: {error.strerror}"
    print(f"{prog}: {' '.join(message.split())}", file=sys.stderr)
