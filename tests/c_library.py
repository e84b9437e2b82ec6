"""The C API, called from Python: the static library made a shared one, and the structures of hrnetae.h for ctypes."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hrnetae
from hrnetae.params import CHOICES

Array = NDArray[Any]
OK, BAD_ARGUMENT = 0, 1
# What the static library was built with where tests/sanitize.py runs the tests.
SANITIZE = [f"-fsanitize={flags}" for flags in [os.environ.get("HRNETAE_SANITIZE")] if flags]
FLOAT32, FLOAT16 = 0, 1


def find_compiler(*names: str) -> str:
    """The first of these commands that is here; the test is skipped where none is."""
    if sys.platform == "win32":
        pytest.skip("these tests speak to gcc and clang; no MSVC here to try them with")
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"no compiler here: {' or '.join(names)}")


def run(*command: str | Path) -> str:
    """What the command prints; a failure shows all it said."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command[0]}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_program(source: Path, program: Path, standard: str) -> None:
    """Compiles and links C or C++ with the installed header and library; every warning is an error."""
    compiler = find_compiler("g++", "clang++") if standard.startswith("c++") else find_compiler("gcc", "clang")
    strict = (f"-std={standard}", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1")
    folder = f"-I{hrnetae.get_include()}"
    run(compiler, *SANITIZE, *strict, folder, source, hrnetae.get_library(), "-lm", "-o", program)


def build_shared(target: Path) -> Path:
    compiler = find_compiler("gcc", "clang")
    library = hrnetae.get_library()
    whole = [f"-Wl,-force_load,{library}"]
    if sys.platform != "darwin":
        whole = ["-Wl,--whole-archive", library, "-Wl,--no-whole-archive"]
    run(compiler, *SANITIZE, "-shared", "-o", target, *whole, "-lm")
    return target


def _structure(name: str, **fields: Any) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields.items())})


_int, _double, _pointer = ctypes.c_int32, ctypes.c_double, ctypes.c_void_p
_wholes = ctypes.POINTER(_int)
_doubles = ctypes.POINTER(_double)
_floats = ctypes.POINTER(ctypes.c_float)

Params = _structure(
    "Params",
    size=ctypes.c_uint32, mode=_int, max_num_people=_int, nms_kernel=_int,
    detection_threshold=_double, tag_threshold=_double,
    use_detection_val=_int, ignore_too_much=_int, tag_per_joint=_int, adjust=_int, refine=_int, project2image=_int,
    align_corners=_int, use_udp=_int, score_per_joint=_int, restore_heatmap_size=_int,
    center_shift=_double, input_width=_int, input_height=_int,
    tag_window=_int, second_pass=_int, subpixel=_int, person_score=_int,
    suppress_oks=_double, filled_floor=_double, exact_geometry=_int, rescoring=_doubles,
)  # fmt: skip
Skeleton = _structure("Skeleton", joints=_int, flip_pairs=_int, flip_pair=_wholes, joint_order=_wholes, sigmas=_doubles)
Maps = _structure("Maps", data=_pointer, type=_int, channels=_int, height=_int, width=_int)
Error = _structure("Error", status=_int, message=ctypes.c_char * 252)
People = _structure(
    "People", count=_int, joints=_int, tag_length=_int, scores_per_person=_int,
    keypoints=_floats, scores=_floats, tags=_floats,
)  # fmt: skip


def c_skeleton(skeleton: hrnetae.Skeleton) -> Any:
    """hrnetae_skeleton of one of ours, with everything in it."""
    joints, pairs = len(skeleton), [joint for pair in skeleton.flip_pairs for joint in pair]
    sigmas = (_double * joints)(*skeleton.sigmas) if skeleton.sigmas else None
    return Skeleton(
        joints, len(pairs) // 2, (_int * len(pairs))(*pairs), (_int * joints)(*skeleton.joint_order), sigmas
    )


def c_maps(array: Array) -> Any:
    """hrnetae_maps of an array, which the caller keeps."""
    channels, height, width = array.shape[-3:]
    return Maps(array.ctypes.data, FLOAT16 if array.dtype == np.float16 else FLOAT32, channels, height, width)


