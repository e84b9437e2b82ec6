"""Pin what tests, checks, documentation and benchmarks need, with the archives' checksums: .ci/requirements.lock.

    .venv/bin/python .ci/lock.py        (make lock)

pip resolves pyproject.toml's requirements, those of the build among them, as if nothing was installed. The checksums
are those of the archives for this system and this Python, the ones that CI runs on. Torch stays out: its wheels, and so
their checksums, differ with the place they come from; torch.txt pins it by its version.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / ".ci" / "requirements.lock"
EXTRAS = ("test", "dev", "docs", "bench")


def requirements() -> list[str]:
    """All that is to be pinned, as pyproject.toml asks for it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, extras = settings["project"], settings["project"]["optional-dependencies"]
    return [*settings["build-system"]["requires"], *project["dependencies"], *(r for e in EXTRAS for r in extras[e])]


def resolved(wanted: list[str]) -> dict[str, tuple[str, str]]:
    """Names with their versions and the sha256 of the archive that pip would install."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--quiet", "--dry-run", "--ignore-installed", "--only-binary", ":all:", "--report", str(report)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, *wanted], check=True)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {
        one["metadata"]["name"].lower().replace("_", "-"): (
            one["metadata"]["version"],
            one["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for one in found
    }


def main() -> int:
    """Write the lock file."""
    pinned = resolved(requirements())
    made_for = f"Python {sys.version_info.major}.{sys.version_info.minor}, {platform.system()} {platform.machine()}"
    lines = [f"# Made by `make lock` for {made_for}; not to be edited.\n"]
    for name, (version, digest) in sorted(pinned.items()):
        lines.append(f"{name}=={version} --hash=sha256:{digest}\n")
    LOCK.write_text("".join(lines), encoding="utf-8")
    print(f"{LOCK}: {len(pinned)} packages")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
