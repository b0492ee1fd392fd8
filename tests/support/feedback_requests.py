"""Ratings and comparisons without sockets: an experiment whose jobs have ended, and requests about its pictures."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from bus.contracts.feedback import ComparedReply, PairReply, RatedReply
from bus.contracts.messages import ImageRated, ImagesCompared, JobResult, Message, VariantStatus
from bus.eventlog.log import Log
from bus.protocol.control import ControlError, ErrorBody
from bus.publisher import REFUSALS
from bus.transport.server import MethodServer
from learning_service.events.router import LearningController
from learning_service.events.staging import Staging
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.feedback.comparisons import ComparisonService
from learning_service.feedback.next_rating import NextRating
from learning_service.feedback.ratings import RatingService
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork
from tests.support.factories import EXPERIMENT, JobScript, context, messages, plan_jobs, planned_experiment, well

VALUES: Final = (2.0, 4.0, 8.0)
T = TypeVar("T")


def sha(number: int) -> str:
    """Return the hash of a made-up picture; its first four digits are its number."""
    return f"{number:04x}{number:060x}"


class FeedbackRequests:
    """The example experiment with two jobs a variant; what job R of variant V gives is picture 10 V + R, or as told."""

    def __init__(self, log: Log, pictures: Mapping[tuple[int, int], tuple[int, ...]] | None = None) -> None:
        """End each job with its pictures; jobs that are left out do not end."""
        self.log, self.store = log, LearningStore(log)
        self.judged: list[str] = []  # what whoever draws conclusions was told, by judgements alone
        self._controller = LearningController()
        self._methods = MethodServer(REFUSALS)
        RatingService(log, self.store).register(self._methods)
        ComparisonService(log, self.store).register(self._methods)
        NextRating(self.store).register(self._methods)
        if pictures is None:
            pictures = {(index, repeat): (10 * index + repeat,) for index in range(len(VALUES)) for repeat in (0, 1)}
        if self.store.find(EXPERIMENT) is None:
            experiment = planned_experiment(VALUES, jobs=2)
            jobs = [(job_id(EXPERIMENT, one), one) for one in plan_jobs(2, len(VALUES))]
            with log.transaction() as tx:
                self.store.insert(tx, experiment)
                self.store.add_jobs(tx, experiment, jobs)
            for (index, repeat), numbers in pictures.items():
                self.end(index, repeat, well(*(sha(number) for number in numbers)))

    def end(self, index: int, repeat: int, result: JobResult) -> None:
        """Let a job end."""
        self.store.stale.on_mark = lambda _: None
        event = JobScript(context(index, VALUES[index], repeat=repeat), job_id(EXPERIMENT, PlannedJob(index, repeat)))
        completed = event.completed(result)
        with self.log.transaction() as tx:
            work = UnitOfWork(tx, self.store)
            staging = Staging(work, self.store, self._controller)
            staging.stage(staging.decide(completed), completed, None)

    def ask(self, method: str, kind: type[T], **params: Any) -> T:
        """Ask as a client does."""
        self.store.stale.on_mark = self.judged.append
        frames = [b"1", method.encode(), msgspec.msgpack.encode({"experiment_id": EXPERIMENT, **params})]
        reply = self._methods.answer(frames)
        if reply[1] == b"error":
            raise ControlError.of(msgspec.msgpack.decode(reply[2], type=ErrorBody))
        return msgspec.msgpack.decode(reply[2], type=kind)

    def rate(self, image: str, stars: int | None, note: str = "") -> RatedReply:
        """Rate a picture."""
        return self.ask("image.rate", RatedReply, image=image, stars=stars, note=note)

    def pair(self) -> PairReply:
        """Ask what to compare next."""
        return self.ask("comparison.next", PairReply)

    def compare(self, left: int, right: int, outcome: str = "left") -> ComparedReply:
        """Compare two pictures by their numbers."""
        return self.ask("comparison.add", ComparedReply, left=sha(left), right=sha(right), outcome=outcome)

    def logged(self, prefix: str) -> list[Message | None]:
        """Return what was published."""
        return messages(self.log.fetch(prefix, 0).records)

    def rated(self) -> list[tuple[int, str, int | None]]:
        """Return the ratings that were published: variant, first digits, stars."""
        told = [one for one in self.logged("image.rated.") if isinstance(one, ImageRated)]
        return [(one.variant_index, one.sha256[:4], one.stars) for one in told]

    def compared(self) -> list[tuple[int, int, str | None]]:
        """Return the comparisons that were published: the variants, and the outcome."""
        told = [one for one in self.logged("images.compared.") if isinstance(one, ImagesCompared)]
        return [(one.left_variant, one.right_variant, one.outcome) for one in told]

    def ratings(self) -> dict[int, tuple[float, int]]:
        """Return mean and count of each variant: as it was last published, which is as it is kept."""
        newest = {one.variant_index: one for one in self.logged("variant.status.") if isinstance(one, VariantStatus)}
        kept = LearningStore(self.log).get(EXPERIMENT).variants
        assert {index: one.rating for index, one in newest.items()} == {index: kept[index].rating for index in newest}
        return {index: (one.rating.mean, one.rating.count) for index, one in newest.items() if one.rating}
