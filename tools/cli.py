"""The command ``hrnetae``: a verb, then the arguments of that verb's driver."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import MappingProxyType

from hrnetae import __version__
from hrnetae.tools.signals import Ending

# verb -> module (imported only when the verb is used, with main(argv) -> exit code) and one line for the help
VERBS = MappingProxyType(
    {
        "export": ("hrnetae.tools.export", "a checkpoint as an ONNX model"),
        "vamc": ("hrnetae.tools.vamc", "a model built from a build file: float32, float16 or calibrated int8"),
        "convert-image": ("hrnetae.tools.convert_image", "input files of pictures and of their mirror images"),
        "runstream": ("hrnetae.tools.runstream", "a network's outputs of pictures, under the pictures' names"),
        "vamp": ("hrnetae.tools.vamp", "a network's outputs of a datalist, and its throughput"),
        "eval": ("hrnetae.tools.eval", "COCO metrics of a folder of network outputs"),
        "tune": ("hrnetae.tools.tune", "the decoder's parameters that suit a network best, from its outputs"),
        "predict": ("hrnetae.tools.predict", "the people in pictures, a video or what a camera sees"),
        "compare": ("hrnetae.tools.compare", "what other results of the same pictures lost and won"),
        "demo": ("hrnetae.tools.demo", "the whole flow on drawn pictures with a bundled network, to try it out"),
    }
)
_INTERRUPTED = 130  # of a verb that saw to its end itself


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command itself, for its help, its version and a wrong verb."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {line}" for verb, (_, line) in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="hrnetae",
        description="Post-processing of associative-embedding pose networks, and the flow around it.",
        epilog=f"verbs:\n{verbs}\n\nhrnetae VERB --help explains a verb.\nexample: hrnetae eval --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hrnetae {__version__}")
    parser.add_argument("verb", metavar="VERB", type=_verb, help="what to do, see below")
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="the verb's own arguments")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb. Returns 0 done, 1 bad data or failed work, 128 + n ended by signal n, as 130 interrupted and 143
    terminated; wrong usage exits with 2."""
    args = build_parser().parse_args(argv)
    module, _ = VERBS[args.verb]
    ending = Ending()
    try:
        with ending:
            code = int(importlib.import_module(module).main(args.arguments))
            sys.stdout.flush()
        return ending.exit_code if code == _INTERRUPTED else code
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be gone
            print(f"hrnetae {args.verb}: {_reason(ending)}", file=sys.stderr)
        return ending.exit_code
    except BrokenPipeError:
        # Who read the output has seen enough. Nothing more may be flushed to it when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _reason(ending: Ending) -> str:
    return "interrupted" if ending.signal in (None, signal.SIGINT) else f"ended by {ending.signal.name}"


def _verb(text: str) -> str:
    verb = text.replace("_", "-")
    if verb not in VERBS:
        raise argparse.ArgumentTypeError(f"{text!r}, expected one of {', '.join(VERBS)}")
    return verb


if __name__ == "__main__":
    sys.exit(main())
