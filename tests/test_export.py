"""`hrnetae export` from end to end: a checkpoint in, a model out with which ONNX Runtime computes the same numbers."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from hrnetae.files.lock import lock_file
from hrnetae.tools import cli, export

torch = pytest.importorskip("torch", reason="export needs torch, the extra [export]")

from pose_weights import Layout, draw_weights  # noqa: E402
from pose_weights import run as reference  # noqa: E402

from hrnetae.networks.complexity import count_multiply_adds, count_parameters  # noqa: E402
from hrnetae.networks.hrnet import PoseNetwork  # noqa: E402
from hrnetae.networks.onnx_export import OPSETS, compare, to_onnx  # noqa: E402
from hrnetae.networks.untrained import ARCHITECTURES, architecture_of, untrained  # noqa: E402

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls `hrnetae export ARGUMENTS`: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = cli.main(["export", *map(str, arguments)])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


HRNET = Layout()
HIGHER = Layout(second=5)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, layout in (("hrnet", HRNET), ("higher", HIGHER)):
        torch.save(draw_weights(layout), folder / f"{name}.pth")
    return folder


def infer(path: Path, sample: NDArray[np.float32], name: str = "input.1") -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, {name: sample})]


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(9).standard_normal(shape, dtype=np.float32)


def check(path: Path, layout: Layout, sample: NDArray[np.float32], name: str = "input.1") -> None:
    expected = reference(draw_weights(layout), torch.from_numpy(sample))
    found = infer(path, sample, name)
    assert [array.shape for array in found] == [tuple(array.shape) for array in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "layout"), [("hrnet", HRNET), ("higher", HIGHER)])
def test_onnx_runtime_computes_what_the_papers_say(
    name: str, layout: Layout, files: Path, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "new" / "a.onnx"
    code, out, err = run(files / f"{name}.pth", "--shape", 1, 3, 64, 96, "--verify", "--output-file", path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert f"Successfully exported ONNX model: {path}" in lines
    assert re.fullmatch(r"0\.0\d M parameters, \d\.\d M multiply-adds at 96 x 64", lines[1])
    assert "The numerical values are same between Pytorch and ONNX" in lines
    assert float(lines[-1].split()[2].rstrip(",")) < 1e-4
    check(path, layout, noise(1, 3, 64, 96))
    assert [file.name for file in path.parent.iterdir()] == ["a.onnx"]


def test_the_model_is_as_its_users_expect_it(files: Path, tmp_path: Path, run: Run) -> None:
    """Names, static shapes, float32, folded batch norms, nothing that a quantiser stops at."""
    path = tmp_path / "a.onnx"
    assert run(files / "higher.pth", "--shape", 1, 3, 64, 96, "--output_file", path)[0] == 0
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]

    def sizes(value: Any) -> tuple[str, int, list[int]]:
        tensor = value.type.tensor_type
        return value.name, tensor.elem_type, [axis.dim_value for axis in tensor.shape.dim]

    assert [sizes(value) for value in model.graph.input] == [("input.1", onnx.TensorProto.FLOAT, [1, 3, 64, 96])]
    assert [sizes(value) for value in model.graph.output] == [
        ("output_0", onnx.TensorProto.FLOAT, [1, 10, 16, 24]),
        ("output_1", onnx.TensorProto.FLOAT, [1, 5, 32, 48]),
    ]
    operators = Counter(node.op_type for node in model.graph.node)
    assert set(operators) <= {"Conv", "ConvTranspose", "Relu", "Add", "Resize", "Constant", "Concat"}
    weights = {tensor.name for tensor in model.graph.initializer}
    assert all(set(node.input[1:]) <= weights for node in model.graph.node if node.op_type == "Conv")
    assert {one.key: one.value for one in model.metadata_props} == {
        "network": "HigherHRNet-w2",
        "joints": "5",
        "tags": "5",
    }


def test_equal_weights_stay_weights_of_their_own(tmp_path: Path, run: Run) -> None:
    """Equal tensors are traced as one with Identity nodes behind it; quantisers need them as initialisers."""
    weights = draw_weights(HRNET)
    for name, value in weights.items():
        if name.endswith((".bias", ".running_mean")):
            value.zero_()
    torch.save(weights, tmp_path / "a.pth")
    assert run(tmp_path / "a.pth", "--shape", 1, 3, 64, 64, "--verify", "--output-file", tmp_path / "a.onnx")[0] == 0
    assert "Identity" not in {node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node}


def test_a_dynamic_batch_takes_any_number_of_pictures(files: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.onnx"
    arguments = (files / "higher.pth", "--shape", 2, 3, 64, 64, "--dynamic-batch", "--input-name", "images")
    code, out, _ = run(*arguments, "--verify", "--json", "--output-file", path)
    assert code == 0
    report = json.loads(out)
    assert report["outputs"] == [["batch", 10, 16, 16], ["batch", 5, 32, 32]]
    for pictures in (1, 3):
        check(path, HIGHER, noise(pictures, 3, 64, 64), "images")


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_operator_sets_give_the_same_numbers(opset: int, files: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.onnx"
    arguments = (files / "higher.pth", "--shape", 1, 3, 64, 64, "--output-file", path)
    assert run(*arguments, "--opset-version", opset)[0] == 0
    assert onnx.load(path).opset_import[0].version == opset
    check(path, HIGHER, noise(1, 3, 64, 64))


def test_a_config_before_the_checkpoint_is_passed_over(files: Path, tmp_path: Path, run: Run) -> None:
    """As pytorch2onnx.py is called; options may stand in between."""
    config = tmp_path / "config.py"
    config.write_text("raise SystemExit('read')\n")
    path = tmp_path / "a.onnx"
    assert run(config, "--output-file", path, files / "hrnet.pth", "--shape", 1, 3, 64, 64)[0] == 0
    check(path, HRNET, noise(1, 3, 64, 64))


def test_a_name_with_udp_is_answered_with_a_note(files: Path, tmp_path: Path, run: Run) -> None:
    """UDP changes the decoding and nothing in the file."""
    named = tmp_path / "higher_UDP.pth"
    named.write_bytes((files / "hrnet.pth").read_bytes())
    code, _, err = run(named, "--shape", 1, 3, 64, 64, "--output-file", tmp_path / "a.onnx")
    assert code == 0 and "higher_UDP.pth" in err and "--use_udp" in err and len(err.splitlines()) == 1


def test_json_tells_everything(files: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.onnx"
    code, out, _ = run(files / "hrnet.pth", "--shape", 1, 3, 64, 64, "--json", "--output-file", path)
    report = json.loads(out)
    weights = draw_weights(HRNET)
    trained = [value for name, value in weights.items() if name.endswith(("weight", "bias"))]
    assert code == 0 and report.pop("multiply_adds") > 0
    assert report == {
        "network": "HRNet-w2",
        "joints": 5,
        "tags": 5,
        "parameters": sum(value.numel() for value in trained),
        "shape": [1, 3, 64, 64],
        "outputs": [[1, 10, 16, 16]],
        "model": str(path),
        "verified": False,
        "largest_difference": None,
        "largest_value": None,
    }


def test_an_untrained_network_is_the_same_for_the_same_seed(tmp_path: Path, run: Run) -> None:
    """Of real size in everything but its input; and torch's own random numbers go on as if nothing had been drawn."""
    architecture = architecture_of("w32", 14)
    assert (architecture.width, architecture.joints, architecture.higher) == (32, 14, False)
    small = type(architecture)(width=2, stem=4, joints=3, modules=(1, 1, 1))
    before = torch.random.get_rng_state()
    one, same, other = (untrained(small, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not torch.equal(one["backbone.conv1.weight"], other["backbone.conv1.weight"])


def test_an_untrained_networks_maps_stay_in_range() -> None:
    """Every convolution's output after its norm has about mean 0 and variance 1 on noise: safe for float16 and int8."""
    network = untrained(architecture_of("w32").__class__(width=4, stem=8, joints=3, modules=(1, 2, 2), higher=True))
    spreads: list[float] = []
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda _, __, out: spreads.append(float(out.std())))
    torch.manual_seed(11)
    with torch.no_grad():
        outputs = network(torch.randn(1, 3, 256, 256))
    assert min(spreads) > 0.3 and max(spreads) < 3
    assert all(1e-3 < float(maps.abs().max()) < 10 for maps in outputs)


@pytest.mark.slow
def test_published_sizes() -> None:
    """Parameters and multiply-adds of the published networks, counted without computing anything.

    28.54 M and 40.8 G for HRNet-w32 at 512 x 512; HigherHRNet's parameters: 28.6 M and 63.8 M (table 1 of its paper);
    its multiply-adds by hand from HRNet's: the transposed convolution (16 weights for each pair of channels at each
    input value), eight 3 x 3 convolutions and a 1 x 1 one on maps of twice the size. The paper has 47.9 G, and 154.3 G
    for w48 at 640 x 640: it takes the transposed convolution at each output value, four times as many.
    """
    with torch.device("meta"):
        networks = {name: PoseNetwork(architecture_of(name)) for name in ("w32", "higher_w32", "higher_w48")}
        products = {name: count_multiply_adds(networks[name], (1, 3, 512, 512)) for name in ("w32", "higher_w32")}
        large = count_multiply_adds(networks["higher_w48"], (1, 3, 640, 640))
    millions = {name: count_parameters(network) / 1e6 for name, network in networks.items()}
    assert round(millions["w32"], 2) == 28.54
    assert round(millions["higher_w32"], 1) == 28.6
    assert round(millions["higher_w48"], 1) == 63.8
    assert round(products["w32"] / 1e9, 1) == 40.8
    transposed = (32 + 34) * 32 * 16
    finer = transposed * 128**2 + (8 * 9 * 32 * 32 + 17 * 32) * 256**2
    assert products["higher_w32"] - products["w32"] == finer
    assert round((products["higher_w32"] + transposed * (256**2 - 128**2)) / 1e9, 1) == 47.9
    assert round((large + (48 + 34) * 48 * 16 * (320**2 - 160**2)) / 1e9, 1) == 154.3


# ------------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((1, 3, 500, 512), "500 x 512, expected height and width divisible by 32"),
        ((1, 3, 512, 100), "512 x 100, expected height and width divisible by 32"),
        ((1, 4, 512, 512), "4 channels, expected 3"),
        ((512, 512), "expected four positive numbers"),
        ((0, 3, 512, 512), "expected four positive numbers"),
        ((1, 3, -32, 512), "expected four positive numbers"),
    ],
)
def test_a_wrong_shape_is_one_line(
    shape: tuple[int, ...], complaint: str, files: Path, tmp_path: Path, run: Run
) -> None:
    code, out, err = run(files / "hrnet.pth", "--shape", *shape, "--output-file", tmp_path / "a.onnx")
    assert (code, out) == (1, "") and len(err.splitlines()) == 1
    assert f"--shape {' '.join(map(str, shape))}: " in err and complaint in err


