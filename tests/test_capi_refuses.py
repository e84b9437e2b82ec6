"""What the C API refuses: with a status and a message that names the argument, never with a crash."""

from __future__ import annotations

import ctypes
import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest
from c_library import BAD_ARGUMENT, Library, Maps, Params, People, RefusedError, Skeleton, c_maps

from hrnetae import DecodeParams
from hrnetae.dispatch import available_levels

NAN, INF = math.nan, math.inf


def test_defaults_are_ours(c_library: Library) -> None:
    assert bytes(c_library.params()) == bytes(c_library.params(DecodeParams()))
    c_library.decoder(c_library.params())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in ("detection_threshold", "tag_threshold", "center_shift") for value in (NAN, INF)),
        *((field, value) for field in ("suppress_oks", "filled_floor") for value in (NAN, -INF, -0.1, 1.1)),
        *(("max_num_people", value) for value in (0, -1, -(2**31))),
        *(("nms_kernel", value) for value in (0, 4, -1, -(2**31))),
        *(("tag_window", value) for value in (0, 2, 17, -3)),
        *((field, value) for field in ("mode", "subpixel", "person_score") for value in (-1, 3)),
        *(
            (field.name, value)
            for field in dataclasses.fields(DecodeParams)
            if field.type == "bool"
            for value in (2, -1)
        ),
    ],
)
def test_wrong_parameters(field: str, value: Any, c_library: Library) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{field}: "):
        DecodeParams(**{field: value})
    with pytest.raises(RefusedError, match=f"{field}: .*, expected") as refused:
        c_library.decoder(c_library.params(**{field: value}))
    assert refused.value.args[0] == BAD_ARGUMENT


@pytest.mark.parametrize(
    ("field", "ours", "theirs"),
    [
        ("use_udp", {"mode": "mmpose1", "use_udp": True}, {"mode": 1, "use_udp": 1}),
        ("subpixel", {"subpixel": "fit", "use_udp": True}, {"subpixel": 1, "use_udp": 1}),
        ("subpixel", {"subpixel": "fit", "align_corners": True}, {"subpixel": 1, "align_corners": 1}),
        ("subpixel", {"subpixel": "fit", "mode": "mmpose1"}, {"subpixel": 1, "mode": 1}),
        ("exact_geometry", {"exact_geometry": True, "use_udp": True}, {"exact_geometry": 1, "use_udp": 1}),
        ("exact_geometry", {"exact_geometry": True, "mode": "mmpose1"}, {"exact_geometry": 1, "mode": 1}),
        ("filled_floor", {"filled_floor": 0.1, "mode": "mmpose1"}, {"filled_floor": 0.1, "mode": 1}),
        ("person_score", {"person_score": "found", "score_per_joint": True}, {"person_score": 1, "score_per_joint": 1}),
        ("suppress_oks", {"suppress_oks": 0.5, "score_per_joint": True}, {"suppress_oks": 0.5, "score_per_joint": 1}),
        ("input", {"input_size": (0, 512)}, {"input_height": 512}),
        ("input", {"input_size": (512, 40000)}, {"input_width": 512, "input_height": 40000}),
        ("input", {"input_size": (-1, -1)}, {"input_width": -1, "input_height": -1}),
    ],
)
def test_options_that_do_not_go_together(
    field: str, ours: dict[str, Any], theirs: dict[str, Any], c_library: Library
) -> None:
    with pytest.raises(ValueError, match=f"^{field}"):
        DecodeParams(**ours)
    with pytest.raises(RefusedError, match=f"{field}.*, expected"):
        c_library.decoder(c_library.params(**theirs))


def test_wrong_rescoring(c_library: Library) -> None:
    numbers = (ctypes.c_double * 23)(*[0.0] * 22, NAN)
    with pytest.raises(RefusedError, match=r"rescoring\[22\]: nan"):
        c_library.decoder(c_library.params(rescoring=numbers))
    with pytest.raises(RefusedError, match="rescoring: given, expected NULL"):
        c_library.decoder(c_library.params(rescoring=(ctypes.c_double * 23)(), score_per_joint=1))


