"""The campaign runner of the fuzzers: a great many cases of a target, in worker processes that may die of them.

A case follows from the target, the seed and its number alone. A find is what `Target.run` says is wrong, anything that
it raises, a worker that dies, a case that hangs, and memory beyond the limit. A campaign goes on after each of them.
The state of a campaign is a small file: killed at any moment, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import mmap
import multiprocessing
import os
import resource
import signal
import struct
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

_PROCESSES = multiprocessing.get_context("fork")
_IDLE = -1  # in place of a case's number
_LONGEST_CHUNK = 4096  # cases that a worker takes at a time
_CHUNK_SECONDS = 0.5  # what a chunk should take
_POLL = 0.2  # seconds
_SAVE_SECONDS = 1.0  # between two writings of the state
_SAY_SECONDS = 10.0
_PATIENCE = 6  # a case that waits in place of working, or gets no processor, may take so many times its limit
_SHOWN = 20  # finds
_DEAD_STARTS = 3  # in a row


class Target(Protocol):
    """What is fuzzed."""

    name: str

    def run(self, seed: int, number: int) -> str:
        """Does one case. Empty, or what was wrong in one line; what it raises is wrong, too."""


@dataclass(frozen=True)
class Limits:
    """What a case may take: seconds, and bytes of resident memory above what its worker began with."""

    seconds: float = 5.0
    memory: int = 1 << 30


@dataclass(frozen=True)
class Find:
    target: str
    seed: int
    case: int
    what: str


@dataclass
class Campaign:
    """How far the cases of one target and seed are.

    next: the first case that nobody was given. pending: first and last + 1 of the cases given out and not done.
    """

    target: str
    seed: int
    next: int = 0
    pending: list[tuple[int, int]] = field(default_factory=list)
    finds: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def done(self) -> int:
        return self.next - sum(end - first for first, end in self.pending)

    def to_dict(self) -> dict[str, Any]:
        finds = [asdict(Find(self.target, self.seed, case, what)) for case, what in sorted(self.finds.items())]
        return {
            "target": self.target,
            "seed": self.seed,
            "next": self.next,
            "pending": self.pending,
            "done": self.done,
            "seconds": round(self.seconds, 1),
            "finds": finds,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Campaign:
        pending = [(first, end) for first, end in values["pending"]]
        finds = {find["case"]: find["what"] for find in values["finds"]}
        return cls(values["target"], values["seed"], values["next"], pending, finds, values["seconds"])


class State:
    """The campaigns of a file; of none without a path, and then nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._campaigns: dict[tuple[str, int], Campaign] = {}
        if path is not None and path.exists():
            for values in json.loads(path.read_text(encoding="utf-8"))["campaigns"]:
                campaign = Campaign.from_dict(values)
                self._campaigns[campaign.target, campaign.seed] = campaign

    def campaign(self, target: str, seed: int) -> Campaign:
        """The one of this target and seed; a new one where there was none."""
        return self._campaigns.setdefault((target, seed), Campaign(target, seed))

    def save(self) -> None:
        """Whole or not at all."""
        if self._path is None:
            return
        text = json.dumps({"campaigns": [one.to_dict() for one in self._campaigns.values()]}, indent=1)
        beside = self._path.with_name(f"{self._path.name}.new")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(f"{text}\n", encoding="utf-8")
        beside.replace(self._path)


def run_case(target: Target, seed: int, number: int) -> str:
    """One case in this process: empty, or what was wrong, be it said or raised."""
    try:
        return target.run(seed, number)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a case raises is a find, also SystemExit
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        return f"raised {type(error).__name__}: {' '.join(str(error).split())[:300]} ({where})"


# --------------------------------------------------------------------------------------------------------- the worker


def _work(target: Target, seed: int, limits: Limits, pipe: Connection, at: mmap.mmap) -> None:
    """A worker: takes chunks of cases until there are no more. It leaves after a case that took too much memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    _limit_address_space(2 * limits.memory)
    start = peak = _peak_memory()
    parent = os.getppid()
    while True:
        try:
            while not pipe.poll(1):  # of a parent that was killed other workers may hold the pipe's other end open
                if os.getppid() != parent:
                    return
            first, end = pipe.recv()
        except EOFError:
            return
        number, before = first, time.perf_counter()
        for number in range(first, end):
            _write_number(at, number)
            what = run_case(target, seed, number)
            higher = _peak_memory()
            over = higher - start > limits.memory
            if over:
                memory = f"memory {(higher - start) >> 20} MiB above the start, {(higher - peak) >> 20} by this case"
                what = f"{what}; {memory}" if what else memory
            peak = higher
            if what:
                pipe.send(("find", number, what))
            if over:
                break
        _write_number(at, _IDLE)
        pipe.send(("done", number + 1, time.perf_counter() - before))
        if over:
            return


def _limit_address_space(more: int) -> None:
    """No more than so many bytes above what this process has now: what takes more fails, and the machine lives on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * mmap.PAGESIZE + more, hard))