def test_bad_data_is_one_line_and_leaves_what_was_there(files: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"before")
    (tmp_path / "bad.pth").write_bytes(b"no checkpoint")
    (tmp_path / "folder").mkdir()
    for arguments, complaint in (
        ((tmp_path / "bad.pth",), "bad.pth: begins with b'no check'"),
        ((tmp_path / "none.pth",), "none.pth"),
        ((tmp_path / "folder",), "folder"),
        ((files / "hrnet.pth", "--opset", "9"), "--opset 9: expected 11 to 20"),
        ((files / "higher.pth", "--joints", "7"), "5 joints, expected 7 as in --joints"),
    ):
        code, out, err = run(*arguments, "--output-file", path)
        assert (code, out) == (1, "") and len(err.splitlines()) == 1 and complaint in err
    assert path.read_bytes() == b"before"


def test_a_file_that_cannot_be_written_is_named_at_once(files: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_bytes(b"")
    code, _, err = run(files / "hrnet.pth", "--output-file", tmp_path / "file" / "a.onnx")
    assert code == 1 and len(err.splitlines()) == 1 and "a.onnx" in err


def test_a_file_that_another_run_writes(files: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "a.onnx"
    with lock_file(path):
        code, _, err = run(files / "hrnet.pth", "--shape", 1, 3, 64, 64, "--output-file", path)
    assert code == 1 and f"{path}: another run writes there" in err and not path.exists()


def test_what_does_not_compare_is_not_written(tmp_path: Path, run: Run) -> None:
    """Weights near the end of float32: the maps overflow, and nothing is equal to what is not finite."""
    weights = draw_weights(HRNET)
    weights["final_layers.0.weight"] *= 1e38
    weights["bn1.weight"] *= 1e6
    torch.save(weights, tmp_path / "a.pth")
    path = tmp_path / "a.onnx"
    code, out, err = run(tmp_path / "a.pth", "--shape", 1, 3, 64, 64, "--verify", "--output-file", path)
    assert (code, out) == (1, "") and len(err.splitlines()) == 1
    assert "a.onnx: not written" in err and not path.exists()


def test_the_comparison_sees_a_difference(files: Path) -> None:
    """A weight that is off by a hundredth in the model alone is found; the model as it is passes."""
    from hrnetae.networks.checkpoints import load_network

    network = load_network(files / "hrnet.pth")
    model = to_onnx(network, (1, 3, 64, 64))
    assert compare(network, model, (1, 3, 64, 64)).same
    for tensor in model.graph.initializer:
        if "final_layer" in tensor.name and "bias" in tensor.name:
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) + 0.01, tensor.name))
    comparison = compare(network, model, (1, 3, 64, 64))
    assert not comparison.same and comparison.difference == pytest.approx(0.01, rel=0.05)


@pytest.mark.slow
def test_random_init_by_the_command(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "w32.onnx"
    code, out, _ = run("--random-init", "w32", "--joints", 14, "--verify", "--output-file", path)
    assert code == 0
    assert "HRNet-w32, 14 joints, 14 tag maps" in out and "40.8 G multiply-adds at 512 x 512" in out
    assert "The numerical values are same between Pytorch and ONNX" in out
    assert infer(path, noise(1, 3, 512, 512))[0].shape == (1, 28, 128, 128)


def test_the_choices_of_the_command_are_those_of_the_networks() -> None:
    assert tuple(ARCHITECTURES) == export.UNTRAINED


def test_the_name_of_another_tensor_is_refused(run: Run, files: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    words = (files / "hrnet.pth", "--shape", 1, 3, 64, 64, "--output-file", path)
    assert run(*words)[0] == 0
    taken = onnx.load(path).graph.node[0].output[0]
    path.unlink()
    code, _, err = run(*words, "--input-name", taken)
    assert code == 1 and f"--input_name {taken}: the name of another tensor" in err and err.count("\n") == 1
    assert not path.exists()
