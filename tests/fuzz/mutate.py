"""Mutations: of bytes, of the trees that JSON and YAML are, of the numbers and texts in them."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

Rng = random.Random

INTERESTING = (0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MOST_BYTES = 1 << 16  # of what a mutation makes longer

LONG_NUMBER = 10**40
NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 255, 256, 65535, 2**31 - 1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64),
    *(LONG_NUMBER, -LONG_NUMBER, 0.0, -0.0, 0.5, 1e-320, 1e38, 3.5e38, 1e308, -1e308, 1e-45),
    *(float("nan"), float("inf"), float("-inf")),
)
TEXTS = (
    *("", " ", ".", "..", "/", "\\", "../../etc/passwd", "/etc/passwd", "C:\\x", "a\0b", "\0", "nul", "CON", "a:b"),
    *(
        "\ud800",
        "\udfff\ud800",
        "\ufeff",
        "\u202e",
        "\x1b[2J",
        "a\nb\r\nc",
        "\u2028",
        "é" * 300,
        "x" * 5000,
        "~",
        "%s{0}",
    ),
    *("NaN", "1e999", "true", "null", "0x10", "-", "*", "&a", "<<", "=", "__class__", "__proto__", "none", "None"),
)


def seeded(name: str, seed: int, number: int) -> Rng:
    """The random numbers of a case."""
    return random.Random(f"{name} {seed} {number}")


# ---------------------------------------------------------------------------------------------------------------- bytes


def _flip(rng: Rng, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: Rng, data: bytearray) -> None:
    data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _number(rng: Rng, data: bytearray) -> None:
    kind = rng.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(kind)
    if len(data) < size:
        return
    at = rng.randrange(len(data) - size + 1)
    if rng.random() < 0.5:
        value = rng.choice(INTERESTING)
    else:
        (value,) = struct.unpack_from(kind, data, at)
        value += rng.choice((-2, -1, 1, 2, 16, -16, 256))
    struct.pack_into(kind, data, at, value & ((1 << 8 * size) - 1))


def _truncate(rng: Rng, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def _remove(rng: Rng, data: bytearray) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 1, 2, 4, 16, 100))]


def _insert(rng: Rng, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    piece = rng.randbytes(rng.choice((1, 2, 4, 30))) if rng.random() < 0.5 else bytes([rng.randrange(256)]) * 9
    data[at:at] = piece


def _duplicate(rng: Rng, data: bytearray) -> None:
    first, size = rng.randrange(len(data)), rng.choice((1, 4, 16, 64, 512))
    piece = bytes(data[first : first + size]) * rng.choice((1, 1, 1, 2, 50))
    at = rng.randrange(len(data) + 1)
    data[at:at] = piece


def _swap(rng: Rng, data: bytearray) -> None:
    size = rng.choice((1, 4, 16, 64))
    one, other = rng.randrange(len(data)), rng.randrange(len(data))
    first, second = bytes(data[one : one + size]), bytes(data[other : other + size])
    if len(first) == len(second):
        data[one : one + size], data[other : other + size] = second, first


_BYTE_MUTATIONS: Sequence[Callable[[Rng, bytearray], None]] = (
    *(_flip, _flip, _overwrite, _overwrite, _number, _number, _number, _truncate, _remove, _insert, _duplicate, _swap),
)


def mutate_bytes(rng: Rng, data: bytes, tokens: Sequence[bytes] = (), most: int = 6) -> bytes:
    """One to ``most`` mutations. tokens: of the format, put in or over something."""
    mutated = bytearray(data)
    for _ in range(rng.randint(1, most)):
        if not mutated:
            break
        if tokens and rng.random() < 0.3:
            token, at = rng.choice(tokens), rng.randrange(len(mutated) + 1)
            mutated[at : at + rng.choice((0, len(token)))] = token
        else:
            rng.choice(_BYTE_MUTATIONS)(rng, mutated)
    return bytes(mutated[:_MOST_BYTES])


def splice(rng: Rng, one: bytes, other: bytes) -> bytes:
    """The beginning of the one and the end of the other."""
    return one[: rng.randrange(len(one) + 1)] + other[rng.randrange(len(other) + 1) :]


# ---------------------------------------------------------------------------------------------------------------- trees


def draw_leaf(rng: Rng) -> Any:
    """A value of any kind, most of them unwelcome."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 5:
        return rng.choice(TEXTS)
    if kind == 5:
        return rng.choice((None, True, False, [], {}, [[]], {"": None}))
    if kind == 6:
        return [rng.choice(NUMBERS) for _ in range(rng.choice((0, 1, 2, 3, 4, 51, 300)))]
    return f"nested {rng.choice((3, 30, 300, 480, 900, 960, 985, 990, 995))} {rng.choice('[{')}"


