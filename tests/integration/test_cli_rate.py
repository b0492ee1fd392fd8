"""The keyboard's side of ratings and comparisons; the services are made up."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace
from PIL import Image

from bus.console.process import EXIT_REFUSED
from bus.contracts.feedback import ComparedReply, CompareParams, PairReply, RatedReply
from bus.contracts.messages import ImageRef
from bus.protocol.control import ControlError
from tests.support.in_process import put_in_place
from variantbus.cli import rate as module
from variantbus.cli.keyboard import read_answer
from variantbus.cli.main import main
from variantbus.cli.rate import ANSWERS, GAP, QUESTION, Answer, rated_text, side_by_side, undone_text

RED, BLUE = "a" * 64, "b" * 64
COLOURS = {RED: "#ff0000", BLUE: "#0000ff"}
SIZES = {RED: (20, 10), BLUE: (30, 16)}


def picture(sha256: str) -> bytes:
    """Draw a picture whose file says what made it."""
    file = io.BytesIO()
    image = Image.new("RGB", SIZES[sha256], COLOURS[sha256])
    image.info["parameters"] = "cfg_scale: 7"
    image.save(file, "PNG")
    return file.getvalue()


class Services:
    """Answers as the two services do, for an experiment with two pictures."""

    def __init__(self) -> None:
        """Nothing was compared."""
        self.answers: list[str] = []
        self.hint = ""
        self.shown: list[tuple[int, ...]] = []  # colours left and right, and the size, of what was opened
        self.pictures: dict[str, bytes] = {sha256: picture(sha256) for sha256 in COLOURS}
        self.reference = ImageRef(sha256=RED, path="x.png", width=1, height=1)
        self.viewer = 0  # what the viewer ends with

    def request(self, _address: str, method: str, params: Any, _reply: type, *_args: float, keys: None) -> object:
        """Take the place of `bus.transport.client.request`."""
        assert keys is None
        if method == "comparison.next":
            left, right = (self._reference(sha256) for sha256 in (RED, BLUE))
            return PairReply(left=left, right=right, compared=len(self.answers), hint=self.hint)
        if method == "comparison.undo":
            if not self.answers:
                raise ControlError("not_found", "exp-1 has no comparison to undo")
            self.answers.pop()
            return ComparedReply(left=RED, right=BLUE, outcome="left", compared=len(self.answers))
        assert method == "comparison.add"
        assert isinstance(params, CompareParams)
        assert (params.left, params.right) == (RED, BLUE)
        self.answers.append(params.outcome)
        return ComparedReply(left=RED, right=BLUE, outcome=params.outcome, compared=len(self.answers))

    def _reference(self, sha256: str) -> ImageRef | None:
        return replace(self.reference, sha256=sha256) if sha256 in self.pictures else None

    def fetch(self, _runner: str, sha256: str, _keys: None) -> Iterator[bytes]:
        """Take the place of `variantbus.client.outputs.fetch_output`."""
        yield self.pictures[sha256]

    def launch(self, path: str) -> int:
        """Look at a file as a person does, and at what it says beside the pixels."""
        with Image.open(path) as image:
            assert image.info == {}
            left, right = (image.getpixel((x, image.height // 2)) for x in (0, image.width - 1))
            assert isinstance(left, tuple)
            assert isinstance(right, tuple)
            self.shown.append((*left, *right, *image.size))
        return self.viewer


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    """Put made-up services and a made-up viewer in the places of real ones."""
    services = Services()
    put_in_place(monkeypatch, module, services)
    return services


def compare(typed: str | bytes, *options: str) -> Result:
    """Run `variantbus compare` with some lines on stdin."""
    return CliRunner().invoke(main, ["compare", "exp-1", *options], input=typed)


def test_answers_are_passed_on_and_only_their_number_is_told(services: Services) -> None:
    """One path a pair on stdout; then the way to the answer. The files are gone at the end."""
    result = compare("l\nRight\n t \nboth bad\nq\n")

    assert result.exit_code == 0, result.output
    assert services.answers == ["left", "right", "tie", "both_bad"]
    paths = [Path(line) for line in result.stdout.splitlines()]
    assert [path.name for path in paths] == [f"pair-{number}.png" for number in range(1, 6)]
    assert not any(path.parent.exists() for path in paths)
    told = result.stderr.replace(QUESTION, "").splitlines()
    assert told == [*(f"{count} compared" for count in (1, 2, 3, 4)), "which value is best: variantbus recommend exp-1"]
    assert services.shown == []


@pytest.mark.fault(item="F95")
def test_what_decides_is_told_once_before_the_first_question(services: Services) -> None:
    """Nobody compares thirty pairs for nothing."""
    services.hint = "comparisons do not decide this experiment"

    result = compare("l\nr\nq\n")

    assert result.stderr.startswith(services.hint)
    assert result.stderr.count(services.hint) == 1


def test_undo_takes_the_last_answer_back(services: Services) -> None:
    """Where there is none it says so, and asks again; the end of the input is the end."""
    result = compare("u\nl\nr\nu\n")

    assert result.exit_code == 0, result.output
    assert services.answers == ["left"]
    assert "exp-1 has no comparison to undo\n" in result.stderr
    assert "1 compared\n" in result.stderr
    assert result.stderr.endswith("variantbus recommend exp-1\n")


@pytest.mark.usefixtures("services")
def test_only_the_newest_comparison_is_undone_by_the_command() -> None:
    """A picture names a rating, and no comparison."""
    result = CliRunner().invoke(main, ["undo", "exp-1", "aaaa", "--comparison"])

    assert result.exit_code == 2
    assert "leave IMAGE out" in result.stderr


def test_what_is_no_answer_is_asked_again(services: Services) -> None:
    """With the letters that there are; bytes that are no text are no answer either."""
    result = compare(b"x\n\n\xff\xfe\nl\nq\n")

    assert services.answers == ["left"]
    assert result.stderr.count("write l, r, t, b, u or q\n") == 3
    assert result.stderr.count(QUESTION) == 5


def test_the_viewer_is_shown_both_pictures_and_nothing_that_tells_their_values(services: Services) -> None:
    """Left is left, the sizes are their own, and the file holds pixels alone."""
    compare("l\nq\n", "--open")

    assert services.shown == [(255, 0, 0, 0, 0, 255, 20 + GAP + 30, 16)] * 2


def test_without_a_viewer_the_path_is_enough(services: Services) -> None:
    """It says so, and the question comes all the same."""
    services.viewer = 1
    result = compare("l\n", "--open")

    assert "no viewer could be started; open the file yourself\n" in result.stderr
    assert services.answers == ["left"]


def test_pictures_that_cannot_be_shown_are_an_error(services: Services) -> None:
    """One that is damaged, and none to compare: one sentence, status 4."""
    services.pictures[BLUE] = b"no picture"
    damaged = compare("l\n")
    assert (damaged.exit_code, damaged.stderr) == (
        EXIT_REFUSED,
        f"Error: {BLUE} is no picture that can be shown\n",
    )
    del services.pictures[BLUE]
    none = compare("l\n")
    assert (none.exit_code, none.stderr) == (EXIT_REFUSED, "Error: exp-1 has no two values yet whose pictures differ\n")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"", "quit"),
        (b"Q\n", "quit"),
        (b" l\r\n", "left"),
        (b"RIGHT", "right"),
        (b"b\n", "both_bad"),
        (b"both bad\n", "both_bad"),
        (b"undo\n", "undo"),
        (b"\n", None),
        (b"lr\n", None),
    ],
)
def test_letters_and_words_are_understood(line: bytes, answer: Answer | None) -> None:
    """In any case and with spaces around them."""
    assert read_answer(line, ANSWERS) == answer


def test_sides_keep_their_sizes() -> None:
    """The lower one stands in the middle, on white."""
    joined = side_by_side(Image.new("RGB", (4, 2), "#ff0000"), Image.new("RGB", (2, 6), "#0000ff"))
    assert joined.size == (4 + GAP + 2, 6)
    assert [joined.getpixel((0, y)) for y in (1, 2, 3, 4)] == [
        (255, 255, 255),
        (255, 0, 0),
        (255, 0, 0),
        (255, 255, 255),
    ]
    assert joined.getpixel((4 + GAP, 0)) == (0, 0, 255)


def test_what_holds_is_said_in_a_line() -> None:
    """Of a picture, and of a comparison that was taken back."""
    rated = RatedReply(sha256=RED, variant_indices=[0], stars=4, note="", rated_at=1.0, rated=2)
    assert rated_text(rated) == "aaaaaaaa: 4 stars; 2 pictures rated"
    gone = RatedReply(sha256=RED, variant_indices=[0], stars=None, note="", rated_at=1.0, rated=1)
    assert rated_text(gone) == "aaaaaaaa: not rated; 1 picture rated"
    undone = ComparedReply(left=RED, right=BLUE, outcome="both_bad", compared=3)
    assert undone_text(undone) == "took back aaaaaaaa beside bbbbbbbb: both bad; 3 compared"


def test_of_two_videos_each_has_a_file(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are opened, if that is asked for; nothing of them stays."""
    services.reference = ImageRef(sha256=RED, path="x.webm", width=8, height=8, media_type="video/webm", frames=9)
    opened: list[str] = []
    monkeypatch.setattr("click.launch", lambda path: opened.append(Path(path).name))

    result = compare("l\nq\n", "--open")

    assert result.exit_code == 0, result.output
    names = [Path(line).name for line in result.stdout.splitlines()]
    assert names == [f"pair-{number}-{side}.webm" for number in (1, 2) for side in ("left", "right")] == opened
    assert not Path(result.stdout.splitlines()[0]).exists()
    assert services.answers == ["left"]
