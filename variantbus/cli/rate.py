"""`variantbus rate`, `compare` and `undo`: how a person rates pictures."""

import itertools
import tempfile
from pathlib import Path
from typing import Final, Literal

import click
from PIL import Image

from bus.console.options import keys_option, learning_option, runner_option
from bus.console.printable import harmless
from bus.console.process import user_errors
from bus.contracts.experiments import ExperimentParams
from bus.contracts.feedback import (
    ComparedReply,
    CompareParams,
    PairReply,
    RatedReply,
    RateParams,
    UndoComparisonParams,
    UndoRatingParams,
)
from bus.contracts.messages import ImageRef, Outcome
from bus.protocol.control import ControlError
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.ids import experiment_argument
from variantbus.cli.keyboard import ask, going_on
from variantbus.cli.output import json_option, json_text
from variantbus.cli.rate_next import RatingSession
from variantbus.cli.shown import fetch_still, is_still, save_shown
from variantbus.client.experiments import STATISTICS_SECONDS
from variantbus.reports.sheet import BACKGROUND
from variantbus.reports.text import count_text

DIGITS: Final = 8  # of a hash, for people
GAP: Final = 16  # pixels between two pictures
NONE: Final = "none"  # as stars: takes a rating back
Answer = Outcome | Literal["undo", "quit"]
QUESTION: Final = "better? [l]eft [r]ight [t]ie [b]oth bad [u]ndo [q]uit: "
ANSWERS: Final[dict[str, Answer]] = {
    "l": "left",
    "r": "right",
    "t": "tie",
    "b": "both_bad",
    "u": "undo",
    "q": "quit",
}


@click.command()
@experiment_argument
@click.argument("image", metavar="[IMAGE", required=False)
@click.argument("stars", type=click.Choice(["1", "2", "3", "4", "5", NONE]), metavar="STARS]", required=False)
@click.option("--next", "asks", is_flag=True, help="Ask for stars, picture after picture, those that tell most first.")
@click.option("--open", "opens", is_flag=True, help="With --next: show each picture in the system's picture viewer.")
@click.option("--note", default="", help="A comment, at most 2000 characters.")
@json_option
@learning_option
@runner_option
@keys_option
def rate(  # noqa: PLR0913 - the options of the command
    experiment_id: str,
    image: str | None,
    stars: str | None,
    *,
    asks: bool,
    opens: bool,
    note: str,
    as_json: bool,
    learning: str,
    runner: str,
    keys: Keys | None,
) -> None:
    """Rate a picture with 1 to 5 stars; none removes the rating.

    IMAGE is its hash, or the first 4 or more digits of it: the picture's file has it as its name. With --next, each
    picture is shown without its value, as a PNG whose path is printed; it is there until the next one comes. A video, a
    sound or a text is a file of its own kind.
    """
    if asks:
        alone = {"IMAGE": image, "--note": note, "--json": as_json}
        if given := next((name for name, it in alone.items() if it), ""):
            raise click.UsageError(f"--next asks for the stars of picture after picture; leave {given} out")
    elif not image or not stars:
        raise click.UsageError("give IMAGE and STARS, or --next")
    elif opens:
        raise click.UsageError("--open shows what --next asks about; give both, or neither")
    with user_errors():
        if not image or not stars:
            RatingSession(experiment_id, learning, runner, keys).run(opens=opens)
            return
        number = None if stars == NONE else int(stars)
        params = RateParams(experiment_id=experiment_id, image=image.lower(), stars=number, note=note)
        reply = request(learning, "image.rate", params, RatedReply, keys=keys)
        click.echo(json_text(reply) if as_json else rated_text(reply), err=not as_json)
        if reply.hint:
            click.echo(harmless(reply.hint), err=True)


@click.command()
@experiment_argument
@click.argument("image", required=False)
@click.option("--comparison", is_flag=True, help="Undo the newest comparison instead.")
@json_option
@learning_option
@keys_option
def undo(
    experiment_id: str, image: str | None, *, comparison: bool, as_json: bool, learning: str, keys: Keys | None
) -> None:
    """Undo the newest rating of an experiment, or of one picture; repeat it to undo earlier ones.

    IMAGE is its hash, or the first 4 or more digits of it. Any comparison can be undone on the dashboard.
    """
    if comparison and image:
        raise click.UsageError("--comparison undoes the newest comparison of all; leave IMAGE out")
    with user_errors():
        if comparison:
            params = UndoComparisonParams(experiment_id=experiment_id)
            undone = request(learning, "comparison.undo", params, ComparedReply, keys=keys)
            click.echo(json_text(undone) if as_json else undone_text(undone), err=not as_json)
        else:
            picture = UndoRatingParams(experiment_id=experiment_id, image=image.lower() if image else None)
            reply = request(learning, "rating.undo", picture, RatedReply, keys=keys)
            click.echo(json_text(reply) if as_json else rated_text(reply), err=not as_json)


