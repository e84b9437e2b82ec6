"""An extension of Griffe, which reads the docstrings for the site: ``name: what it is`` lines become a list.

The package's docstrings tell arguments and fields in plain lines; Markdown would run them together.
"""

import re
from typing import Any

import griffe

_FIELD = re.compile(r"^([a-z_][\w, ]*|Errors|Source[\w ]*): (.*)$")
_NEXT_FIELD = re.compile(r"(?<=\.) (?=[a-z_]\w*(?:, [a-z_]\w*)*: )")  # after another one, on its line
_NO_FIELD = ("Raises", "Returns")
_ROLE = re.compile(r":(?:meth|class|func|mod):(?=`)")


class DocstringFields(griffe.Extension):
    """Called by mkdocstrings with every object that it shows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = with_lists(obj.docstring.value)


def with_lists(text: str) -> str:
    """A docstring with its lines of fields as list items; lines below an item that begin deeper belong to it."""
    lines: list[str] = []
    in_list = False
    for line in (part for whole in _ROLE.sub("", text).splitlines() for part in _NEXT_FIELD.split(whole)):
        field = _FIELD.match(line)
        if field:
            if not in_list and lines and lines[-1]:
                lines.append("")
            lines.append(f"- **{field[1]}**: {field[2]}")
            in_list = True
        else:
            if in_list and line.startswith(_NO_FIELD):
                lines.append("")
                in_list = False
            in_list = in_list and bool(line)
            lines.append(f"  {line}" if in_list else line)
    return "\n".join(lines)