@pytest.mark.parametrize("size", [0, 8, ctypes.sizeof(Params) - 1, ctypes.sizeof(Params) + 1, 2**32 - 1])
def test_sizes_that_no_version_has_had(size: int, c_library: Library) -> None:
    filled = Params()
    assert c_library.functions.hrnetae_params_fill(ctypes.byref(filled), size) == BAD_ARGUMENT
    assert bytes(filled) == bytes(ctypes.sizeof(filled))
    with pytest.raises(RefusedError, match=f"params: size {size}, expected"):
        c_library.decoder(c_library.params(size=size))


def wholes(*numbers: int) -> Any:
    return (ctypes.c_int32 * len(numbers))(*numbers)


def doubles(*numbers: float) -> Any:
    return (ctypes.c_double * len(numbers))(*numbers)


@pytest.mark.parametrize(
    ("skeleton", "complaint"),
    [
        (Skeleton(0), "0 joints"),
        (Skeleton(-5), "-5 joints"),
        (Skeleton(2**31 - 1), "joints"),
        (Skeleton(3, -1), "-1 flip_pairs"),
        (Skeleton(3, 2, wholes(0, 1, 1, 2)), "2 flip_pairs"),
        (Skeleton(3, 1), "flip_pair NULL"),
        (Skeleton(3, 1, wholes(1, 3)), r"\(1, 3\)"),
        (Skeleton(3, 1, wholes(-1, 1)), r"\(-1, 1\)"),
        (Skeleton(3, 1, wholes(1, 1)), r"\(1, 1\)"),
        (Skeleton(4, 2, wholes(0, 1, 1, 2)), r"\(1, 2\)"),
        (Skeleton(3, 0, None, wholes(0, 1, 1)), r"joint_order\[2\] 1"),
        (Skeleton(3, 0, None, wholes(0, 1, 3)), r"joint_order\[2\] 3"),
        (Skeleton(3, 0, None, wholes(-1, 1, 2)), r"joint_order\[0\] -1"),
        (Skeleton(2, 0, None, None, doubles(0.1, 0.0)), r"sigmas\[1\] 0"),
        (Skeleton(2, 0, None, None, doubles(NAN, 0.1)), r"sigmas\[0\] nan"),
    ],
)
def test_wrong_skeletons(skeleton: Any, complaint: str, c_library: Library) -> None:
    with pytest.raises(RefusedError, match=f"skeleton: .*{complaint}.*expected"):
        c_library.decoder(None, skeleton)


