"""The command itself: its help, what it says of the system's errors, and ctrl-C while it is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hrnetae.tools import cli
from hrnetae.tools.options import complain


def help_of(verb: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of a verb's help in a terminal of that width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit) as end:
        cli.main([verb, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("verb", cli.VERBS)
def test_the_example_is_one_line_in_every_terminal(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow, wide = (help_of(verb, columns, monkeypatch, capsys) for columns in (40, 2000))
    assert len(narrow) > len(wide)
    assert narrow[-1] == wide[-1] and wide[-1].startswith(f"example: hrnetae {verb} ")


def test_the_verbs_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert "the whole flow on drawn pictures with a bundled network" in out and "synthetic" not in out


def test_an_error_of_the_system_begins_with_the_path(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in (tmp_path, str(tmp_path), os.fsencode(tmp_path)):
        with pytest.raises(OSError) as caught:
            os.rmdir(Path(os.fsdecode(name)) / "none")  # noqa: PTH106
        caught.value.filename = name
        complain("prog", caught.value)
        assert capsys.readouterr().err == f"prog: {tmp_path}: No such file or directory\n"
    complain("prog", OSError("no\nname"))
    assert capsys.readouterr().err == "prog: no name\n"
