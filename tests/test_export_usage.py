"""`hrnetae export` as far as it goes without torch: its help, its usage, and the line that names the extra."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hrnetae.tools import cli


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """`hrnetae export ARGUMENTS`: exit code, stdout, stderr."""
    try:
        code = cli.main(["export", *map(str, arguments)])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_without_torch_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    code, out, err = run(capsys, "a.pth", "--output-file", tmp_path / "a.onnx")
    assert (code, out) == (1, "")
    assert err == "hrnetae export: torch is not installed, expected the extra: pip install 'hrnetae[export]'\n"


def test_help_shows_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0 and "example: hrnetae export" in out
    text = " ".join(out.split())
    for option, default in (
        ("--shape", "(default: [1, 3, 512, 512])"),
        ("--output_file", "(default: hrnet.onnx)"),
        ("--input_name", "(default: input.1)"),
        ("--opset", "(default: 17)"),
        ("--seed", "(default: 0)"),
    ):
        assert option in text and default in text
    for option in ("--verify", "--dynamic_batch", "--random_init", "--joints", "--json"):
        assert option in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "one of the arguments CHECKPOINT --random_init is required"),
        (("a.pth", "--random-init", "w32"), "--random_init: not together with a checkpoint (a.pth)"),
        (("a.pth", "b.pth"), "CHECKPOINT: 2 files, expected one"),
        (("--random-init", "w18"), "invalid choice: 'w18'"),
        (("a.pth", "--joints", "0"), "--joints: '0', expected a whole number from 1 to 1000"),
        (("--random-init", "w32", "--joints", "9999999999"), "--joints: '9999999999', expected a whole number from 1"),
        (("--random-init", "w32", "--seed", "9" * 23), f"--seed: '{'9' * 23}', expected a whole number from 0 to"),
        (("--random-init", "w32", "--seed", "-1"), "--seed: '-1', expected a whole number from 0 to"),
        (("a.pth", "--shape", "1", "3", "320000000", "64"), "--shape: 1 3 320000000 64, expected sides up to 8192"),
        (("a.pth", "--shape", "4096", "3", "512", "512"), "--shape: 4096 3 512 512, expected sides up to 8192 and at"),
        (("a.pth", "--input-name", "output_0"), "--input_name: 'output_0', expected another name"),
        (("a.pth", "--input-name", ""), "--input_name: '', expected a name"),
        (("a.pth", "--input-name", "7"), "--input_name: '7', expected a name"),
    ],
)
def test_wrong_usage_exits_with_2(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *arguments)
    assert code == 2 and complaint in err
