"""The report of an experiment: everything in one file, and nothing in it that a browser would run."""

import math
import re
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from bus.contracts.archive import PictureRecord, RatingRecord, Records, ResultRecord
from bus.contracts.definition import Block, Variable
from bus.contracts.fields import VariantValue
from bus.contracts.messages import ImageRef, RecommendationUpdated, ValueEstimate
from learning_service.recommendation.evidence import Score
from tests.support.factories import definition
from variantbus.reports.export import Exported
from variantbus.reports.html import media_type_of, report_html
from variantbus.reports.plot import LARGEST, lines_of, scale_of
from variantbus.reports.text import Beginning

PNG = b"\x89PNG\r\n\x1a\nrest"
EVIL = '<img src=x onerror="alert(1)">'
VOID = {"meta", "img", "line", "circle", "rect", "br"}


class Reader(HTMLParser):
    """Collects the tags with their attributes, and the text; checks that each tag is closed."""

    def __init__(self) -> None:
        """Start with nothing read."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag that is closed at once."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """See that it is the one that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Record text."""
        self.text += data


def estimate(value: VariantValue, mean: float | None = None) -> ValueEstimate:
    """Return what is known of a value."""
    if mean is None:
        return ValueEstimate(value=value, mean=None, low=None, high=None, n=0, p_best=None)
    return ValueEstimate(value=value, mean=mean, low=mean - 0.5, high=mean + 0.5, n=1, p_best=0.4)


def example(values: list[VariantValue], objective: str = "stars") -> tuple[Exported, RecommendationUpdated]:
    """Return an experiment of which the first value has a picture that is rated, and the second one a failure."""
    picture = ImageRef(sha256="ab" * 32, path="x.png", width=64, height=64, seed=100)
    results = [
        ResultRecord(
            job_id="exp-1.0.0.0",
            variant_index=0,
            repeat_index=0,
            state="completed",
            finished_at=2.0,
            seconds=1.5,
            metrics={"m": 0.0},
        ),
        ResultRecord(
            job_id="exp-1.1.0.0", variant_index=1, repeat_index=0, state="failed", finished_at=2.0, error=EVIL
        ),
    ]
    records = Records(
        results=results,
        pictures=[PictureRecord(job_id="exp-1.0.0.0", variant_index=0, repeat_index=0, image=picture)],
        ratings=[RatingRecord(sha256="ab" * 32, stars=4, note=EVIL)],
    )
    plan = replace(definition(config={"prompt": EVIL}), name=EVIL, variable=Variable(name=EVIL, values=[0]))
    exported = Exported(experiment_id="exp-1", created_at=1.0, definition=plan, values=values, records=records)
    estimates = (estimate(values[0], 4.0), *(estimate(value) for value in values[1:]))
    made = RecommendationUpdated(
        experiment_id="exp-1",
        value=values[0],
        p_best=0.4,
        sentence=f"take {EVIL}",
        tier="few",
        objective=objective,
        estimates=estimates,
    )
    return exported, made


def read(text: str) -> Reader:
    """Read a whole file."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize(
    "values", [[0, 1], ["", EVIL], [{"cfg": 0, "steps": 4}, {"cfg": 1, "steps": 4}], [False, True]]
)
def test_nothing_that_a_person_typed_becomes_a_tag(values: list[VariantValue]) -> None:
    """Names, prompts, notes, errors, values and the sentence are text; there is no script, and nothing is loaded."""
    text = report_html(*example(values), lambda _: PNG, lambda _: None)

    page = read(text)

    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "main", "h1", "h2", "p", "div", "span"),
        *("table", "thead", "tbody", "tr", "th", "td", "svg", "line", "circle", "rect", "text", "figure", "figcaption"),
        *("img", "dl", "dt", "dd"),
    }
    assert not any(name.startswith("on") or name == "href" for _, attributes in page.tags for name in attributes)
    images = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert [image.partition(",")[0] for image in images] == ["data:image/png;base64"]
    assert not re.search(r"https?://|url\(|@import", text)
    assert page.text.count(EVIL) >= 6
    policy = next(attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"


@pytest.mark.fault(item="F157")
def test_long_values_have_short_labels_with_all_of_it_behind() -> None:
    """In the table of values they open; above the pictures they differ."""
    scene = "a photo of a very detailed scene with many things in it, " * 9
    reader = read(report_html(*example([f"{scene}a cat", f"{scene}a dog"]), lambda _: PNG, lambda _: None))

    assert reader.text.count(f"{scene}a cat") == 1
    assert reader.text.count("in it, a cat") == 3
    assert reader.text.count("in it, a dog") == 3
    assert [tag for tag, _ in reader.tags].count("details") == 2


@pytest.mark.fault(item="F158")
def test_of_two_variables_one_goes_across_and_one_down() -> None:
    """As on the contact sheet."""
    values: list[VariantValue] = [{"cfg": cfg, "steps": steps} for cfg in (3, 7) for steps in (40, 80)]
    exported, made = example(values)
    two = (Variable(name="cfg", values=[1]), Variable(name="steps", values=[1]))
    exported = replace(exported, definition=replace(exported.definition, variable=None, variables=two))
    page = report_html(exported, made, lambda _: PNG, lambda _: None)

    heads = re.findall(r'<th scope="col">(\d+)</th>', page)
    rows = re.findall(r'<th scope="row">(\d+)</th>', page)
    assert (heads, rows) == (["3", "7"], ["40", "80"])
    assert 'alt="cfg 3, steps 40, seed 100' in page


def test_each_prompt_has_its_row_and_is_told_in_full() -> None:
    """A block with a name has both."""
    exported, made = example([0, 1])
    scene = "a photo of a very detailed scene with many things in it, " * 9
    blocks = (Block(config={"prompt": f"{scene}a cat"}), Block(name="dogs", config={"prompt": f"{scene}a dog"}))
    plan = replace(exported.definition, config={}, blocks=blocks)
    failed = replace(exported.records.results[1], repeat_index=1, job_id="exp-1.1.1.0")
    records = replace(exported.records, results=[exported.records.results[0], failed])
    exported = replace(exported, definition=plan, records=records)

    page = read(report_html(exported, made, lambda _: PNG, lambda _: None))

    assert f"prompt 1{scene}a cat" in page.text.replace("\n", "")
    assert f"prompt 2dogs: {scene}a dog" in page.text.replace("\n", "")
    heads = [text for text in page.text.split("\n") if len(text) < 80 and text.endswith(("a cat", "dogs"))]
    assert len(heads) == 2, "shortened, each beside its row"


def test_a_picture_that_is_gone_says_so() -> None:
    """And a job that failed says why."""
    page = read(report_html(*example([0, 1]), lambda _: None, lambda _: None))

    assert "the picture is gone" in page.text
    assert "1 rating ·" in page.text, "in the singular"
    assert [tag for tag, _ in page.tags].count("img") == 0
    assert page.text.count(EVIL) >= 6


@pytest.mark.parametrize("objective", ["stars", "preference", "maximize m", "minimize seconds"])
def test_every_objective_has_its_plot(objective: str) -> None:
    """A value of which nothing is known has a line without a point."""
    page = read(report_html(*example([0, 1], objective), lambda _: PNG, lambda _: None))

    marks = [
        attributes["class"]
        for tag, attributes in page.tags
        if tag in ("circle", "line") and attributes["class"] != "tick"
    ]
    assert marks.count("mean") == marks.count("interval") == 1
    assert marks.count("point") == (objective != "preference")


def test_values_with_an_order_have_a_curve() -> None:
    """With its band, its results and the winner; two values, or texts, have none."""
    exported, made = example([1, 2, 4], "maximize m")
    made = replace(made, estimates=(estimate(1, 0.1), estimate(2, 0.3), estimate(4, 0.2)), value=2)

    page = read(report_html(exported, made, lambda _: PNG, lambda _: None))

    (curve,) = (attributes for tag, attributes in page.tags if attributes.get("class") == "curve")
    assert curve["aria-label"] == f"maximize m over {EVIL}"
    drawn = [tag for tag, _ in page.tags if tag in {"polygon", "polyline"}]
    assert drawn == ["polygon", "polyline"]
    assert "2 ★" in page.text
    for values in ([1, 2], ["a", "b", "c"]):
        assert 'class="curve"' not in report_html(*example(list(values)), lambda _: PNG, lambda _: None)


@pytest.mark.parametrize(
    ("numbers", "ticks"),
    [
        ([0.0, 1.0], (0, 0.2, 0.4, 0.6, 0.8, 1)),
        ([0.0], (0, 0.2)),
        ([5.0, 5.0], (5, 6)),
        ([-3, 12], (-5, 0, 5, 10, 15)),
        ([1e-9, 3e-9], (1e-9, 1.5e-9, 2e-9, 2.5e-9, 3e-9)),
        ([], (0, 0.2)),
        ([float("nan"), 1e300, 0], (0, 2e299, 4e299, 6e299, 8e299, 1e300)),
        ([1e307, 9e307], (0, 2e307, 4e307, 6e307, 8e307, 1e308)),
        ([-1.7e308, 1.7e308], (-LARGEST, -1e308, 0, 1e308, LARGEST)),
        ([5e-324, 0.0], (0, 0.2)),
    ],
)
def test_a_scale_has_round_ticks_and_room_for_all(numbers: list[float], ticks: tuple[float, ...]) -> None:
    """Also where all are equal, or there is none."""
    scale = scale_of(numbers, "maximize m")

    assert scale.ticks == pytest.approx(ticks)
    assert all(0 <= scale.at(number) <= 100 for number in numbers if not math.isnan(number))


def test_points_of_one_value_do_not_hide_each_other() -> None:
    """Equal ones stand at different heights."""
    scale = scale_of([], "stars")
    seen = [Score(variant_index=1, repeat_index=repeat, score=3) for repeat in range(3)]

    first, second = lines_of([estimate(0), estimate(1, 3.0)], seen, scale)

    assert (first.mean, first.points) == (None, [])
    assert len({y for _, y in second.points}) == 3
    assert {x for x, _ in second.points} == {second.mean}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"RIFF0000WEBPVP8 ", "image/webp"),
        (b"<svg onload='x'>", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_only_pictures_are_shown_as_such(data: bytes, kind: str) -> None:
    """No SVG, which may hold scripts."""
    assert media_type_of(data) == kind


def test_a_result_that_is_no_picture_has_its_name_its_text_and_a_link() -> None:
    """Nothing of it can act on the page; what is large or no text is named."""
    exported, made = example([0, 1])
    job = exported.records.results[0].job_id
    files = {EVIL: b"a,b\n1,<2>\n", "raw.bin": b"\0\1", "long.txt": b"x" * 20_000, "gone.txt": None}
    pictures = [
        PictureRecord(job_id=job, variant_index=0, repeat_index=0, image=result(f"{number}", name))
        for number, name in enumerate(files)
    ]
    records = replace(exported.records, pictures=pictures, ratings=[])

    def read_file(image: ImageRef) -> Beginning | None:
        data = files[str(image.name)]
        return None if data is None else Beginning(len(data), data[:18_000])

    page = read(report_html(replace(exported, records=records), made, lambda _: None, read_file))

    links = [attrs for tag, attrs in page.tags if tag == "a"]
    assert [(one["download"], one["href"]) for one in links] == [
        (EVIL, "data:application/octet-stream;base64,YSxiCjEsPDI+Cg=="),
        ("raw.bin", "data:application/octet-stream;base64,AAE="),
    ]
    assert "a,b\n1,<2>\n" in page.text
    assert "gone.txt is gone" in page.text
    assert "long.txt 20.0 kB" in page.text
    assert "x" * 2000 + "…" in page.text
    assert "x" * 2001 not in page.text
    assert not [attrs for tag, attrs in page.tags if tag in {"img", "script"}]


@pytest.mark.parametrize("room", [1 << 20, 5])
def test_what_plays_is_in_the_report_while_there_is_room(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video with its frame, a sound, an animation in the place of its first frame; else how each is saved."""
    monkeypatch.setattr("variantbus.reports.players.IN_ALL", room)
    exported, made = example([0, 1])
    job = exported.records.results[0].job_id
    refs = [
        replace(result("1", "a.webm"), media_type="video/webm", width=8, height=8, duration=1.0),
        replace(result("2", "a.wav"), media_type="audio/wav"),
        replace(result("3", "a.gif"), media_type="image/gif", width=8, height=8, frames=3),
        replace(result("4", "gone.mp4"), media_type="video/mp4"),
        replace(result("5", "odd.mp4"), media_type='video/mp4"><script>'),
        replace(result("6", "long.mp4"), media_type="video/mp4", width=8, height=8),
    ]
    pictures = [PictureRecord(job_id=job, variant_index=0, repeat_index=0, image=ref) for ref in refs]
    ratings = [RatingRecord(sha256="1" * 64, stars=3, note="")]
    sizes = {"long.mp4": 3_000_000}

    def read_file(image: ImageRef) -> Beginning | None:
        name = str(image.name)
        return None if name == "gone.mp4" else Beginning(sizes.get(name, 6), b"abcdef")

    records = replace(exported.records, pictures=pictures, ratings=ratings)
    page = read(report_html(replace(exported, records=records), made, lambda _: PNG, read_file))

    assert all(attrs["aria-label"] for tag, attrs in page.tags if tag in {"video", "audio"})
    players = [(tag, attrs["src"]) for tag, attrs in page.tags if tag in {"video", "audio"}]
    images = [str(attrs["src"]).partition(",")[0] for tag, attrs in page.tags if tag == "img"]
    whole = [("video", "data:video/webm;base64,YWJjZGVm"), ("audio", "data:audio/wav;base64,YWJjZGVm")]
    assert players == (whole if room > 5 else [])
    assert ("data:image/gif;base64" in images) == (room > 5)
    assert "a.webm, 6 B, 11111111" in page.text
    assert ("a.webm, 6 B, 11111111: `variantbus job output 111111111111` saves it" in page.text) == (room == 5)
    assert "long.mp4, 3.0 MB, 66666666: `variantbus job output 666666666666` saves it" in page.text
    assert "gone.mp4 is gone" in page.text
    assert "odd.mp4 is gone" in page.text
    assert not [attrs for tag, attrs in page.tags if tag == "script"]


def result(digits: str, name: str) -> ImageRef:
    """Return a result that is no picture."""
    return ImageRef(sha256=digits * 64, path="x", width=0, height=0, media_type="text/plain", name=name)


def test_of_three_variables_there_is_a_table_for_each_value_of_the_third() -> None:
    """The first one is open; what a value sets, and what it replaces, is among the settings."""
    exported, made = example([{"a": 0, "b": 1, "c": "x"}, {"a": 0, "b": 1, "c": "<y>"}])
    knobs = (
        Variable(name="a", values=[0], settings={"0": {"steps": 8, "sampler": "euler"}}),
        Variable(name="b", values=[1], replace="cat", setting="prompt"),
        Variable(name="c", values=["x", "<y>"], fills=True),
    )
    plan = replace(exported.definition, variable=None, variables=knobs)
    page = read(report_html(replace(exported, definition=plan), made, lambda _: PNG, lambda _: None))

    parts = [attrs for tag, attrs in page.tags if tag == "details" and attrs.get("class") == "part"]
    assert ["open" in attrs for attrs in parts] == [True, False]
    assert "c x" in page.text
    assert "c <y>" in page.text
    for told in ("a 0", "steps 8, sampler euler", "in the place of cat in prompt", "in the place of {c}"):
        assert told in page.text
