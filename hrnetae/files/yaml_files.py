"""YAML as plain values: no objects, no aliases that grow beyond measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hrnetae.files.errors import DataError
from hrnetae.foreign import read_file

_LARGEST = 1 << 18  # bytes; the library reads some 100 kB a second
_MOST_NODES = 100_000  # with every alias written out
_LONGEST_NUMBER = 300  # characters
# What the library lets through beside its own errors, of `!!int ""` and the like.
_ERRORS = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
_NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_yaml(file: Path, expected: str) -> Any:
    """The one document of a file. expected: what it should have been, for messages.

    Aliases are taken as long as the document written out without them stays small; one within itself never is.
    Errors: DataError, which names the file.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(read_file(file, _LARGEST))
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _check_size(file, root, expected)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{file}: no such file, expected {expected} (YAML)") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}, expected {expected} (YAML)") from None
    except (yaml.YAMLError, *_ERRORS) as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file}: no YAML ({problem}), expected {expected}") from None


def _check_size(file: Path, root: Any, expected: str) -> None:
    """Raise DataError for a document that is large with its aliases written out, and for numbers without end."""
    import yaml

    waiting, count = [root], 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count > _MOST_NODES:
            raise DataError(f"{file}: aliases of aliases, over {_MOST_NODES} entries written out, expected {expected}")
        if isinstance(node, yaml.MappingNode):
            waiting += [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif node.tag in _NUMBER_TAGS and len(node.value) > _LONGEST_NUMBER:
            raise DataError(f"{file}: a number of {len(node.value)} digits, expected {expected}")
