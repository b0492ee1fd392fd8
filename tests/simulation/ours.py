"""Our search, driven without a service: the decisions of `learning_service.search` on made-up scores."""

from msgspec.structs import replace

from learning_service.experiments.model import SearchState
from learning_service.experiments.skips import Point
from learning_service.experiments.space import first_round
from learning_service.recommendation.evidence import Score
from learning_service.recommendation.observations import objective_of
from learning_service.search.policy import decide
from learning_service.search.situation import More, Situation
from tests.simulation.ways import Job
from tests.simulation.worlds import World


class Ours:
    """An adaptive experiment with this budget, whose jobs run one at a time."""

    def __init__(self, world: World, jobs: int) -> None:
        """Plan the first round, one seed of each value."""
        self.stopped = ""
        self._definition = replace(world.definition, jobs_per_variant=1, budget=jobs)
        self._space = world.space
        self._points = list(world.space.points())
        find = world.space.finder()
        firsts = [find(value) for value in first_round(world.space)]
        self._queue = [Job(self._points.index(point), 0) for point in firsts if point is not None]
        self._planned: dict[Point, frozenset[int]] = {}
        self._scores: list[Score] = []
        for job in self._queue:
            self._note(job)

    def ask(self) -> Job | None:
        """Return the next job, or nil if the search has ended."""
        if not self._queue and not self.stopped:
            self._decide()
        return self._queue.pop(0) if self._queue else None

    def tell(self, score: Score) -> None:
        """Note a score."""
        self._scores.append(score)

    def _note(self, job: Job) -> None:
        point = self._points[job.value]
        self._planned[point] = self._planned.get(point, frozenset()) | {job.seed}

    def _decide(self) -> None:
        decision = decide(
            Situation(
                experiment_id=self._definition.name,
                definition=self._definition,
                space=self._space,
                objective=objective_of(self._definition),
                points=dict(enumerate(self._points)),
                planned=self._planned,
                seen=self._scores,
                spent=len(self._scores),
            )
        )
        if isinstance(decision, SearchState):
            self.stopped = decision.state
            return
        assert isinstance(decision, More)
        find = self._space.finder()
        for value, repeat in decision.jobs:
            point = find(value)
            assert point is not None
            self._queue.append(Job(self._points.index(point), repeat))
            self._note(self._queue[-1])