@click.command()
@experiment_argument
@click.option("--open", "opens", is_flag=True, help="Show each pair in the system's picture viewer.")
@learning_option
@runner_option
@keys_option
def compare(experiment_id: str, *, opens: bool, learning: str, runner: str, keys: Keys | None) -> None:
    """Choose the better of two pictures, pair after pair, without seeing their values.

    Each pair is one PNG, whose path is printed; it is there until the next one comes. Of videos, sounds and texts
    there are two files, left and right.
    """
    with user_errors(), tempfile.TemporaryDirectory(prefix="variantbus-") as folder:
        session = _Session(experiment_id, learning, runner, keys)
        for number in itertools.count(1):
            left, right = session.pair()
            paths = session.save(left, right, Path(folder) / f"pair-{number}")
            for path in paths:
                click.echo(str(path))
                if opens and click.launch(str(path)):
                    click.echo("no viewer could be started; open the file yourself", err=True)
            if not session.answer(left, right):
                break
            for path in paths:
                path.unlink()
        click.echo(f"which value is best: variantbus recommend {experiment_id}", err=True)


class _Session:
    """One person at the keyboard, and the services."""

    def __init__(self, experiment_id: str, learning: str, runner: str, keys: Keys | None) -> None:
        """Keep the experiment and the addresses; nothing is sent yet."""
        self._experiment = ExperimentParams(experiment_id=experiment_id)
        self._learning, self._runner, self._keys = learning, runner, keys
        self._is_told = False

    def pair(self) -> tuple[ImageRef, ImageRef]:
        """Return the next pair from the learning service."""
        pair = request(
            self._learning, "comparison.next", self._experiment, PairReply, STATISTICS_SECONDS, keys=self._keys
        )
        if pair.hint and not self._is_told:
            click.echo(harmless(pair.hint), err=True)
            self._is_told = True
        if pair.left is None or pair.right is None:
            name = self._experiment.experiment_id
            raise ControlError("not_found", f"{name} has no two values yet whose pictures differ")
        return pair.left, pair.right

    def save(self, left: ImageRef, right: ImageRef, stem: Path) -> list[Path]:
        """Write two pictures side by side into one file, of videos and all else each into its own; return the paths.

        They have their full size: the difference between two values may be small.
        """
        if is_still(left) and is_still(right):
            path = stem.with_suffix(".png")
            side_by_side(*(fetch_still(self._runner, one, self._keys) for one in (left, right))).save(path)
            return [path]
        return [
            save_shown(self._runner, image, stem.with_name(f"{stem.name}-{side}"), self._keys)
            for side, image in (("left", left), ("right", right))
        ]

    def answer(self, left: ImageRef, right: ImageRef) -> bool:
        """Ask which is better and send the answer; return False if the person wants to stop."""
        answer = ask(QUESTION, ANSWERS)
        if answer == "quit":
            return False
        with going_on():
            if answer == "undo":
                reply = request(self._learning, "comparison.undo", self._experiment, ComparedReply, keys=self._keys)
            else:
                params = CompareParams(
                    experiment_id=self._experiment.experiment_id, left=left.sha256, right=right.sha256, outcome=answer
                )
                reply = request(self._learning, "comparison.add", params, ComparedReply, keys=self._keys)
            click.echo(f"{reply.compared} compared", err=True)
        return True


def rated_text(reply: RatedReply) -> str:
    """Return the rating of a picture as a sentence."""
    said = count_text(reply.stars, "star", "stars") if reply.stars else "not rated"
    return f"{reply.sha256[:DIGITS]}: {said}; {count_text(reply.rated, 'picture', 'pictures')} rated"


def undone_text(reply: ComparedReply) -> str:
    """Return which comparison was undone, as a sentence."""
    said = f"{reply.left[:DIGITS]} beside {reply.right[:DIGITS]}: {reply.outcome.replace('_', ' ')}"
    return f"took back {said}; {reply.compared} compared"


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Join two pictures side by side, each in its own size and vertically centred, without their metadata."""
    height = max(left.height, right.height)
    joined = Image.new("RGB", (left.width + GAP + right.width, height), BACKGROUND)
    joined.paste(left, (0, (height - left.height) // 2))
    joined.paste(right, (left.width + GAP, (height - right.height) // 2))
    return joined
