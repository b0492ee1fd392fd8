"""The keyboard's side of `rate ID --next`; the services are made up."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bus.console.process import EXIT_REFUSED
from bus.contracts.feedback import RatedReply, RateParams, RatingNextParams, RatingNextReply
from bus.contracts.messages import ImageRef
from bus.protocol.control import ControlError
from tests.support.in_process import put_in_place
from variantbus.cli import rate_next as module
from variantbus.cli.keyboard import read_answer
from variantbus.cli.main import main
from variantbus.cli.rate_next import ANSWERS, QUESTION

HASHES = ["a" * 64, "b" * 64, "c" * 64]


def picture() -> bytes:
    """Draw a picture whose file says what made it."""
    file, told = io.BytesIO(), PngInfo()
    told.add_text("parameters", "cfg_scale: 7")
    Image.new("RGB", (8, 8), "#ff0000").save(file, "PNG", pnginfo=told)
    return file.getvalue()


class Services:
    """Answers as the two services do, for an experiment with three pictures."""

    def __init__(self) -> None:
        """Nothing was rated."""
        self.stars: dict[str, int] = {}
        self.hint = self.enough = ""
        self.data = picture()
        self.reference = ImageRef(sha256=HASHES[0], path="x.png", width=8, height=8)
        self.shown = 0

    def request(self, _address: str, method: str, params: Any, _reply: type, *_args: float, keys: None) -> object:
        """Take the place of `bus.transport.client.request`."""
        assert keys is None
        if method == "rating.next":
            assert isinstance(params, RatingNextParams)
            left = [one for one in HASHES if one not in self.stars]
            open_ = [one for one in left if one not in params.passed]
            image = replace(self.reference, sha256=open_[0]) if open_ else None
            return RatingNextReply(
                image=image, rated=len(self.stars), left=len(left), enough=self.enough, hint=self.hint
            )
        if method == "rating.undo":
            if not self.stars:
                raise ControlError("not_found", "exp-1 has no rating to undo")
            sha256, stars = self.stars.popitem()
        else:
            assert isinstance(params, RateParams)
            assert params.stars is not None
            sha256, stars = params.image, params.stars
            self.stars[sha256] = stars
        return RatedReply(sha256=sha256, variant_indices=[0], stars=stars, note="", rated_at=0.0, rated=len(self.stars))

    def fetch(self, _runner: str, _sha256: str, _keys: None) -> Iterator[bytes]:
        """Take the place of `variantbus.client.outputs.fetch_output`."""
        yield self.data

    def launch(self, path: str) -> int:
        """Look at a file as a person does, and at what it says beside the pixels."""
        with Image.open(path) as image:
            assert image.info == {}
        self.shown += 1
        return self.shown - 1


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    """Put made-up services and a made-up viewer in the places of real ones."""
    services = Services()
    put_in_place(monkeypatch, module, services)
    return services


def rate(typed: str, *options: str) -> Result:
    """Run `variantbus rate` with some lines on stdin."""
    return CliRunner().invoke(main, ["rate", "exp-1", *options], input=typed)


def test_picture_after_picture_is_rated_until_none_is_left(services: Services) -> None:
    """One path a picture on stdout; then the way to the answer. The files are gone at the end."""
    result = rate("4\nsix\n 5 \np\n", "--next", "--open")

    assert result.exit_code == 0, result.output
    assert services.stars == {HASHES[0]: 4, HASHES[1]: 5}
    paths = [Path(line) for line in result.stdout.splitlines()]
    assert [path.name for path in paths] == ["picture-1.png", "picture-2.png", "picture-3.png"]
    assert not any(path.parent.exists() for path in paths)
    told = result.stderr.replace(QUESTION, "").splitlines()
    assert told == [
        "1 rated",
        "no viewer could be started; open the file yourself",
        "write 1, 2, 3, 4, 5, p, u or q",
        "2 rated",
        "no viewer could be started; open the file yourself",
        "no other picture is left to rate",
        "which value is best: variantbus recommend exp-1",
    ]


def test_an_undone_picture_comes_again_and_the_end_is_told(services: Services) -> None:
    """Undo without a rating says so and goes on; where each is rated, nothing is asked."""
    result = rate("u\n1\nu\n2\n3\n4\n", "--next")

    assert result.exit_code == 0, result.output
    assert services.stars == dict(zip(HASHES, (2, 3, 4), strict=True))
    assert "exp-1 has no rating to undo" in result.stderr
    assert "every picture is rated" in result.stderr


def test_it_is_told_once_when_one_can_stop_and_what_decides(services: Services) -> None:
    """Whoever likes goes on."""
    services.enough, services.hint = "one value is the best", "ratings do not decide this experiment"
    result = rate("1\n1\nquit\n", "--next")

    assert result.stderr.count("you can stop: one value is the best") == 1
    assert result.stderr.count(services.hint) == 1
    assert len(services.stars) == 2


def test_what_is_no_picture_ends_the_session_with_a_sentence(services: Services) -> None:
    """And so does a command that says neither or both."""
    services.data = b"no picture"
    broken = rate("1\n", "--next")
    assert broken.exit_code == EXIT_REFUSED
    assert "is no picture that can be shown" in broken.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "give IMAGE and STARS, or --next"),
        (["abcd"], "give IMAGE and STARS, or --next"),
        (["abcd", "4", "--next"], "leave IMAGE out"),
        (["abcd", "--next"], "leave IMAGE out"),
        (["--next", "--note", "red"], "leave --note out"),
        (["--next", "--json"], "leave --json out"),
        (["abcd", "4", "--open"], "--open shows what --next asks about"),
    ],
)
def test_what_does_not_go_together_is_refused(services: Services, options: list[str], told: str) -> None:
    """Nothing that a person writes is left out in silence."""
    refused = rate("", *options)
    assert refused.exit_code == 2
    assert told in refused.stderr
    assert not services.stars


def test_answers_are_digits_letters_or_words() -> None:
    """The end of the input means quit."""
    answers = [read_answer(line, ANSWERS) for line in (b"", b"5\n", b"P\n", b"Undo\n", b"0\n", b"\n", b"q")]
    assert answers == ["quit", "5", "pass", "undo", None, None, "quit"]


@pytest.mark.parametrize(
    ("media_type", "suffix"),
    [("video/mp4", ".mp4"), ("audio/flac", ".flac"), ("text/plain", ".txt"), ("model/x", ".glb")],
)
def test_what_is_no_picture_is_shown_as_it_is(services: Services, media_type: str, suffix: str) -> None:
    """For the program that plays it; the file is gone at the end, too."""
    services.reference = ImageRef(sha256=HASHES[0], path="x.glb", width=0, height=0, media_type=media_type)
    services.data = b"whatever"

    result = rate("4\n5\n3\n", "--next")

    assert result.exit_code == 0, result.output
    paths = [Path(line) for line in result.stdout.splitlines()]
    assert [path.name for path in paths] == [f"picture-{number}{suffix}" for number in (1, 2, 3)]
    assert not any(path.parent.exists() for path in paths)
