"""`variantbus rate ID --next`: one picture after the other, that whose stars tell most, without its value."""

import itertools
import tempfile
from pathlib import Path
from typing import Final

import click

from bus.console.printable import harmless
from bus.contracts.experiments import ExperimentParams
from bus.contracts.feedback import RatedReply, RateParams, RatingNextParams, RatingNextReply
from bus.contracts.messages import ImageRef
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.keyboard import ask, going_on
from variantbus.cli.shown import save_shown
from variantbus.client.experiments import STATISTICS_SECONDS

PASSED: Final = 1000  # at most, that a request names
QUESTION: Final = "stars? 1 2 3 4 5 [p]ass [u]ndo [q]uit: "
ANSWERS: Final = {**{star: star for star in "12345"}, "p": "pass", "u": "undo", "q": "quit"}


class RatingSession:
    """One person at the keyboard, and the services."""

    def __init__(self, experiment_id: str, learning: str, runner: str, keys: Keys | None) -> None:
        """Keep the experiment and the addresses; nothing is sent yet."""
        self._experiment_id, self._learning, self._runner, self._keys = experiment_id, learning, runner, keys
        self._passed: list[str] = []
        self._told: set[str] = set()

    def run(self, *, opens: bool) -> None:
        """Show picture after picture until the person quits or there is none left; each is one file for that long."""
        with tempfile.TemporaryDirectory(prefix="variantbus-") as folder:
            for number in itertools.count(1):
                image = self._next()
                if image is None:
                    break
                path = save_shown(self._runner, image, Path(folder) / f"picture-{number}", self._keys)
                click.echo(str(path))
                if opens and click.launch(str(path)):
                    click.echo("no viewer could be started; open the file yourself", err=True)
                if not self._answer(image):
                    break
                path.unlink()
        click.echo(f"which value is best: variantbus recommend {self._experiment_id}", err=True)

    def _next(self) -> ImageRef | None:
        params = RatingNextParams(experiment_id=self._experiment_id, passed=self._passed[-PASSED:])
        reply = request(self._learning, "rating.next", params, RatingNextReply, STATISTICS_SECONDS, keys=self._keys)
        self._tell(reply.hint)
        if reply.enough:
            self._tell(f"you can stop: {reply.enough}")
        if reply.image is None:
            click.echo("every picture is rated" if not reply.left else "no other picture is left to rate", err=True)
        return reply.image

    def _tell(self, text: str) -> None:
        """Say something that is said once."""
        kind = text.partition(":")[0]
        if text and kind not in self._told:
            self._told.add(kind)
            click.echo(harmless(text), err=True)

    def _answer(self, image: ImageRef) -> bool:
        """Ask for stars and send them; return False if the person wants to stop."""
        answer = ask(QUESTION, ANSWERS)
        if answer == "pass":
            self._passed.append(image.sha256)
        elif answer != "quit":
            self._send(answer, image)
        return answer != "quit"

    def _send(self, answer: str, image: ImageRef) -> None:
        with going_on():
            if answer == "undo":
                undo = ExperimentParams(experiment_id=self._experiment_id)
                reply = request(self._learning, "rating.undo", undo, RatedReply, keys=self._keys)
            else:
                rate = RateParams(experiment_id=self._experiment_id, image=image.sha256, stars=int(answer))
                reply = request(self._learning, "image.rate", rate, RatedReply, keys=self._keys)
            click.echo(f"{reply.rated} rated", err=True)
