"""Networks opened with ONNX Runtime: what they answer, whatever the batch and the threads, and what is refused."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from golden import SHARED
from numpy.typing import NDArray
from onnx import TensorProto, helper
from small_networks import SIDE, expected, save, write_network

from hrnetae.decoder import available_processors
from hrnetae.files import DataError
from hrnetae.runtime.sessions import (
    CPU,
    Session,
    SessionSettings,
    StoppedError,
    Tensor,
    describe_backend,
    find_provider,
    has_devices,
    installed_providers,
    open_session,
    provider_options,
    threads_per_session,
)


def pictures(count: int, side: int = SIDE, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, side, side)).astype(np.float32)


# ------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("batch", [1, 2, 4, "N"])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_any_number_of_pictures_goes_through_any_model(tmp_path: Path, batch: int | str, count: int) -> None:
    session = Session(write_network(tmp_path / "net.onnx", batch=batch, stages=(34, 17)))
    batch_of = pictures(count)
    first, second = session(batch_of)
    assert session.batch == (None if batch == "N" else batch)
    assert first.shape == (count, 34, 16, 16) and second.shape == (count, 17, 16, 16)
    for row in range(count):
        np.testing.assert_allclose(first[row], expected(batch_of[row], 34, 0), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(second[row], expected(batch_of[row], 17, 1), rtol=1e-5, atol=1e-4)


def test_names_and_shapes_are_the_models(tmp_path: Path) -> None:
    session = open_session(write_network(tmp_path / "net" / "mod.onnx", batch="N", stages=(34, 17)).with_suffix(""))
    assert session.input == Tensor("input.1", (None, 3, SIDE, SIDE), "float32")
    assert session.outputs == (
        Tensor("maps0", (None, 34, 16, 16), "float32"),
        Tensor("maps1", (None, 17, 16, 16), "float32"),
    )
    assert session.input_size == (SIDE, SIDE) and session.provider == CPU


def test_a_float16_model_takes_float32_pictures(tmp_path: Path) -> None:
    session = Session(write_network(tmp_path / "half.onnx", dtype="float16"))
    batch = pictures(1)
    (maps,) = session(batch)
    assert session.input.dtype == "float16" and maps.dtype == np.float16
    np.testing.assert_allclose(maps[0], expected(batch[0]), atol=0.02)


def test_bytes_depend_neither_on_threads_nor_on_batches(tmp_path: Path) -> None:
    batch = pictures(4)
    for size in (1, "N"):
        path = write_network(tmp_path / f"net{size}.onnx", batch=size, work=2)
        alone = Session(path, SessionSettings(threads=1))
        want = np.concatenate([alone(batch[row : row + 1])[0] for row in range(4)])
        for threads in (1, 2, 3):
            session = Session(path, SessionSettings(threads=threads))
            for count in (2, 3, 4):
                assert session(batch[:count])[0].tobytes() == want[:count].tobytes()


@pytest.mark.shared
@pytest.mark.skipif(SHARED is None, reason="the recorded inputs (../shared or HRNETAE_SHARED) are absent")
def test_bytes_of_a_real_network_depend_not_on_threads() -> None:
    assert SHARED is not None
    batch = np.random.default_rng(0).normal(size=(1, 3, 512, 512)).astype(np.float32)
    answers = {
        Session(SHARED / "realnet" / "realnet.onnx", SessionSettings(threads=threads))(batch)[0].tobytes()
        for threads in (1, 2, 3)
    }
    assert len(answers) == 1


# -------------------------------------------------------------------------------------------------------- what it runs


def test_providers_go_by_short_names() -> None:
    assert find_provider("cpu") == find_provider("CPUExecutionProvider") == find_provider("CpuExecutionProvider") == CPU
    assert CPU in installed_providers()
    assert "ONNX Runtime" in describe_backend(CPU) and CPU in describe_backend(CPU)


def test_only_accelerators_have_numbers() -> None:
    assert provider_options("CUDAExecutionProvider", 2) == {"device_id": "2"}
    assert provider_options("CUDAExecutionProvider", None) == provider_options(CPU, 2) == {}
    assert has_devices("TensorrtExecutionProvider") and not has_devices(CPU)


def test_an_unknown_provider_is_answered_with_those_that_are_there(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(DataError, match=f"Abacus: not in this ONNX Runtime, expected one of .*{CPU}"):
        Session(path, SessionSettings("Abacus"))


def test_processors_are_shared_out() -> None:
    have = available_processors()
    assert threads_per_session(1) == have
    assert threads_per_session(have) == 1
    assert threads_per_session(10 * have) == 1


def test_a_run_can_be_stopped(tmp_path: Path) -> None:
    session = Session(write_network(tmp_path / "slow.onnx", side=512, work=400), SessionSettings(threads=1))
    seen: list[BaseException] = []

    def run() -> None:
        try:
            session(pictures(1, 512))
        except StoppedError as error:
            seen.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)
    begin = time.perf_counter()
    session.stop()
    thread.join(10)
    assert seen and time.perf_counter() - begin < 2
    with pytest.raises(StoppedError):
        session(pictures(1, 512))


# ------------------------------------------------------------------------------------------------------ what is refused


def test_a_missing_or_broken_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing: no such model"):
        open_session(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"gone\.onnx: no such file"):
        Session(tmp_path / "gone.onnx")
    whole = write_network(tmp_path / "net.onnx").read_bytes()
    for name, data in (("empty.onnx", b""), ("cut.onnx", whole[: len(whole) // 2]), ("text.onnx", b"hello")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name) as caught:
            Session(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_model_that_does_not_take_one_picture_is_refused(tmp_path: Path) -> None:
    def info(name: str, shape: list[int], kind: int = TensorProto.FLOAT) -> object:
        return helper.make_tensor_value_info(name, kind, shape)

    four = [1, 3, 8, 8]
    both = save(
        tmp_path / "two.onnx",
        [helper.make_node("Add", ["a", "b"], ["c"])],
        [info("a", four), info("b", four)],
        [info("c", four)],
        [],
    )
    with pytest.raises(DataError, match=r"two\.onnx: 2 inputs \(a, b\), expected one"):
        Session(both)
    flat = save(
        tmp_path / "flat.onnx", [helper.make_node("Relu", ["a"], ["c"])], [info("a", [1, 10])], [info("c", [1, 10])], []
    )
    with pytest.raises(DataError, match=r"input a has shape \(1, 10\), expected \(N, 3, H, W\)"):
        Session(flat)
    whole = save(
        tmp_path / "whole.onnx",
        [helper.make_node("Identity", ["a"], ["c"])],
        [info("a", four, TensorProto.UINT8)],
        [info("c", four, TensorProto.UINT8)],
        [],
    )
    with pytest.raises(DataError, match=r"a is a tensor\(uint8\), expected float32 or float16"):
        Session(whole)
    with pytest.raises(DataError, match=r"input input\.1 has shape \(1, 4, 64, 64\)"):
        Session(write_network(tmp_path / "four.onnx", colours=4))
    with pytest.raises(DataError, match="height and width are free"):
        _ = Session(write_network(tmp_path / "free.onnx", side="side")).input_size


def test_pictures_of_another_shape_are_refused(tmp_path: Path) -> None:
    session = Session(write_network(tmp_path / "net.onnx"))
    for shape in ((1, 3, SIDE, SIDE + 1), (3, SIDE, SIDE), (1, 1, SIDE, SIDE), (0, 3, SIDE, SIDE)):
        with pytest.raises(ValueError, match=r"pictures: shape .*, expected \(N, 3, 64, 64\)"):
            session(np.zeros(shape, np.float32))


def test_a_model_without_maps_is_refused_where_maps_are_written(tmp_path: Path) -> None:
    shapes = [[1, 3, 8, 8], [1, 192]]
    picture, flat = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip("ac", shapes, strict=True))
    path = save(tmp_path / "flat.onnx", [helper.make_node("Flatten", ["a"], ["c"])], [picture], [flat], [])
    with pytest.raises(DataError, match=r"output c is no stack of maps"):
        Session(path).require_maps()