def _peak_memory() -> int:
    """The most bytes that were ever resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _write_number(at: mmap.mmap, number: int) -> None:
    at[:8] = struct.pack("q", number)


class _Worker:
    """A worker as its parent sees it."""

    def __init__(self, target: Target, seed: int, limits: Limits) -> None:
        self._at = mmap.mmap(-1, mmap.PAGESIZE)  # shared: the case that the worker is at
        _write_number(self._at, _IDLE)
        self.pipe, theirs = _PROCESSES.Pipe()
        self.process = _PROCESSES.Process(target=_work, args=(target, seed, limits, theirs, self._at), daemon=True)
        self.process.start()
        theirs.close()
        self.chunk: tuple[int, int] | None = None
        self.leaving = False
        self._limit = limits.seconds
        self._watched = (_IDLE, 0.0, 0.0)  # a case, and when it was first seen, by the clock and by the processor

    @property
    def case(self) -> int | None:
        """The case that it is at; None between two chunks."""
        (number,) = struct.unpack("q", self._at[:8])
        return None if number == _IDLE else number

    def give(self, chunk: tuple[int, int]) -> None:
        self.chunk = chunk
        with suppress(BrokenPipeError):  # dead, which the next look at it shows
            self.pipe.send(chunk)

    @property
    def dead(self) -> bool:
        return not self.process.is_alive()

    def hangs_at(self) -> int | None:
        """The case that it is at for too long, by its processor time or by far more of the clock's; None: none."""
        number, now, used = self.case, time.monotonic(), self._processor_time()
        if number is None or number != self._watched[0]:
            self._watched = (_IDLE if number is None else number, now, used)
            return None
        too_long = used - self._watched[2] > self._limit or now - self._watched[1] > _PATIENCE * self._limit
        return number if too_long else None

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def end(self) -> None:
        """Ends it, whatever it does; for good also where it is gone already."""
        self.kill()
        self.pipe.close()

    def _processor_time(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------------------- the campaign


class _Run:
    """Cases given to workers, what they say taken down, the dead replaced."""

    def __init__(
        self, target: Target, campaign: Campaign, cases: int, processes: int, limits: Limits, save: Callable[[], None]
    ) -> None:
        self._target, self._campaign, self._cases, self._limits = target, campaign, cases, limits
        self._again = deque(campaign.pending)  # given out by an earlier run, or to a worker that died
        self._size = 1
        self._dead_starts = 0
        self._save, self._saved, self._said = save, time.monotonic(), time.monotonic()
        self._before = campaign.done
        self._start = time.monotonic()
        self._workers = [_Worker(target, campaign.seed, limits) for _ in range(processes)]

    def run(self) -> None:
        try:
            for worker in self._workers:
                self._feed(worker)
            while any(worker.chunk for worker in self._workers):
                self._step()
        finally:
            for worker in self._workers:
                worker.end()
            self._save_now()
            self._say()

    def _step(self) -> None:
        busy = [worker for worker in self._workers if worker.chunk]
        wait([item for worker in busy for item in (worker.pipe, worker.process.sentinel)], _POLL)
        for worker in busy:
            hung = worker.hangs_at()
            if hung is not None:
                worker.kill()
            dead = worker.dead  # looked at first: what it said before that is all there
            self._listen(worker)
            if dead and worker.chunk:
                self._bury(worker, hung)
            if not worker.chunk:
                self._feed(self._replace(worker) if dead or worker.leaving else worker)
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self._save_now()
        if time.monotonic() - self._said > _SAY_SECONDS:
            self._say()

    def _listen(self, worker: _Worker) -> None:
        """Takes in all that a worker has said."""
        try:
            while worker.chunk and worker.pipe.poll():
                kind, number, what = worker.pipe.recv()
                if kind == "find":
                    self._find(number, what)
                else:
                    self._done(worker, number, what)
        except (EOFError, ConnectionResetError):  # dead, which the next look at it shows
            worker.process.join()

    def _done(self, worker: _Worker, number: int, seconds: float) -> None:
        assert worker.chunk is not None
        first, end = worker.chunk
        self._return(worker, number)
        worker.leaving = number < end  # it had too much memory
        self._dead_starts = 0
        self._campaign.seconds += seconds
        if seconds < _CHUNK_SECONDS / 2 and end - first >= self._size:
            self._size = min(2 * self._size, _LONGEST_CHUNK)
        elif seconds > 2 * _CHUNK_SECONDS:
            self._size = max(1, self._size // 2)

    def _bury(self, worker: _Worker, hung: int | None) -> None:
        """The case that a worker died of is a find, and the cases behind it are given out again."""
        assert worker.chunk is not None
        case, what = worker.case, f"the worker died of {_cause(worker.process)}"
        if hung is not None and hung != case:  # done at the last moment: no hang
            self._return(worker, worker.chunk[1] if case is None else case)
        elif case is not None:
            self._find(case, what if hung is None else f"hangs: over {self._limits.seconds:g} s")
            self._return(worker, case + 1)
        else:
            self._dead_starts += 1
            if self._dead_starts >= _DEAD_STARTS:
                sys.exit(f"{self._target.name}: {what} outside of any case, {_DEAD_STARTS} times")
            self._return(worker, worker.chunk[0])

    def _return(self, worker: _Worker, number: int) -> None:
        """Of the worker's chunk the cases from ``number`` on have to be done yet."""
        assert worker.chunk is not None
        (first, end), worker.chunk = worker.chunk, None
        self._campaign.pending.remove((first, end))
        if number < end:
            self._campaign.pending.append((number, end))
            self._again.append((number, end))

    def _replace(self, worker: _Worker) -> _Worker:
        worker.end()
        fresh = _Worker(self._target, self._campaign.seed, self._limits)
        self._workers[self._workers.index(worker)] = fresh
        return fresh

    def _feed(self, worker: _Worker) -> None:
        if self._again:
            chunk = self._again.popleft()
        elif self._campaign.next < self._cases:
            chunk = (self._campaign.next, min(self._campaign.next + self._size, self._cases))
            self._campaign.next = chunk[1]
            self._campaign.pending.append(chunk)
        else:
            return
        worker.give(chunk)

    def _find(self, case: int, what: str) -> None:
        if case not in self._campaign.finds and len(self._campaign.finds) < _SHOWN:
            print(f"FOUND --target {self._target.name} --seed {self._campaign.seed} --case {case}: {what}", flush=True)
        self._campaign.finds[case] = what

    def _save_now(self) -> None:
        self._saved = time.monotonic()
        self._save()

    def _say(self) -> None:
        self._said = time.monotonic()
        done, elapsed = self._campaign.done, max(self._said - self._start, 1e-3)
        rate = (done - self._before) / elapsed
        name, finds = self._target.name, len(self._campaign.finds)
        print(f"{name}: {done}/{max(self._cases, done)} cases, {rate:.0f}/s, {finds} finds", flush=True)


def _cause(process: Any) -> str:
    process.join()
    code = process.exitcode
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def run_campaign(target: Target, seed: int, cases: int, processes: int, state: State, limits: Limits) -> Campaign:
    """All cases from 0 to ``cases`` - 1 that the state does not have yet; says how it goes."""
    campaign = state.campaign(target.name, seed)
    _Run(target, campaign, cases, processes, limits, state.save).run()
    return campaign


def main(targets: Mapping[str, Callable[[], Target]], arguments: Sequence[str] | None = None) -> int:
    """The command. targets: by name, what makes each. 0 where nothing was found."""
    parser = argparse.ArgumentParser(description="Hostile inputs, seeded and resumable. Finds are printed and kept.")
    parser.add_argument("--target", action="append", choices=tuple(targets), help="again for several (default: all)")
    parser.add_argument("--cases", type=int, default=1000, help="of each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=1, help="at a time (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="kept in this file, and gone on with where it exists")
    parser.add_argument("--case", type=int, help="this one alone, in this process")
    parser.add_argument("--seconds", type=float, default=5.0, help="a case may take (default: %(default)s)")
    parser.add_argument("--memory", type=int, default=1024, help="MiB a case may take (default: %(default)s)")
    options = parser.parse_args(arguments)
    chosen: Iterable[str] = options.target or targets
    if options.case is not None:
        complaints = [run_case(targets[name](), options.seed, options.case) for name in chosen]
        for name, what in zip(chosen, complaints, strict=True):
            print(f"{name}: case {options.case}: {what or 'nothing wrong'}")
        return 1 if any(complaints) else 0
    state, limits = State(options.state), Limits(options.seconds, options.memory << 20)
    finds = 0
    for name in chosen:
        campaign = run_campaign(targets[name](), options.seed, options.cases, options.processes, state, limits)
        finds += len(campaign.finds)
    print(f"{finds} finds")
    return 1 if finds else 0