def test_wrong_level(c_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRNETAE_LEVEL", "sse9")
    with pytest.raises(RefusedError, match="HRNETAE_LEVEL: 'sse9', expected one of dense, baseline"):
        c_library.decoder()
    monkeypatch.setenv("HRNETAE_LEVEL", "")
    assert c_library.decoder().level == available_levels()[-1]


PLAIN = np.zeros((34, 4, 5), np.float32)


def changed(**changes: int | None) -> Any:
    maps = c_maps(PLAIN)
    for name, value in changes.items():
        setattr(maps, name, value)
    return maps


@pytest.mark.parametrize(
    ("output", "flipped", "size", "complaint"),
    [
        (changed(), None, (0, 8), "width: 0"),
        (changed(), None, (8, -1), "height: -1"),
        (changed(), None, (32769, 8), "width: 32769"),
        (None, None, (8, 8), "output: NULL"),
        (changed(data=None), None, (8, 8), r"output\[0\]: data NULL"),
        (changed(type=2), None, (8, 8), r"output\[0\]: type 2"),
        (changed(channels=0), None, (8, 8), r"output\[0\]: shape \(0, 4, 5\)"),
        (changed(height=0), None, (8, 8), r"output\[0\]: shape \(34, 0, 5\)"),
        (changed(width=-7), None, (8, 8), r"output\[0\]: shape \(34, 4, -7\)"),
        (changed(width=2**31 - 1), None, (8, 8), r"output\[0\]: shape"),
        (changed(data=PLAIN.ctypes.data + 1, height=3), None, (8, 8), r"output\[0\]: data at "),
        (changed(data=PLAIN.ctypes.data + 1, type=1), None, (8, 8), r"output\[0\]: data at "),
        (changed(channels=33), None, (8, 8), r"output\[0\]: 33 channels, expected 34"),
        (changed(channels=17), None, (8, 8), "output: no stage has tag maps"),
        (changed(), changed(data=None), (8, 8), r"flipped\[0\]: data NULL"),
        (changed(), changed(width=4), (8, 8), r"flipped\[0\]: shape \(34, 4, 4\), expected \(34, 4, 5\)"),
    ],
)
def test_wrong_maps(output: Any, flipped: Any, size: tuple[int, int], complaint: str, c_library: Library) -> None:
    decoder = c_library.decoder()
    people, message = People(count=7), ctypes.create_string_buffer(256)
    given = (output and ctypes.byref(output), flipped and ctypes.byref(flipped), *size, ctypes.byref(people))
    assert c_library.functions.hrnetae_decode(decoder.made, *given, message) == BAD_ARGUMENT
    said = message.raw[4:].split(b"\0")[0].decode()
    assert re.match(complaint, said) and "expected" in said
    assert bytes(people) == bytes(ctypes.sizeof(people))
    assert c_library.functions.hrnetae_decode(decoder.made, *given, None) == BAD_ARGUMENT


@pytest.mark.parametrize(
    ("shapes", "scales", "complaint"),
    [
        ([(34, 4, 5), (34, 4, 5)], (1.0, 1.0), r"scale\[1\]: 1 again"),
        ([(34, 4, 5), (34, 4, 5)], (1.0, NAN), r"scale\[1\]: nan"),
        ([(34, 4, 5), (34, 4, 5)], (INF, 1.0), r"scale\[0\]: inf"),
        ([(34, 4, 5)], (-1.0,), r"scale\[0\]: -1"),
        ([(34, 4, 5), (34, 4, 5)], (0.5, 2.0), "scale: no 1"),
        ([(34, 4, 5), (34, 8, 10)], (1.0,), "output: tag maps in stages 0 and 1"),
        ([(17, 4, 5), (34, 4, 5)], (1.0, 0.5), "output: no stage has tag maps"),
        ([(34, 4, 5)] * 65, (1.0,), "stages: 65"),
        ([(34, 4, 5)] * 65, tuple(range(1, 66)), "scales: 65"),
    ],
)
def test_wrong_stages_and_scales(
    shapes: list[tuple[int, ...]], scales: tuple[float, ...], complaint: str, c_library: Library
) -> None:
    arrays = [np.zeros(shape, np.float32) for shape in shapes]
    with pytest.raises(RefusedError, match=f"{complaint}.*expected"):
        c_library.decoder().decode_stages(arrays, None, scales, (16, 16))


def test_mmpose1_is_one_array(c_library: Library) -> None:
    arrays = [np.zeros((34, 4, 5), np.float32), np.zeros((17, 8, 10), np.float32)]
    with pytest.raises(RefusedError, match="HRNETAE_MMPOSE1 decodes one stage"):
        c_library.decoder(c_library.params(mode=1)).decode_stages(arrays, None, (1.0,), (16, 16))


def test_null_everywhere(c_library: Library) -> None:
    c, people, maps = c_library.functions, People(count=7), c_maps(PLAIN)
    decoder = c_library.decoder()
    assert c.hrnetae_params_fill(None, ctypes.sizeof(Params)) == BAD_ARGUMENT
    assert c.hrnetae_decoder_create(None, None, None, None) == BAD_ARGUMENT
    assert c.hrnetae_decode(None, ctypes.byref(maps), None, 8, 8, ctypes.byref(people), None) == BAD_ARGUMENT
    assert bytes(people) == bytes(ctypes.sizeof(people))
    assert c.hrnetae_decode(decoder.made, ctypes.byref(maps), None, 8, 8, None, None) == BAD_ARGUMENT
    two, answer = (Maps * 2)(maps, maps), ctypes.byref(people)
    assert c.hrnetae_decode_stages(decoder.made, two, None, 1, None, 2, 8, 8, answer, None) == BAD_ARGUMENT
    assert c.hrnetae_decoder_level(None) is None
    c.hrnetae_decoder_free(None)
    c.hrnetae_people_free(None)


def test_messages_are_cut_not_overrun(c_library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRNETAE_LEVEL", "x" * 5000)
    with pytest.raises(RefusedError, match=r"HRNETAE_LEVEL: 'x{40}', expected"):
        c_library.decoder()
