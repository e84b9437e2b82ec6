"""What the READMEs and the documentation show is run as it stands there, and their links lead somewhere."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from hrnetae.files.pictures import read_picture
from hrnetae.tools import cli

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")
TUTORIAL = "docs/tutorial.md"
PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
ALONE = [page for page in PAGES if page.startswith("docs/howto/") or page == "docs/index.md"]  # need nothing else
FEW = 6  # pictures of the demo, where any number will do

needs_pages = pytest.mark.skipif(
    not all((ROOT / name).exists() for name in (*READMES, TUTORIAL)), reason="no documentation here: not a checkout"
)


def blocks(name: str) -> list[tuple[str, str]]:
    """(language, text) of every fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(name: str) -> list[list[str]]:
    """The words of every line of the console blocks."""
    lines = [line for language, text in blocks(name) if language == "console" for line in text.splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


def run_python(name: str) -> None:
    """Each Python block of a page, by itself."""
    for language, text in blocks(name):
        if language == "python":
            exec(compile(text, name, "exec"), {"__name__": "page"})


def run_commands(name: str, only: Collection[str] = tuple(cli.VERBS), leave_out: Collection[str] = ()) -> set[str]:
    """The command lines of a page in their order, in the current folder; returns the verbs."""
    ours = [words[1:] for words in commands(name) if words[0] == "hrnetae"]
    ours = [words for words in ours if words[0] in only and words[0] not in leave_out]
    for words in ours:
        fewer = ["--pictures", str(FEW)] if words[0] == "demo" else []
        assert cli.main([*words, *fewer]) == 0, words
    return {words[0] for words in ours}


@needs_pages
def test_readmes_show_the_same_commands() -> None:
    assert blocks(READMES[0]) == blocks(READMES[1])
    assert {language for language, _ in blocks(READMES[0])} == {"console", "python"}


@needs_pages
@pytest.mark.slow
def test_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands, then the Python blocks, one of which takes what they made."""
    monkeypatch.chdir(tmp_path)
    verbs = run_commands(READMES[0], leave_out=("export",))
    assert verbs == set(cli.VERBS) - {"export"}
    capsys.readouterr()
    run_python(READMES[0])
    assert "17, 3)" in capsys.readouterr().out and read_picture(tmp_path / "people.png").shape[2] == 3


@needs_pages
@pytest.mark.slow
def test_readme_export_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="export needs torch")
    from hrnetae.networks.untrained import architecture_of, untrained

    monkeypatch.chdir(tmp_path)
    torch.save(untrained(architecture_of("w32")).state_dict(), "hrnet_w32_coco_512x512.pth")
    assert run_commands(READMES[0], only=("export",)) == {"export"}


@needs_pages
def test_what_readme_says_of_make_and_pip_is_what_ci_does() -> None:
    others = {" ".join(words) for words in commands(READMES[0]) if words[0] != "hrnetae"}
    assert others == {"make demo", "make test", "pip install ."}
    script = ROOT / ".ci" / "run"
    if script.exists():  # not in an sdist
        lines = script.read_text(encoding="utf-8").splitlines()
        assert all(any(line.endswith(command) for line in lines) for command in others)


@needs_pages
@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run_commands(TUTORIAL)
    for name in ("hrnet_fp16/mod.onnx", "int8.json", "report/index.html", "compared/index.html"):
        assert (tmp_path / "work" / name).exists(), name
    capsys.readouterr()
    run_python(TUTORIAL)
    assert "17, 3)" in capsys.readouterr().out


@needs_pages
@pytest.mark.parametrize("name", ALONE)
def test_python_in_the_documentation_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_python(name)


@needs_pages
@pytest.mark.parametrize("name", [*READMES, *PAGES])
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert target.startswith("https://") or ((ROOT / name).parent / target).exists(), target


@needs_pages
@pytest.mark.parametrize("name", [*READMES, *PAGES])
def test_commands_that_are_shown_exist(name: str) -> None:
    """Also those that are not run, because they name files of the reader's: verb and options are looked up."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for line in re.findall(r"^(?:    |)(hrnetae [a-z-]+ [^\\\n]*)", text, re.MULTILINE):
        words = shlex.split(line, comments=True)
        if words[1] not in cli.VERBS:  # prose that begins with the name
            continue
        known = _options(words[1])
        for word in words[2:]:
            option = word.partition("=")[0].replace("-", "_")
            assert not word.startswith("--") or option in known, f"{word} in: {line}"


def _options(verb: str) -> set[str]:
    """The long options of a verb, with underscores."""
    parser = importlib.import_module(cli.VERBS[verb][0]).build_parser()
    return {option.replace("-", "_") for option in _option_strings(parser) if option.startswith("--")}


def _option_strings(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _option_strings(sub)
