"""The extension, and the library for C and C++ that it is linked with; everything else stands in pyproject.toml (the
version, which C needs, too, in the header).

HRNETAE_DEBUG=1 builds with bounds checks, HRNETAE_WERROR=1 turns compiler warnings into errors.
HRNETAE_SANITIZE=address,undefined or =thread builds with these sanitizers of gcc and clang, which end the process at
the first find; python must be started with their library preloaded, as tests/sanitize.py does it.
"""

import os
import re
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

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

HEADER = Path("csrc/include/hrnetae.h")
(VERSION,) = re.findall(r'^#define HRNETAE_VERSION "(.+)"$', HEADER.read_text(encoding="utf-8"), re.MULTILINE)
# Python's way into the kernels is gone once a picture, and a large part of a wheel: it is made small.
glue_args = compile_args if sys.platform == "win32" or DEBUG or SANITIZE else [*compile_args, "-Os"]

INCLUDE_DIRS = ["csrc", "csrc/include"]
SOURCES = sorted(str(path) for path in Path("csrc").glob("*.c"))
HEADERS = sorted(str(path) for path in Path("csrc").rglob("*.h"))
# Those that declare the kernels' functions; the others are parts of their code.
KERNEL_HEADERS = ("arena.h", "batch.h", "dispatch.h", "oks.h", "settings.h", "steps.h")

# Compiled once: the static library is what C and C++ link with, and what the extension is made of.
library = (
    "hrnetae",
    {
        "sources": SOURCES,
        "obj_deps": {"": ["setup.py", *HEADERS]},
        "include_dirs": INCLUDE_DIRS,
        "cflags": compile_args,
    },
)
extension = Extension(
    "hrnetae._kernels",
    sources=["csrc/_kernels.pyx"],
    depends=["setup.py", *HEADERS, *SOURCES],
    include_dirs=INCLUDE_DIRS,
    extra_compile_args=glue_args,
    extra_link_args=link_args,
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE_ABI else [],
    py_limited_api=STABLE_ABI,
)


class BuildExtension(build_ext):
    """Lays the library and the headers beside the extension, where hrnetae.get_library and get_include find them."""

    def run(self) -> None:
        self.run_command("build_clib")
        super().run()
        build_clib = self.get_finalized_command("build_clib")
        package = Path("hrnetae") if self.inplace else Path(self.build_lib, "hrnetae")
        name = self.compiler.library_filename(library[0])
        kernels = package / "include" / "hrnetae" / "kernels"
        self._lay(Path(build_clib.build_clib, name), package / "lib")
        self._lay(HEADER, package / "include")
        for header in KERNEL_HEADERS:
            self._lay(Path("csrc", header), kernels)

    def _lay(self, file: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.copy_file(str(file), str(folder))


setup(
    version=VERSION,
    libraries=[library],
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
    cmdclass={"build_ext": BuildExtension},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)
