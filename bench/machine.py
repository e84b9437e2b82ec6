"""What the figures were measured on. No host name, user or path: only what explains a speed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path

from hrnetae.decoder import available_processors
from hrnetae.dispatch import LEVEL

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_ASSUMED_CACHE = 64 << 20
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def caches() -> dict[str, int]:
    """Bytes of each data cache as the first processor sees it, "L1d" to "L3"; empty where the system does not tell."""
    found = {}
    for index in sorted(_CACHES.glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = int(size[:-1]) * _UNITS[size[-1]]
    return found


def last_level_cache() -> int:
    """Bytes of the largest cache; 64 MB where it is not known."""
    return max(caches().values(), default=_ASSUMED_CACHE)


def describe() -> dict[str, object]:
    return {
        "cpu": _cpu(),
        "processors": available_processors(),
        "caches": caches(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
        "hrnetae": importlib.metadata.version("hrnetae"),
        "compiler": _compiler(),
        "level": LEVEL,
    }


class Others:
    """How many processors others kept busy since this was made; that is what spoils a figure."""

    def __init__(self) -> None:
        self._start = self._clocks()

    def processors(self) -> float | None:
        """None where the system does not tell."""
        if self._start is None or (now := self._clocks()) is None:
            return None
        wall, busy, own = (after - before for after, before in zip(now, self._start, strict=True))
        return round(max(0.0, busy - own) / wall, 2)

    @staticmethod
    def _clocks() -> tuple[float, float, float] | None:
        """Seconds: on the wall, of all processors at work, of this process and its ended children."""
        try:
            fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        except OSError:
            return None
        user, nice, system, _idle, _wait, irq, soft_irq, steal = map(int, fields)
        busy = (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK")
        return time.monotonic(), busy, sum(os.times()[:4])


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    name = values.get("model name", platform.machine())
    if "cpu family" in values:  # virtual machines often hide the name, but not the kind
        name += f" (family {values['cpu family']}, model {values.get('model')})"
    flags = values.get("flags", "").split()
    return name + "".join(f", {label}" for label, flag in (("AVX2", "avx2"), ("AVX-512", "avx512f")) if flag in flags)


def _compiler() -> str | None:
    """The C compiler of this machine, which has built an editable install, but not a wheel."""
    command = shutil.which(os.environ.get("CC") or "cc")
    if command is None:
        return None
    text = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    return re.sub(r"\s*\(.*?\)", "", text.partition("\n")[0]) or None
