"""The report of an evaluation: what is on the page, that nothing else is needed, and that no string can break it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import BROWSER_LACKS, chromium, opened
from report_scenes import PERSON, Evaluated, drawn, evaluated, large, results_of

from hrnetae.evaluation.metrics import METRICS, keypoint_metrics
from hrnetae.evaluation.report import html as report_html
from hrnetae.evaluation.report.charts import Axis, Bars, Line, bar_chart, line_chart
from hrnetae.evaluation.report.gallery import Card, Filter, View, embedded, gallery
from hrnetae.evaluation.report.html import check_report_folder, report_page, write_report
from hrnetae.evaluation.report.markup import Markup, element, escape
from hrnetae.evaluation.report.overlay import Drawn, image, overlay
from hrnetae.evaluation.report.page import number, page, points, section
from hrnetae.files import DataError
from hrnetae.files.pictures import write_picture
from hrnetae.tools import demo_flow
from hrnetae.tools import eval as tool

PICTURES = 8
VOID = {"br", "hr", "img", "input", "link", "meta"}
HOSTILE = "<img src=x onerror=alert(1)>\"'&\x00\ud800</script><script>alert(2)</script>\u2028\u2029"


class Element:
    """An element of a parsed page, with what stands directly in it."""

    def __init__(self, name: str, attributes: dict[str, str | None], parent: Element | None) -> None:
        self.name, self.attributes, self.parent = name, attributes, parent
        self.children: list[Element] = []
        self.texts: list[str] = []

    def all(self, name: str = "", kind: str = "") -> list[Element]:
        """Everything below, by the name of the element and a class."""
        found = []
        for child in self.children:
            if name in ("", child.name) and (not kind or kind in (child.attributes.get("class") or "").split()):
                found.append(child)
            found += child.all(name, kind)
        return found

    def text(self) -> str:
        return "".join([*self.texts, *(child.text() for child in self.children)])


class Parser(HTMLParser):
    """Builds the tree, and is strict: every element is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.root = self.at = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        new = Element(tag, dict(attrs), self.at)
        self.at.children.append(new)
        if tag not in VOID:
            self.at = new

    def handle_endtag(self, tag: str) -> None:
        assert self.at.name == tag and self.at.parent is not None, f"</{tag}> closes <{self.at.name}>"
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.texts.append(data)


def parsed(text: str) -> Element:
    parser = Parser()
    parser.feed(text)
    parser.close()
    assert parser.at is parser.root
    return parser.root


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    return drawn(tmp_path_factory.mktemp("scenes"), PICTURES)


@pytest.fixture(scope="module")
def report(scenes: Evaluated) -> Element:
    job = scenes.job(
        scenes.folder / "report", picture_folder=scenes.folder / "val2017", made={"Command": {"Line": "x"}}
    )
    return parsed(report_page(job))


# ---------------------------------------------------------------------------------------------------------------------
# The whole page


def test_page_shows_the_metrics_that_pycocotools_computes(scenes: Evaluated, report: Element) -> None:
    ids = [one["id"] for one in scenes.truth.dataset["images"]]
    expected = keypoint_metrics(scenes.truth, scenes.results, ids, backend="pycocotools")
    shown = [tile.all("dd")[0].texts[0] for tile in report.all("div", "tile")]
    assert shown == ["–" if expected[name] == -1 else f"{expected[name]:.4f}" for name in METRICS]


def test_page_has_all_parts_and_a_way_to_each(report: Element) -> None:
    ids = [one.attributes["id"] for one in report.all() if "id" in one.attributes]
    assert len(set(ids)) == len(ids)
    sections = report.all("section")
    for words in ("Curves", "Errors by kind", "Joints", "Groups of persons", "Scores", "Pictures", "How it was made"):
        assert sum(one.all("h2")[0].text() == words for one in sections) == 1
    links = [one.attributes["href"] for one in report.all("nav")[0].all("a")]
    assert links == [f"#{one.attributes['id']}" for one in sections]
    for one in report.all():
        reference = one.attributes.get("aria-labelledby")
        assert reference is None or reference in ids


