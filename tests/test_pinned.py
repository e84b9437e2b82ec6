"""The lock file: it holds all that pyproject.toml asks for, every archive with a checksum, and nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / ".ci" / "requirements.lock"

pytestmark = pytest.mark.skipif(not LOCK.is_file(), reason="the lock file is not here")


def locked() -> dict[str, str]:
    """Versions by name. Every line but comments has to be a version with one checksum."""
    lines = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found = [re.fullmatch(r"([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}", line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    versions = {match[1]: match[2] for match in found if match}
    assert len(versions) == len(lines)
    return versions


def test_what_pyproject_asks_for_is_locked() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = settings["project"]["optional-dependencies"]
    wanted = [*settings["build-system"]["requires"], *settings["project"]["dependencies"]]
    wanted += [one for extra in ("test", "dev", "docs", "bench") for one in extras[extra]]
    versions = locked()
    for one in map(Requirement, wanted):
        assert one.specifier.contains(versions[canonicalize_name(one.name)]), one


def test_torch_is_pinned_by_itself() -> None:
    """Its wheels have other checksums in other places."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (allowed,) = map(Requirement, settings["project"]["optional-dependencies"]["export"])
    pin = Requirement((ROOT / ".ci" / "torch.txt").read_text(encoding="utf-8").strip())
    assert re.fullmatch(r"==[0-9.]+", str(pin.specifier)) and pin.name == allowed.name == "torch"
    assert allowed.specifier.contains(str(pin.specifier)[2:]) and "torch" not in locked()
