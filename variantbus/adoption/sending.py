"""Gives a planned experiment of pictures to the services: its values to one, and its pictures to the other.

Each step may be repeated: what is there already changes nothing. So what was interrupted goes on when it is asked for
again.
"""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from bus.contracts.adoption import AdoptParams, AdoptPictureParams, AdoptPictureReply
from bus.contracts.experiments import ExperimentView
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.client import NoAnswerError, request
from bus.transport.keys import Keys
from learning_service.experiments.sharding import ALL, Shard
from variantbus.adoption.planning import Placed, Plan, Present, job_of, seed_of
from variantbus.client.experiments import shown
from variantbus.client.planning import ALPHABET, slug_of
from variantbus.client.records import export_of

PART_BYTES: Final = 1 << 20  # of a picture in one request
AT_ONCE: Final = 4  # pictures: the runner decodes each for its thumbnail
PICTURE_SECONDS: Final = 60.0  # for the runner to take a part of a picture, with its next start perhaps
ADOPT_SECONDS: Final = 30.0
APPLIED_SECONDS: Final = 20.0  # for the learning service to hear of a picture, since it heard of the last one
LOOK_SECONDS: Final = 0.2
NAME_MOST: Final = 200  # characters of a file's name
TRIES: Final = 100  # ids, of which some belong to other shards or were deleted
Report = Callable[[int], None]


def adopted_id(name: str, folder: Path, number: int, shard: Shard = ALL) -> str:
    """Return the id that an experiment of a folder has under a name: the same one each time.

    A higher number gives another one, for when the experiment of the first was deleted.
    """
    slug = slug_of(name)
    for count in range(number * TRIES, (number + 1) * TRIES):
        digest = hashlib.sha256(f"{folder}\0{name}\0{count or ''}".encode("utf-8", "surrogateescape")).digest()
        made = f"{slug}-{''.join(ALPHABET[byte % len(ALPHABET)] for byte in digest[:8])}"
        if shard.owns(made):
            return made
    raise InvalidInputError("--name: no id of this name belongs to the shard of the learning service; give another")


class Services:
    """The two services that an experiment of pictures is given to."""

    def __init__(self, learning: str, runner: str, keys: Keys | None) -> None:
        """Use their control addresses."""
        self._learning, self._runner, self._keys = learning, runner, keys

    def find(self, name: str, folder: Path) -> tuple[str, Present | None]:
        """Return the id for a folder under a name, and what the experiment has that was adopted under it before."""
        shard = ALL
        number = 0
        for _ in range(TRIES):
            experiment_id = adopted_id(name, folder, number, shard)
            try:
                exported = export_of(self._learning, experiment_id, self._keys)
            except ControlError as error:
                if error.code != "not_found":
                    raise
                if told := error.details.get("shard"):
                    shard = Shard.parse(told)
                elif "deleted" in error.details:
                    number += 1  # the runners may have to remove what they had under that id
                else:
                    return experiment_id, None
                continue
            return experiment_id, Present(
                definition=exported.definition, values=exported.values, pictures=exported.records.pictures
            )
        raise InvalidInputError("--name: too many experiments of this name were deleted; give another one")

    def begin(self, experiment_id: str, plan: Plan) -> ExperimentView:
        """Create the experiment, or add values to it."""
        params = AdoptParams(experiment_id=experiment_id, definition=plan.definition, values=plan.values)
        return request(self._learning, "experiment.adopt", params, ExperimentView, ADOPT_SECONDS, keys=self._keys)

    def send(self, experiment_id: str, plan: Plan, report: Report) -> None:
        """Send the pictures that are missing, some at a time; `report` gets the number of those that are there."""
        left = iter(plan.placed)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            under_way: set[Future[None]] = set()
            done = 0
            try:
                while True:
                    for placed in islice(left, AT_ONCE - len(under_way)):
                        under_way.add(pool.submit(self._send_one, experiment_id, plan, placed))
                    if not under_way:
                        return
                    ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for one in ended:
                        one.result()
                    done += len(ended)
                    report(done)
            finally:
                for future in under_way:
                    future.cancel()

    def _send_one(self, experiment_id: str, plan: Plan, placed: Placed) -> None:
        """Send a picture in parts, each from where the runner has the one before.

        Raises:
            InvalidInputError: it was changed since it was read.
        """
        picture = placed.picture
        data = picture.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise InvalidInputError(f"{picture.path}: was changed meanwhile; adopt the folder again")
        job, offset = job_of(plan, experiment_id, placed), 0
        while True:
            params = AdoptPictureParams(
                job=job,
                sha256=picture.sha256,
                name=picture.path.name.encode("utf-8", "replace").decode()[-NAME_MOST:],
                size=picture.size,
                offset=offset,
                data=data[offset : offset + PART_BYTES],
                seed=seed_of(picture.settings),
            )
            reply = self._ask(params)
            if reply.done:
                return
            offset = reply.received

    def _ask(self, params: AdoptPictureParams) -> AdoptPictureReply:
        """Send a part, again where the runner does not answer: it may be starting anew, or busy with the picture."""
        deadline = time.monotonic() + PICTURE_SECONDS
        while True:
            try:
                return request(self._runner, "job.adopt", params, AdoptPictureReply, keys=self._keys)
            except NoAnswerError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_SECONDS)

    def wait(self, experiment_id: str, pictures: int) -> ExperimentView:
        """Wait until the learning service has heard of so many pictures.

        Raises:
            ControlError: it hears of none from this runner.
        """
        heard, deadline = -1, time.monotonic() + APPLIED_SECONDS
        while True:
            with suppress(NoAnswerError):  # it may be starting anew
                view = shown(self._learning, experiment_id, self._keys)
                if view.totals.completed >= pictures:
                    return view
                if view.totals.completed > heard:
                    heard, deadline = view.totals.completed, time.monotonic() + APPLIED_SECONDS
            if time.monotonic() > deadline:
                text = f"the learning service at {self._learning} hears nothing of the runner at {self._runner}"
                raise ControlError("unavailable", f"{text}; start it with `--runner {self._runner}`, then adopt again")
            time.sleep(LOOK_SECONDS)