def test_page_is_fit_for_screen_readers(report: Element) -> None:
    page_language = report.all("html")[0].attributes["lang"]
    assert page_language == "en" and len(report.all("h1")) == 1 and len(report.all("main")) == 1
    for svg in report.all("svg"):
        if svg.parent is not None and svg.parent.name != "svg":
            assert svg.attributes["role"] == "img" and svg.attributes["aria-label"]
    for figure in report.all("figure", "chart"):
        assert figure.all("table"), "a chart without its numbers"
    for button in report.all("button"):
        assert button.attributes.get("aria-label") or button.text().strip()
    for box in report.all("input"):
        assert box.parent is not None and box.parent.name == "label" and box.parent.text().strip()
    for table in report.all("table"):
        assert table.all("caption")[0].text()


def test_page_asks_for_nothing(report: Element) -> None:
    for one in report.all():
        for name in ("src", "href", "action", "srcset", "data"):
            value = one.attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (one.name, value)
        assert not [name for name in one.attributes if name.startswith("on")]
    style = report.all("style")[0].text()
    assert "url(" not in style and "@import" not in style and "//" not in style
    script = report.all("script")
    assert len(script) == 1 and not re.search(r"fetch\(|XMLHttpRequest|import\(|https?:", script[0].text())
    (policy,) = (one.attributes["content"] for one in report.all("meta") if "http-equiv" in one.attributes)
    digest = base64.b64encode(hashlib.sha256(script[0].text().encode()).digest()).decode()
    assert policy is not None and "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy


def test_no_string_can_break_the_page(tmp_path: Path) -> None:
    dataset = {
        "images": [{"id": 1, "file_name": f"{HOSTILE}.png", "width": 64, "height": 64}],
        "annotations": [],
        "categories": [PERSON],
    }
    joints = np.c_[np.linspace(1, 60, 17), np.linspace(60, 1, 17), np.ones(17)]
    one = evaluated(tmp_path, dataset, results_of([(1, joints, 0.9)]))
    job = one.job(tmp_path, made={HOSTILE: {HOSTILE: HOSTILE}})
    text = report_page(replace(job, truth=replace(one.truth, path=Path(f"a{HOSTILE.replace('/', '')}"))))
    root = parsed(text)
    assert text.encode() and len(root.all("script")) == 1 and not root.all("img")
    safe = HOSTILE.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert safe + ".png" in {heading.text() for heading in root.all("h3")}
    assert safe in {cell.text() for cell in root.all("td")}


def test_nobody_found_and_nobody_to_find(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}]
    one = evaluated(tmp_path, {"images": images, "annotations": [], "categories": [PERSON]}, results_of([]))
    assert "nan" not in parsed(report_page(one.job(tmp_path))).all("main")[0].text().lower()


# ---------------------------------------------------------------------------------------------------------------------
# The gallery


def card_of(report: Element, name: str) -> Element:
    (card,) = (one for one in report.all("li", "card") if one.all("h3")[0].text() == name)
    return card


def test_gallery_tells_the_planted_errors(report: Element) -> None:
    lacking, strange, inverted = (card_of(report, f"{number:012d}.png") for number in (1, 2, 3))
    assert "false_negative" in (lacking.attributes["data-kinds"] or "").split()
    assert "not found" in lacking.text()
    assert len(lacking.all("g", "marks")[0].all("rect")) == 1
    assert "false_positive" in (strange.attributes["data-kinds"] or "").split()
    assert len([one for one in strange.all("g", "person") if "weak" in (one.attributes["class"] or "")]) == 1
    assert len(strange.all("g", "marks")[0].all("rect")) == 2
    assert "inversion: left wrist" in inverted.text()
    assert inverted.all("g", "marks")[0].all("circle")


