"""The extension alone; everything else stands in pyproject.toml.

HRNETAE_DEBUG=1 builds with bounds checks, HRNETAE_WERROR=1 turns compiler warnings into errors.
HRNETAE_SANITIZE=address,undefined or =thread builds with these sanitizers of gcc and clang, which end the process at
the first find; python must be started with their library preloaded, as tests/sanitize.py does it.
"""

import os
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("HRNETAE_DEBUG") == "1"
SANITIZE = os.environ.get("HRNETAE_SANITIZE", "")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
STABLE_ABI = sys.implementation.name == "cpython" and not FREE_THREADED and not DEBUG

link_args = []
if sys.platform == "win32":
    compile_args = ["/O2", "/fp:precise", "/std:c11", "/W3"]
else:
    # -ffp-contract=off: the decoder's fused multiply-adds are explicit, and no others may appear.
    # -fno-math-errno lets sqrtf be the instruction.
    compile_args = ["-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-Wall", "-Wextra"]
    compile_args += ["-O1", "-g"] if DEBUG else ["-O3", "-g0"]
    if SANITIZE:
        link_args += [f"-fsanitize={SANITIZE}"]
        compile_args += [*link_args, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O2", "-g"]
    if os.environ.get("HRNETAE_WERROR") == "1":
        compile_args.append("-Werror")

macros = [("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else []

extension = Extension(
    "hrnetae._kernels",
    sources=["csrc/_kernels.pyx", *sorted(str(path) for path in Path("csrc").glob("*.c") if path.stem != "_kernels")],
    depends=["setup.py", *sorted(str(path) for path in Path("csrc").glob("*.h"))],
    include_dirs=["csrc"],
    extra_compile_args=compile_args,
    extra_link_args=link_args,
    define_macros=macros,
    py_limited_api=STABLE_ABI,
)

setup(
    ext_modules=cythonize(
        [extension],
        include_path=["csrc"],
        build_dir="build/cython",
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "embedsignature": True,
            "freethreading_compatible": True,
        },
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
