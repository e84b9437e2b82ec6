"""A kill of each verb at a chosen moment, as the campaign of kills.py does many; and the campaign's own eyes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from five_verbs import VERBS, Stage, Verb, make_stage
from kills import Case, FoundError, Kill, Killer, State, Tally, campaign, draw_case

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")

# When each verb is killed, and who: of vamc and eval there is one file, at the end.
MOMENTS = {
    "convert-image": Kill("files", 0.4, "all", resume=False, at_once=False),
    "vamc": Kill("temporary", 0, "all", resume=False, at_once=False),
    "runstream": Kill("files", 0.4, "all", resume=False, at_once=False),
    "vamp": Kill("files", 0.2, "worker", resume=False, at_once=True),
    "eval": Kill("temporary", 0, "all", resume=False, at_once=False),
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return make_stage(tmp_path_factory.mktemp("kills") / "stage")


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_killed_run_resumes_to_the_same_bytes(stage: Stage, verb: Verb) -> None:
    tally = Tally()
    Killer(stage, verb, here=True).run(Case((MOMENTS[verb.name],)), tally)
    assert tally.kills == 1 and MOMENTS[verb.name].who in tally.hits


@pytest.fixture(scope="module")
def quiet(stage: Stage) -> tuple[Killer, dict[str, bytes]]:
    """After an undisturbed run, and what that left."""
    return Killer(stage, VERBS["convert-image"], here=True), stage.left()


@pytest.fixture
def killer(stage: Stage, quiet: tuple[Killer, dict[str, bytes]]) -> Killer:
    """The same with all that it left in its place."""
    stage.fill(quiet[1])
    return quiet[0]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("npz/.0.tmp", b"", "npz/.0.tmp: left over, 0 bytes"),
        ("npz/notes", b"x", "npz/notes: left over, 1 bytes"),
        ("npz/000000000001.npz", b"PK", "npz/000000000001.npz: 2 bytes, not those of an undisturbed run"),
        ("npz/000000000001.npz", None, "npz/000000000001.npz: not there, one of 1"),
    ],
)
def test_what_the_campaign_finds(
    stage: Stage, killer: Killer, name: str, content: bytes | None, complaint: str
) -> None:
    killer.look(whole=True)
    path = stage.out / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(FoundError) as found:
        killer.look(whole=True)
    assert str(found.value) == complaint


def test_after_a_kill_temporary_files_may_lie_there_and_half_ones_may_not(stage: Stage, killer: Killer) -> None:
    (stage.out / "npz" / ".0.tmp").write_bytes(b"x")
    (stage.out / "npz" / "000000000001.npz").unlink()
    killer.look(whole=False)
    (stage.out / "npz" / "000000000001.npz").write_bytes(b"")
    with pytest.raises(FoundError, match="0 bytes, not those"):
        killer.look(whole=False)


def test_the_campaign_goes_on_where_it_was(stage: Stage, tmp_path: Path) -> None:
    verb, path = VERBS["convert-image"], tmp_path / "new" / "state.json"
    state = State(path, 1)
    state.tally(verb.name).kills, state.tally(verb.name).cases = 7, 3
    state.tally(verb.name).hits["all"] = 7
    state.save()
    tally = campaign(stage, verb, 1, 7, State(path, 1))  # as many as are wanted
    assert (tally.kills, tally.cases, tally.hits["all"]) == (7, 3, 7)
    with pytest.raises(SystemExit, match="of seed 1, expected 2"):
        State(path, 2)
    assert json.loads(path.read_text())["seed"] == 1


def test_cases_follow_from_their_numbers() -> None:
    cases = [draw_case(0, "vamp", number) for number in range(60)]
    assert cases == [draw_case(0, "vamp", number) for number in range(60)]
    kills = [kill for case in cases for kill in case.kills]
    assert {kill.who for kill in kills} == {"all", "first", "worker"}
    assert {kill.when for kill in kills} == {"time", "work", "files", "temporary"}
    assert {len(case.kills) for case in cases} == {1, 2, 3, 4}
    assert {case.resume for case in cases} == {case.again for case in cases} == {True, False}
    assert not any(case.kills[0].resume for case in cases)