def test_filters_count_the_cards(report: Element) -> None:
    cards = report.all("li", "card")
    for fieldset in report.all("fieldset"):
        name = fieldset.attributes.get("data-filter")
        for label in fieldset.all("label") if name else ():
            value = label.all("input")[0].attributes["value"]
            belong = [one for one in cards if not value or value in (one.attributes[f"data-{name}"] or "").split()]
            assert label.all("span", "count")[0].text() == str(len(belong)) and belong


def test_pictures_are_embedded_small(tmp_path: Path) -> None:
    import cv2

    rng = np.random.default_rng(1)
    write_picture(tmp_path / "a.png", rng.integers(0, 256, (1000, 2000, 3)).astype(np.uint8))
    uri = embedded(tmp_path / "a.png")
    assert uri is not None and uri.startswith("data:image/jpeg;base64,")
    data = base64.b64decode(uri.partition(",")[2], validate=True)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (360, 720, 3)


def test_pictures_that_are_not_at_hand_are_grey(scenes: Evaluated, tmp_path: Path) -> None:
    (tmp_path / "000000000002.png").write_bytes(b"no picture")
    for folder in (None, tmp_path, tmp_path / "absent"):
        root = parsed(report_page(scenes.job(tmp_path, picture_folder=folder)))
        shown = len(root.all("li", "card"))
        assert not root.all("image") and root.all("g", "person")
        assert len(root.all("rect", "canvas")) == shown
        assert f"{shown} of {shown} pictures were not at hand" in root.text()


def test_gallery_of_pairs() -> None:
    drawing = overlay((40, 30), image("data:image/jpeg;base64,AA", (40, 30), "pic-1"), [], [], "nobody")
    card = Card("t", (View(drawing, (40, 30), "fp32"), View(drawing, (40, 30), "int8")), values={"change": ["lost"]})
    root = parsed(gallery([card], [Filter("change", "Show", [("lost", "Lost"), ("won", "Won")])]))
    assert [one.text() for one in root.all("figcaption")] == ["fp32", "int8"]
    labels = [label.all("input")[0].attributes["value"] for label in root.all("fieldset")[0].all("label")]
    assert labels == ["", "lost"]  # nobody won: no such choice


def test_ground_truth_shows_beside_the_found_person_that_lies_on_it() -> None:
    """Its limbs are wider than those of the found person, with their dark edge, by half a limb at least."""
    points = np.random.default_rng(2).uniform(0, 300, (17, 3))
    root = parsed(overlay((320, 300), None, [Drawn(points)], [Drawn(points)], "two"))
    wide, found = (root.all("g", layer)[0].all("path") for layer in ("truth", "found"))
    truth = float(wide[1].attributes["stroke-width"] or 0)
    edge, limb = (float(found[place].attributes["stroke-width"] or 0) for place in (0, 2))
    assert "back" not in (wide[1].attributes["class"] or "") and edge > limb > 0
    assert truth >= edge + 0.5 * limb


def test_drawing_survives_odd_numbers() -> None:
    odd = np.ones((17, 3))
    odd[0, :2], odd[1, 0], odd[2, :2], odd[3, 2] = np.nan, np.inf, 1e30, np.nan
    offsets = {0: (1.0, 1.0), 2: (2.0, 2.0)}
    text = overlay(
        (10, 10), None, [Drawn(odd, boxed=True)], [Drawn(np.zeros((17, 3))), Drawn(odd, offsets=offsets)], "odd"
    )
    assert "nan" not in text and "inf" not in text and "e+" not in text


# ---------------------------------------------------------------------------------------------------------------------
# Charts and numbers


def share(text: str | None) -> float:
    assert text is not None and text.endswith("%")
    return float(text[:-1]) / 100


