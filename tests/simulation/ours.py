"""Our search, driven without a service: the decisions of `learning_service.search` on made-up scores."""

from msgspec.structs import asdict

from bus.contracts.messages import RecommendationUpdated
from learning_service.experiments.model import SearchState
from learning_service.experiments.space import Point, first_round
from learning_service.recommendation.evidence import Score
from learning_service.search.policy import Situation, decide
from learning_service.search.propose import propose
from tests.simulation.ways import Job, answer_to
from tests.simulation.worlds import World


class Ours:
    """An adaptive experiment with this budget."""

    def __init__(self, world: World, _jobs: int) -> None:
        """Plan the first round."""
        self.stopped = ""
        self._world = world
        self._points = list(world.space.points())
        self._find = world.space.finder()
        self._seeds: dict[Point, int] = {}
        self._queue: list[Job] = []
        self._scores: list[Score] = []
        self._plan([self._point(value) for value in first_round(world.space)], world.definition.jobs_per_variant)

    def ask(self) -> Job | None:
        """Return the next job of the round, or of the next round."""
        if not self._queue and not self.stopped:
            self._decide()
        return self._queue.pop(0) if self._queue else None

    def tell(self, score: Score) -> None:
        """Note a score."""
        self._scores.append(score)

    def _decide(self) -> None:
        definition = self._world.definition
        answer = answer_to(self._world, self._scores)
        decision = decide(
            Situation(
                experiment_id=definition.name,
                definition=definition,
                space=self._world.space,
                tried=self._seeds,
                spent=sum(self._seeds.values()),
                answer=RecommendationUpdated(experiment_id=definition.name, **asdict(answer)),
            ),
            propose,
        )
        if isinstance(decision, SearchState):
            self.stopped = decision.state
        else:
            self._plan([self._point(value) for value in decision.values], decision.seeds)

    def _plan(self, points: list[Point], seeds: int) -> None:
        for point in points:
            before = self._seeds.get(point, 0)
            self._queue += [Job(self._points.index(point), seed) for seed in range(before, seeds)]
            self._seeds[point] = max(before, seeds)

    def _point(self, value: object) -> Point:
        point = self._find(value)  # type: ignore[arg-type]
        assert point is not None
        return point
