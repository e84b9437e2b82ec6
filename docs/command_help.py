"""A hook of the documentation's site: a line ``<!-- help VERB -->`` becomes the help of that verb."""

import importlib
import os
import re
from typing import Any

from hrnetae.tools.cli import VERBS
from hrnetae.tools.cli import build_parser as command_parser

_MARK = re.compile(r"^<!-- help ?([a-z-]*) -->$", re.MULTILINE)
_COLUMNS = "100"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs with each page's text."""
    return _MARK.sub(lambda mark: f"```text\n{help_of(mark[1])}\n```", markdown)


def help_of(verb: str) -> str:
    """What ``hrnetae VERB --help`` prints; of the command itself without a verb."""
    os.environ["COLUMNS"] = _COLUMNS
    parser = importlib.import_module(VERBS[verb][0]).build_parser() if verb else command_parser()
    return str(parser.format_help()).strip()