def test_bars_are_as_long_as_their_values() -> None:
    values = [4.0, 1.0, None, float("nan"), -2.0]
    root = parsed(bar_chart("t", ["a", "b", "c", "d", "e"], [Bars("x", values)], Axis(low=-4, high=8)))
    bars = root.all("rect", "bar")
    assert [share(one.attributes["width"]) for one in bars] == pytest.approx([4 / 12, 1 / 12, 2 / 12], abs=1e-4)
    assert [share(one.attributes["x"]) for one in bars] == pytest.approx([4 / 12, 4 / 12, 2 / 12], abs=1e-4)
    assert [one.text() for one in root.all("text", "value")] == ["4", "1", "–", "–", "\u22122"]
    assert [cell.text() for cell in root.all("td")] == ["4", "1", "–", "–", "\u22122"]


def test_intervals_are_drawn_and_told() -> None:
    root = parsed(bar_chart("t", ["a"], [Bars("x", [2.0], low=[1.0], high=[4.0])], Axis(low=0, high=8)))
    whole = root.all("line", "whisker")[0]
    assert (share(whole.attributes["x1"]), share(whole.attributes["x2"])) == (0.125, 0.5)
    assert root.all("td")[0].text() == "2 (1 to 4)"


def test_stacked_bars_lie_one_after_the_other() -> None:
    bars = [Bars("x", [1.0, None]), Bars("y", [2.0, 3.0])]
    root = parsed(bar_chart("t", ["a", "b"], bars, Axis(low=0, high=4), stacked=True))
    places = [(share(one.attributes["x"]), share(one.attributes["width"])) for one in root.all("rect", "bar")]
    assert places == [(0.0, 0.25), (0.25, 0.5), (0.0, 0.75)]


def test_curves_go_through_their_points() -> None:
    line = Line("l", [(0.0, 0.0), (0.5, 1.0), (0.75, None), (1.0, 0.25), (2.0, 0.5)])
    root = parsed(line_chart("t", [line], Axis("x", 0, 2), Axis("y", 0, 1)))
    drawn_points = [one.attributes["points"] for one in root.all("polyline")]
    assert drawn_points == ["0,1000 250,0", "500,750 1000,500"]
    assert [cell.text() for cell in root.all("td")] == ["0", "1", "–", "0.25", "0.5"]
    tips = [one.attributes["data-tip"] for one in root.all("rect", "strip")]
    assert tips[0] == "x 0\nl: 0" and len(tips) == 5


@pytest.mark.parametrize("values", [[0.0], [0.0, 1e-12], [3e9, -3e9], [7.0, 7.0], [0.1, 0.2, 0.3], [-5.0, -1.0], []])
def test_ticks_are_few_and_inside(values: list[float]) -> None:
    line = Line("l", list(enumerate(values)))
    root = parsed(line_chart("t", [line], Axis("x"), Axis("y")))
    for grid in root.all("line", "grid"):
        for name in ("x1", "x2", "y1", "y2"):
            place = grid.attributes[name]
            assert place == "0" or 0 <= share(place) <= 1
    assert 4 <= len(root.all("line", "grid")) <= 16


def test_numbers_in_words() -> None:
    assert number(0.12345) == "0.123" and number(-1) == number(None) == number(float("nan")) == "–"
    assert points(-0.0125, 2, sign=True) == "\u22121.25" and points(0.02, sign=True) == "+2.0" and points(None) == "–"


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("p", "<b>", Markup("<i></i>"), title='"', hidden=True, lang=None) == (
        '<p title="&quot;" hidden>&lt;b&gt;<i></i></p>'
    )
    assert escape("\ud800\x00") == "\ufffd\ufffd"
    assert parsed(page(HOSTILE, [section(HOSTILE, HOSTILE, anchor="a")])).all("h2")[0].text().startswith("<img")


# ---------------------------------------------------------------------------------------------------------------------
# Files


