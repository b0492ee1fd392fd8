"""Ratings and comparisons from the command line, and that `kill -9` takes none of those that were answered."""

import itertools
import shlex
import threading
from concurrent.futures import ThreadPoolExecutor

from bus.contracts.feedback import RatedReply, RateParams, RatingListParams, RatingListReply
from bus.contracts.messages import ImageRated, RatingSummary
from bus.protocol.control import ControlError
from bus.transport.client import request
from tests.support.checker import messages_of, whole_log
from tests.support.experiment_files import pictures, services, submit
from tests.support.helpers import wait_until
from tests.support.workspace import (
    COMMAND_SECONDS,
    VARIANTBUS,
    ServiceProcess,
    Workspace,
    finish,
    view_of,
    wait_for_jobs,
)
from variantbus.cli.rate import QUESTION

CLIENTS = 4
BEFORE_THE_KILL = 40  # ratings


def events(learning: ServiceProcess) -> list[ImageRated]:
    """Return the ratings that were published: all of them, however many came before the kill."""
    return messages_of(whole_log(learning), ImageRated)


def rate_until_killed(learning: ServiceProcess, experiment_id: str, images: list[str]) -> set[str]:
    """Kill the service under several clients that rate; return the notes of what was answered."""
    answered: list[str] = []
    killed = threading.Event()

    def rate(first: int) -> None:
        for number in itertools.count(first, CLIENTS):
            image, stars = images[number % len(images)], 1 + number % 5
            params = RateParams(experiment_id=experiment_id, image=image, stars=stars, note=str(number))
            try:
                answered.append(request(learning.control, "image.rate", params, RatedReply, 1.0).note)
            except ControlError:
                if killed.is_set():
                    return

    with ThreadPoolExecutor(CLIENTS) as clients:
        clients.map(rate, range(CLIENTS))
        wait_until(lambda: len(answered) >= BEFORE_THE_KILL, COMMAND_SECONDS, what="the ratings")
        learning.kill()
        killed.set()
    return set(answered)


def test_what_a_person_says_of_pictures_survives_kill(workspace: Workspace) -> None:
    """rate, undo, compare; then `kill -9` under several clients takes nothing that was answered."""
    _, learning = services(workspace, steady=True)
    experiment = submit(workspace, pictures(values=3, jobs=1))
    wait_for_jobs(learning, experiment, 3)
    images = [image.sha256 for variant in view_of(learning, experiment).variants for image in variant.images]

    first, second, _ = images
    assert workspace.run("rate", experiment, first[:12].upper(), "4").err == f"{first[:8]}: 4 stars; 1 picture rated\n"
    rated = workspace.run("rate", experiment, second, "1", "--note", "too dark", "--json").json
    assert (rated["sha256"], rated["stars"], rated["note"], rated["rated"]) == (second, 1, "too dark", 2)
    assert workspace.run("undo", experiment, second[:8]).err == f"{second[:8]}: not rated; 1 picture rated\n"
    command = f"printf 'l\\nt\\nu\\nr\\nq\\n' | {shlex.quote(VARIANTBUS)} compare {experiment}"
    comparing = workspace.start("compare", "/bin/sh", "-c", command)
    assert comparing.wait() == 0, comparing.errors()
    assert len(finish(comparing).out.splitlines()) == 5
    assert finish(comparing).err.endswith(
        f"2 compared\n{QUESTION}which value is best: variantbus recommend {experiment}\n"
    )

    answered = rate_until_killed(learning, experiment, images)
    learning.start()

    published = events(learning)
    assert {one.note for one in published} >= answered
    newest = {one.sha256: (one.stars, one.note) for one in published}
    listed = learning.ask("rating.list", RatingListParams(experiment_id=experiment), RatingListReply).ratings
    assert {one.sha256: (one.stars, one.note) for one in listed} == newest
    for variant in view_of(learning, experiment).variants:
        (stars,) = (newest[image.sha256][0] or 0 for image in variant.images)
        assert variant.rating == RatingSummary(mean=stars, count=1)
    assert "; 1 compared\n" in workspace.run("undo", experiment, "--comparison").err
