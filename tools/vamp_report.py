"""What vamp prints: the vendor's lines with the figures that were measured, and the same as data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnetae.runtime.processes import ProcessReport
from hrnetae.runtime.sessions import Tensor
from hrnetae.runtime.vamp import Vamp, VampRun, all_failed

_DTYPES = {"float32": "f4", "float16": "f2"}
_NOTHING = "n/a"


def model_lines(vamp: Vamp) -> str:
    """The model's names and shapes."""
    network = vamp.network
    lines = [
        f"Dump model info: {vamp.job.model}",
        f"[backend]: {vamp.backend}",
        f"[max_batch_size_]: {'any' if network.batch is None else network.batch}",
        "[input_count]: 1",
        f"input[0]: {_tensor(network.input, 1)}",
        f"[output_count]: {len(network.outputs)}",
    ]
    lines += [f"output[{number}]: {_tensor(output, 0)}" for number, output in enumerate(network.outputs)]
    return "\n".join(lines)


def run_lines(vamp: Vamp, run: VampRun, wanted: Sequence[float], verbose: bool) -> str:
    """The block of one number of instances. What a processor has no answer for is n/a."""
    memory = run.memory
    lines = [
        f"*** number of instances in each device: {run.instances} ****",
        f"  backend: {vamp.backend}",
        f"  devices: {list(vamp.devices)}",
        f"  number of processes: {run.processes}",
        f"  threads per instance: {run.threads}",
        f"  batch size: {vamp.job.batch_size}",
        f"  samples: {run.samples}",
        f"  Inference start time: [{_clock(run.begun)}]",
        f"  Inference end time: [{_clock(run.ended)}]",
        f"  forwad time (s): {run.report.seconds:.5f}",
        f"  throughput (qps): {run.throughput:.4f}",
        f"  ai utilize (%): {_NOTHING}",
        f"  cpu utilize (%): {100 * run.cpu_share:.2f}",
        f"  card power (W): {_NOTHING}",
        f"  temperature (°C): {_NOTHING}",
        f"  die memory used (MB): {_NOTHING}",
        f"  peak host memory (MB): {_NOTHING if memory is None else f'{memory / 1e6:.2f}'}",
        *_latency_lines("e2e latency (us)", run.end_to_end, wanted),
        *_latency_lines("model latency (us)", run.model, wanted),
    ]
    if verbose:
        for number, process in enumerate(run.report.processes):
            lines += [f"  process {number}:", *(f"    {name}: {value}" for name, value in _process(process).items())]
    return "\n".join(lines)


def as_data(vamp: Vamp, runs: Sequence[VampRun], wanted: Sequence[float], verbose: bool) -> dict[str, Any]:
    """Everything, for JSON and YAML. Figures that a processor has no answer for are None."""
    network = vamp.network
    return {
        "backend": vamp.backend,
        "model": {
            "prefix": vamp.job.model,
            "file": str(network.onnx),
            "max_batch_size": network.batch,
            "inputs": [_tensor_data(network.input)],
            "outputs": [_tensor_data(output) for output in network.outputs],
        },
        "runs": [_run_data(vamp, run, wanted, verbose) for run in runs],
        "datalist": None if vamp.job.datalist is None else str(vamp.job.datalist),
        "path_output": None if vamp.job.path_output is None else str(vamp.job.path_output),
        "already_finished": vamp.finished,
        "failed": [
            {"line": sample + 1, "input": vamp.input_name(sample), "error": reason}
            for sample, reason in all_failed(runs)
        ],
    }


def latency_us(seconds: NDArray[np.float64], wanted: Sequence[float]) -> dict[str, int]:
    """Mean, extremes and percentiles in whole microseconds; empty where nothing was measured."""
    if not seconds.size:
        return {}
    micro = seconds * 1e6
    figures = {"avg": micro.mean(), "min": micro.min(), "max": micro.max()}
    figures |= {f"p{rank:g}": np.percentile(micro, rank) for rank in wanted}
    return {name: round(float(value)) for name, value in figures.items()}


def _latency_lines(title: str, seconds: NDArray[np.float64], wanted: Sequence[float]) -> list[str]:
    figures = latency_us(seconds, wanted)
    names = ["avg", "min", "max", *(f"p{rank:g}" for rank in wanted)]
    return [f"  {title}:", *(f"    {name} latency: {figures.get(name, _NOTHING)}" for name in names)]


def _run_data(vamp: Vamp, run: VampRun, wanted: Sequence[float], verbose: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "instances": run.instances,
        "devices": list(vamp.devices),
        "processes": run.processes,
        "threads_per_instance": run.threads,
        "batch_size": vamp.job.batch_size,
        "samples": run.samples,
        "start_time": _clock(run.begun),
        "end_time": _clock(run.ended),
        "forward_time_s": round(run.report.seconds, 6),
        "throughput_qps": round(run.throughput, 4),
        "ai_utilize_percent": None,
        "cpu_utilize_percent": round(100 * run.cpu_share, 2),
        "card_power_w": None,
        "temperature_c": None,
        "die_memory_mb": None,
        "peak_host_memory_mb": None if run.memory is None else round(run.memory / 1e6, 2),
        "e2e_latency_us": latency_us(run.end_to_end, wanted),
        "model_latency_us": latency_us(run.model, wanted),
    }
    if verbose:
        data["per_process"] = [_process(process) for process in run.report.processes]
    return data


def _process(process: ProcessReport) -> dict[str, Any]:
    return {
        "instances": process.sessions,
        "samples": process.measured.samples,
        "seconds": round(process.seconds, 6),
        "throughput_qps": round(process.measured.samples / process.seconds, 4),
        "cpu_seconds": round(process.cpu_seconds, 4),
    }


def _tensor(tensor: Tensor, skipped: int) -> str:
    """As the vendor's tool prints it: inputs without the batch axis, outputs with it."""
    shape = ",".join("?" if length is None else str(length) for length in tensor.shape[skipped:])
    return f"[{shape}], dtype:{_DTYPES[tensor.dtype]}"


def _tensor_data(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