class Library:
    """The functions of hrnetae.h. Failures raise RefusedError with the status and the message."""

    def __init__(self, path: Path) -> None:
        self.functions: Any = ctypes.CDLL(str(path))
        self.functions.hrnetae_version.restype = ctypes.c_char_p
        self.functions.hrnetae_decoder_level.restype = ctypes.c_char_p
        self.functions.hrnetae_params_fill.argtypes = (_pointer, ctypes.c_size_t)
        for name in ("hrnetae_decoder_free", "hrnetae_decoder_level"):
            getattr(self.functions, name).argtypes = (_pointer,)
        for name in ("hrnetae_coco17", "hrnetae_crowdpose14"):
            getattr(self.functions, name).restype = ctypes.POINTER(Skeleton)
        self.functions.hrnetae_decode.argtypes = (_pointer,) * 3 + (_int, _int, _pointer, _pointer)
        self.functions.hrnetae_decode_stages.argtypes = (
            (_pointer,) * 3 + (_int, _doubles, _int, _int, _int, _pointer, _pointer)
        )  # fmt: skip

    def params(self, params: hrnetae.DecodeParams | None = None, **changes: Any) -> Any:
        """hrnetae_params of ours, field by field; changes: to fields of the structure, unchecked."""
        filled = Params()
        assert self.functions.hrnetae_params_fill(ctypes.byref(filled), ctypes.sizeof(filled)) == OK
        for field in dataclasses.fields(params) if params else ():
            value = getattr(params, field.name)
            if field.name in CHOICES:
                value = CHOICES[field.name].index(value)
            elif field.name == "input_size":
                filled.input_width, filled.input_height = value or (0, 0)
                continue
            elif field.name == "rescoring":
                value = None if value is None else (_double * 23)(*value.numbers())
            setattr(filled, field.name, value)
        for name, value in changes.items():
            setattr(filled, name, value)
        return filled

    def decoder(self, params: Any = None, skeleton: Any = None) -> CDecoder:
        """Of Params and Skeleton structures; None for the library's own defaults."""
        made, error = _pointer(), Error(status=-1)
        status = self.functions.hrnetae_decoder_create(
            params and ctypes.byref(params),
            skeleton and ctypes.byref(skeleton),
            ctypes.byref(made),
            ctypes.byref(error),
        )
        check(status, error)
        return CDecoder(self.functions, made)


class CDecoder:
    """hrnetae_decoder; freed with this object."""

    def __init__(self, functions: Any, made: Any) -> None:
        self.functions, self.made = functions, made

    def __del__(self) -> None:
        self.functions.hrnetae_decoder_free(self.made)

    @property
    def level(self) -> str:
        return str(self.functions.hrnetae_decoder_level(self.made), "ascii")

    def decode(self, output: Any, flipped: Any = None, size: tuple[int, int] = (64, 48)) -> bytes:
        """keypoints, scores, tags of one image, as one string of bytes."""
        people, error = People(), Error(status=-1)
        arrays = (ctypes.byref(c_maps(output)), None if flipped is None else ctypes.byref(c_maps(flipped)))
        status = self.functions.hrnetae_decode(self.made, *arrays, *size, ctypes.byref(people), ctypes.byref(error))
        return self._take(status, people, error)

    def decode_stages(
        self, output: Sequence[Array], flipped: Sequence[Array] | None, scales: Sequence[float], size: tuple[int, int]
    ) -> bytes:
        """As hrnetae_decode_stages; the arrays of all scales in one list."""
        people, error = People(), Error(status=-1)
        lists = [(Maps * len(maps))(*map(c_maps, maps)) if maps is not None else None for maps in (output, flipped)]
        scale = (_double * len(scales))(*scales)
        status = self.functions.hrnetae_decode_stages(
            self.made, *lists, len(output) // len(scales), scale, len(scales), *size, ctypes.byref(people),
            ctypes.byref(error),
        )  # fmt: skip
        return self._take(status, people, error)

    def _take(self, status: int, people: Any, error: Any) -> bytes:
        check(status, error)
        rows = people.count * people.joints
        counts = (rows * 3, people.count * people.scores_per_person, rows * people.tag_length)
        arrays = (people.keypoints, people.scores, people.tags)
        answer = b"".join(ctypes.string_at(at, 4 * count) for at, count in zip(arrays, counts, strict=True) if count)
        self.functions.hrnetae_people_free(ctypes.byref(people))
        assert bytes(people) == bytes(ctypes.sizeof(people))
        return answer


class RefusedError(Exception):
    """What a call of the C API said: args are the status and the message."""


def check(status: int, error: Any) -> None:
    """The two must agree, and a message must go with every failure."""
    message = str(error.message, "utf-8")
    assert error.status == status and bool(message) == (status != OK)
    if status != OK:
        raise RefusedError(status, message)