_NESTED = re.compile(r'"nested (\d+) ([\[{])"')


def unfold(text: str, deepest: int = 1000) -> str:
    """The text of JSON (and of YAML in the flow style) with nested lists and objects where `draw_leaf` said so."""
    return _NESTED.sub(lambda match: _nested(min(int(match[1]), deepest), match[2] == "["), text)


def _nested(depth: int, in_lists: bool) -> str:
    opened, closed = ("[", "]") if in_lists else ('{"a":', "}")
    return opened * depth + "1" + closed * depth


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container of a tree with every key or index in it."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        entries = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for key, value in entries:
            found.append((one, key))
            waiting.append(value)
    return found


def mutate_tree(rng: Rng, tree: Any, most: int = 4) -> Any:
    """A changed copy of a tree of dicts and lists: leaves and branches exchanged, left out, doubled, put elsewhere."""
    tree = _copy(tree)
    for _ in range(rng.randint(1, most)):
        places = _places(tree)
        if not places:
            return draw_leaf(rng)
        holder, key = rng.choice(places)
        what = rng.randrange(10)
        if what < 5:
            holder[key] = draw_leaf(rng)
        elif what < 6:
            del holder[key]
        elif what < 7:
            other, other_key = rng.choice(places)
            if other_key in other if isinstance(other, dict) else other_key < len(other):
                holder[key] = _copy(other[other_key])
        elif what < 8 and isinstance(holder, list):
            holder[key:key] = [holder[key]] * rng.choice((1, 2, 40))
        elif what < 9 and isinstance(holder, dict):
            holder[_strange_key(rng, key)] = holder.pop(key) if rng.random() < 0.5 else holder[key]
        else:
            holder[key] = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}
    return tree


def _strange_key(rng: Rng, key: Any) -> Any:
    text = str(key)
    return rng.choice((text.upper(), text + "_", text[:-1], f"k{text.title()}", *TEXTS))


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(value) for value in tree] if isinstance(tree, list) else tree


# ----------------------------------------------------------------------------------------------------------------- JSON

JSON_TOKENS = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1e-999",
        b"9" * 400,
    ),
    *(
        b"9" * 5000,
        b'"\\ud800"',
        b'"\\u0000"',
        b"\\",
        b"\\u12",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\0",
        b"//",
        b"'",
    ),
    *(b"[" * 500, b'{"a":' * 500, b'"' + b"x" * 3000 + b'"', b"-", b"01", b"1.", b".5", b"0x1F", b"1E400"),
)


def draw_json(rng: Rng, seeds: Sequence[Any]) -> bytes:
    """A JSON file: a changed tree, changed bytes, or both."""
    tree = rng.choice(seeds)
    way = rng.random()
    if way < 0.75:
        tree = mutate_tree(rng, tree)
    data = dump_json(rng, tree)
    if way > 0.6:
        data = mutate_bytes(rng, data, JSON_TOKENS)
    if way > 0.98:
        data = data.decode("latin-1").encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")))
    if way < 0.01:
        opened = rng.choice((b"[", b'{"a":', b"[[", b'[{"":'))
        data = opened * rng.choice((100, 10_000, 100_000)) + data
    return data


def dump_json(rng: Rng, tree: Any) -> bytes:
    """As JSON; now and then with a key twice."""
    text = unfold(json.dumps(tree, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))))
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.05 and data.startswith(b"{") and len(data) > 2:
        data = data[:-1].rstrip() + b"," + data[1:]
    return data