def test_report_is_written_whole(scenes: Evaluated, tmp_path: Path) -> None:
    index = write_report(scenes.job(tmp_path / "new" / "report"))
    assert sorted(path.name for path in index.parent.iterdir()) == ["analysis.json", "index.html"]
    numbers = json.loads((index.parent / "analysis.json").read_text())
    assert numbers["metrics"]["AP"] == scenes.analysis.metrics["AP"] and parsed(index.read_text(encoding="utf-8"))


def test_failure_leaves_the_earlier_report(scenes: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = write_report(scenes.job(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_: object) -> str:
        raise OSError("no more")

    monkeypatch.setattr(report_html, "report_page", fail)
    with pytest.raises(OSError, match="no more"):
        write_report(scenes.job(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before and index.is_file()


def test_a_folder_that_cannot_be_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file: a file, expected a folder"):
        check_report_folder(tmp_path / "file")
    (tmp_path / "r" / "index.html").mkdir(parents=True)
    with pytest.raises(DataError, match=r"index\.html: a folder"):
        check_report_folder(tmp_path / "r")
    check_report_folder(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_large_report_is_small_and_opens(tmp_path: Path) -> None:
    """5,000 pictures: at most 25 MB, and it opens where there is a browser; how fast, docs/report.md tells."""
    one = large(tmp_path, 5000)
    index = write_report(one.job(tmp_path / "out", picture_folder=tmp_path / "val2017"))
    assert index.stat().st_size < 25e6 and index.read_text(encoding="utf-8").count("<image ") >= 20
    if BROWSER_LACKS is None:
        with chromium() as browser, opened(browser, index) as shown:
            shown.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


# ---------------------------------------------------------------------------------------------------------------------
# The command


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> demo_flow.Folder:
    """A few drawn pictures and what the bundled network made of them."""
    folder = demo_flow.Folder(tmp_path_factory.mktemp("flow"))
    drawn(folder.root, 4)
    (folder.root / "truth.json").rename(folder.ground_truth)
    folder.calibration.mkdir()
    (folder.calibration / "one.png").write_bytes((folder.pictures / "000000000001.png").read_bytes())
    demo_flow.convert_pictures(folder)
    demo_flow.write_settings(folder)
    demo_flow.run_variant(folder, "fp32")
    return folder


def test_eval_writes_a_report(flow: demo_flow.Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data_root", str(flow.root), "--output_data", str(flow.outputs("fp32"))]
    argv = [*data, "--datalist_txt", str(flow.datalist), "--report", str(tmp_path / "a b"), "--json"]
    assert tool.main(argv) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["report"] == str(tmp_path / "a b" / "index.html")
    root = parsed(Path(said["report"]).read_text(encoding="utf-8"))
    made = root.all("section")[-1].text()
    assert hashlib.sha256(flow.ground_truth.read_bytes()).hexdigest() in made
    assert hashlib.sha256(flow.datalist.read_bytes()).hexdigest() in made
    assert f"--report '{tmp_path}/a b'" in made and "ONNX Runtime" in made and "detection_threshold" in made
    assert root.all("div", "tile")[0].all("dd")[0].texts[0] == f"{said['metrics']['AP']:.4f}"
    assert len(root.all("image")) == len(root.all("li", "card")) > 0


def test_eval_says_where_the_report_is(
    flow: demo_flow.Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--data_root", str(flow.root), "--output_data", str(flow.outputs("fp32"))]
    argv += ["--datalist_txt", str(flow.datalist)]
    assert tool.main([*argv, "--report", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {tmp_path / 'index.html'}"
    assert tool.main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] is None


def test_eval_refuses_a_report_folder_before_the_work(
    flow: demo_flow.Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tool, "evaluate", lambda *_: pytest.fail("worked first"))
    argv = ["--data_root", str(flow.root), "--output_data", str(flow.outputs("fp32"))]
    assert tool.main([*argv, "--report", str(tmp_path / "file")]) == 1
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and "expected a folder for the report" in err
