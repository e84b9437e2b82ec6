"""The campaign of kills: five verbs killed at random moments, then resumed, until the files are those of a quiet run.

    python tests/kills.py --kills 60 --seed 0 --state build/kills.json

A case is a chain of one to four runs of a verb that are killed (SIGKILL), then one that may end, nearly always with
--resume. Some begin where an earlier run left its files, which the first run makes anew. When and whom the kills
strike follows from the seed, the verb and the case's number: at a moment drawn from the time that an undisturbed run
takes, or from that after it wrote its first file, or as soon as the n-th file has its name, or while the next is being
written; all processes of the run, the first one alone, or a worker. What a kill hits hangs on the machine's mood all
the same: a case that found something need not find it again.

After each kill no file may lie under a name of its own that an undisturbed run does not have to the same bytes; after
the last run all files must be those, and there must be no other: no temporary file, no lock. No process may be left.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from five_verbs import VERBS, Run, Stage, Verb, call, is_hidden, make_stage

LONGEST = 4  # kills in a row
RESUMED = 0.85  # share of the runs after a kill that resume; the others begin anew
AGAIN = 0.25  # share of the cases that begin with the files of an earlier run
WHEN = ("time", "work", "files", "temporary")
WHO = ("all", "first", "worker")


class FoundError(Exception):
    """Something that must not be, in one line."""


@dataclass(frozen=True)
class Kill:
    """One SIGKILL to come.

    when: "time", at a share of an undisturbed run's time; "work", the same from its first file on; "files", at a share
    of its files, or "temporary", when there is a hidden one beside them.
    who: "all" processes of the run, the "first" one alone, or one "worker", where there are any.
    resume: whether the run that is killed resumes. at_once: the next run does not wait for the workers' end.
    """

    when: str
    share: float
    who: str
    resume: bool
    at_once: bool


@dataclass(frozen=True)
class Case:
    """Kills in a row. resume: whether the last run resumes. again: the files of an earlier run are there already."""

    kills: tuple[Kill, ...]
    resume: bool = True
    again: bool = False


@dataclass
class Tally:
    """What became of a verb's cases.

    cases: that are done. kills: that hit a run; missed: that came after its end. hits: who was hit, and with what
    there already ("nothing", "some files", "every file"). finds: one line each.
    """

    cases: int = 0
    kills: int = 0
    missed: int = 0
    seconds: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    finds: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        hits = ", ".join(f"{what} {count}" for what, count in sorted(self.hits.items()))
        counts = f"{self.kills} kills in {self.cases} cases, {self.missed} came too late"
        return f"{counts}; {hits}; {len(self.finds)} finds, {self.seconds:.0f} s"


def draw_case(seed: int, verb: str, number: int) -> Case:
    """A case of the campaign."""
    drawn = random.Random(f"{seed} {verb} {number}")
    again = drawn.random() < AGAIN
    kills = [
        Kill(
            when=drawn.choice(("time", "temporary") if again and position == 0 else WHEN),
            share=drawn.random(),
            who=drawn.choice(WHO) if verb == "vamp" else "all",
            resume=position > 0 and drawn.random() < RESUMED,
            at_once=drawn.random() < 0.5,
        )
        for position in range(drawn.randint(1, LONGEST))
    ]
    return Case(tuple(kills), drawn.random() < RESUMED, again)


# ------------------------------------------------------------------------------------------------------------ one verb


class Killer:
    """Kills a verb on a stage, and looks at what is left.

    want: the files of an undisturbed run. startup, seconds: what it took until its first file, and in all.
    here: runs that nobody kills are made in this process, which saves their start.
    """

    def __init__(self, stage: Stage, verb: Verb, here: bool = False) -> None:
        self._stage, self._verb, self._here = stage, verb, here
        self._runs: list[Run] = []
        self.want, self.startup, self.seconds = self._measure()

    def _measure(self) -> tuple[dict[str, bytes], float, float]:
        self._stage.clear()
        begin = time.monotonic()
        if self._here:
            self._finish(resume=False)
            return self._stage.left(), 0.0, time.monotonic() - begin
        with Run(self._stage, self._verb) as run:
            run.wait_for(lambda: bool(self._stage.names()))
            startup = time.monotonic() - begin
            if run.end() != 0:
                raise FoundError(f"exit {run.end()} of an undisturbed run: {run.errors!r}")
            return self._stage.left(), startup, time.monotonic() - begin

    def run(self, case: Case, tally: Tally) -> None:
        """One case. Errors: FoundError."""
        self._stage.fill(self.want if case.again else {})
        self._runs.clear()
        try:
            for kill in case.kills:
                hit = self._disturb(kill, tally)
                self.look(whole=not hit)
                if not hit:
                    break
            self._finish(case.resume)
            self.look(whole=True)
        finally:
            for run in self._runs:
                run.clean_up()

    def _start(self, resume: bool) -> Run:
        run = Run(self._stage, self._verb, *_options(resume))
        self._runs.append(run)
        return run

    def _disturb(self, kill: Kill, tally: Tally) -> bool:
        """Whether the run was hit, and so did not come to its end."""
        run = self._start(kill.resume)
        who, there = "", ""
        if self._wait(run, kill):
            there = self._there()
            who = strike(run, kill.who)
        code = run.end()
        if code != 0 and who:
            tally.kills += 1
            tally.hits.update((who, there))
        else:
            tally.missed += 1
        if not kill.at_once:
            _expect_nobody(run)
        if code not in (0, -signal.SIGKILL, 1 if who == "worker" else 0) or "Traceback" in run.errors:
            raise FoundError(f"exit {code} after {who or 'no'} kill: {run.errors!r}")
        return code != 0

    def _wait(self, run: Run, kill: Kill) -> bool:
        """Until the moment of a kill. Whether the run goes on still."""
        if kill.when == "time":
            return run.wait_until(time.monotonic() + kill.share * self.seconds)
        if kill.when == "work":
            work = kill.share * (self.seconds - self.startup)
            return run.wait_for(lambda: bool(self._stage.names())) and run.wait_until(time.monotonic() + work)
        count = int(kill.share * len(self.want))
        if kill.when == "files":
            return run.wait_for_files(1 + count)
        return run.wait_for_files(count) and run.wait_for_temporary()

    def _there(self) -> str:
        count = sum(not is_hidden(name) for name in self._stage.names())
        return "nothing" if count == 0 else "some files" if count < len(self.want) else "every file"

    def _finish(self, resume: bool) -> None:
        if self._here:
            code, _, errors = call(*self._verb.alone(self._stage, *_options(resume)))
        else:
            run = self._start(resume)
            code, errors = run.end(), run.errors
        if code != 0:
            raise FoundError(f"exit {code} of the run that was not killed: {errors!r}")
        for each in self._runs:
            _expect_nobody(each)

    def look(self, whole: bool) -> None:
        """Compare what lies there. whole: as after the end; else hidden files and absent ones are no find."""
        found = self._stage.left()
        for path, content in found.items():
            if path not in self.want:
                if whole or not is_hidden(path):
                    raise FoundError(f"{path}: left over, {len(content)} bytes")
            elif content != self.want[path]:
                raise FoundError(f"{path}: {len(content)} bytes, not those of an undisturbed run")
        absent = self.want.keys() - found.keys()
        if whole and absent:
            raise FoundError(f"{min(absent)}: not there, one of {len(absent)}")


def strike(run: Run, who: str) -> str:
    """Kill all processes of a run, the first one alone, or a worker, if it has any. Returns who was killed."""
    workers = run.workers() if who == "worker" else []
    if workers:
        run.signal(signal.SIGKILL, workers[0])
        return "worker"
    if who == "all":
        run.signal_all(signal.SIGKILL)
        return "all"
    run.signal(signal.SIGKILL)
    return "first"


def _options(resume: bool) -> list[str]:
    return ["--resume"] if resume else []


def _expect_nobody(run: Run) -> None:
    if not run.wait_for_nobody():
        raise FoundError(f"processes {run.members()} do not end")


# ------------------------------------------------------------------------------------------------------------- the run


class State:
    """How far the campaign is, in a file that is there whole; without a path nothing is kept."""

    def __init__(self, path: Path | None, seed: int) -> None:
        self._path, self._seed = path, seed
        self._tallies: dict[str, Tally] = {}
        if path is not None and path.exists():
            kept = json.loads(path.read_text())
            if kept["seed"] != seed:
                sys.exit(f"{path}: of seed {kept['seed']}, expected {seed}")
            for name, values in kept["verbs"].items():
                self._tallies[name] = Tally(**{**values, "hits": Counter(values["hits"])})

    def tally(self, verb: str) -> Tally:
        return self._tallies.setdefault(verb, Tally())

    def save(self) -> None:
        if self._path is None:
            return
        content = {"seed": self._seed, "verbs": {name: vars(tally) for name, tally in self._tallies.items()}}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.write_text(json.dumps(content, indent=1) + "\n")
        beside.replace(self._path)


def campaign(stage: Stage, verb: Verb, seed: int, kills: int, state: State) -> Tally:
    """Cases until so many kills have hit. A find is printed, and what lay there is kept beside the stage."""
    tally = state.tally(verb.name)
    killer = Killer(stage, verb)
    while tally.kills < kills:
        begin, number = time.monotonic(), tally.cases
        try:
            killer.run(draw_case(seed, verb.name, number), tally)
        except FoundError as error:
            kept = stage.root.parent / f"{verb.name}-{number}"
            shutil.copytree(stage.out, kept, dirs_exist_ok=True)
            tally.finds.append(f"case {number}: {error}")
            print(f"FOUND {verb.name} --case {number}: {error} (kept: {kept})", flush=True)
        tally.cases += 1
        tally.seconds += time.monotonic() - begin
        state.save()
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if every case ended as an undisturbed run does."""
    parser = argparse.ArgumentParser(description="Five verbs killed at random moments, then resumed.")
    parser.add_argument("--verb", action="append", choices=VERBS, help="again for several (default: all)")
    parser.add_argument("--kills", type=int, default=60, help="that hit, of each verb (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="kept in this file, and gone on with where it exists")
    parser.add_argument("--work", type=Path, help="folder for the inputs and for finds (default: a temporary one)")
    parser.add_argument("--case", type=int, help="this one alone, of each verb")
    options = parser.parse_args(arguments)
    work = options.work or Path(tempfile.mkdtemp(prefix="hrnetae-kills-"))
    shutil.rmtree(work / "stage", ignore_errors=True)
    stage = make_stage(work / "stage")
    state = State(options.state, options.seed)
    finds = 0
    for name in options.verb or VERBS:
        if options.case is not None:
            Killer(stage, VERBS[name]).run(draw_case(options.seed, name, options.case), Tally())
            continue
        tally = campaign(stage, VERBS[name], options.seed, options.kills, state)
        print(f"{name}: {tally}", flush=True)
        finds += len(tally.finds)
    shutil.rmtree(work / "stage")
    if not finds and options.work is None:
        work.rmdir()
    return 1 if finds else 0


if __name__ == "__main__":
    raise SystemExit(main())
