"""Checkpoints that claim more than they hold, and weights of another kind: each is one line that says so."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pose_weights import Layout, draw_weights

torch = pytest.importorskip("torch", reason="checkpoints need torch, the extra [export]")

from hrnetae.files.errors import DataError  # noqa: E402
from hrnetae.networks.checkpoints import load_network, read_state_dict  # noqa: E402


def saved(path: Path, **changed: Any) -> Path:
    """A small network's checkpoint with some of its weights exchanged; underscores stand for dots."""
    weights = OrderedDict(draw_weights(Layout(), 0))
    for name, value in changed.items():
        assert name.replace("__", ".") in weights
        weights[name.replace("__", ".")] = value
    torch.save(weights, path)
    return path


def repacked(path: Path, change: Callable[[zipfile.ZipFile], None], method: int) -> Path:
    """The same archive, packed by ``method`` and changed."""
    with zipfile.ZipFile(path) as source:
        members = [(info.filename, source.read(info)) for info in source.infolist()]
    with zipfile.ZipFile(path, "w", method) as target:
        for name, content in members:
            target.writestr(name, content)
        change(target)
    return path


def test_the_checkpoint_that_the_others_are_made_of_is_read(tmp_path: Path) -> None:
    assert load_network(saved(tmp_path / "whole.pth"))


def test_one_value_repeated_without_end_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "wide.pth", conv1__weight=torch.zeros(1).expand(1 << 40))
    with pytest.raises(DataError, match=r"wide\.pth: tensors of more values than the file has bytes"):
        read_state_dict(path)


def test_weights_without_values_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "empty.pth", conv1__weight=torch.zeros(8, 3, 3, 3, device="meta"))
    with pytest.raises(DataError, match=r"empty\.pth: conv1\.weight has no values"):
        read_state_dict(path)


def test_a_counter_that_is_sparse_is_refused(tmp_path: Path) -> None:
    """Found by the fuzzer (checkpoints, seed 0, case 562): a network came out that could not be looked at."""
    path = saved(tmp_path / "sparse.pth", bn1__num_batches_tracked=torch.tensor(3).to_sparse())
    with pytest.raises(DataError, match=r"bn1\.num_batches_tracked: torch\.int64, torch\.sparse_coo, expected plain"):
        load_network(path)


def test_an_archive_that_inflates_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "bomb.pth", conv1__weight=torch.zeros(1 << 22))
    repacked(path, lambda archive: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=r"bomb\.pth: members of \d+ bytes in \d+, expected them stored"):
        read_state_dict(path)


def test_an_archive_with_a_comment_is_refused(tmp_path: Path) -> None:
    def comment(archive: zipfile.ZipFile) -> None:
        archive.comment = b"which directory is it?"

    path = repacked(saved(tmp_path / "two.pth"), comment, zipfile.ZIP_STORED)
    with pytest.raises(DataError, match=r"two\.pth: an archive with a comment"):
        read_state_dict(path)


def test_a_name_without_end_is_refused(tmp_path: Path) -> None:
    torch.save({"x" * 100_000: torch.zeros(1)}, tmp_path / "long.pth")
    with pytest.raises(DataError, match=r"long\.pth: a name of 100000 characters"):
        read_state_dict(tmp_path / "long.pth")
