"""What people change of an adaptive experiment while it decides, and what nobody can judge."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from msgspec.structs import replace

from bus.contracts.definition import Variable
from bus.contracts.experiments import ExtendParams, SetParams
from bus.contracts.messages import JobResult, SearchStatus
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.transport.steps import in_thread, wait
from learning_service.experiments.model import SearchState
from learning_service.planning import adaptive
from learning_service.search.situation import More, Situation
from learning_service.service import LearningService
from tests.integration.test_learning_adaptive import FIRST, PLAN, around, ask, run, search_of, started, work
from tests.support.factories import EXPERIMENT, ServiceThread, image, well
from tests.support.helpers import deadline, wait_until
from tests.support.learning_services import ScriptedRunner, Services, create, show, wait_for

SAMPLERS = tuple(f"sampler {number}" for number in range(12))
Learning = ServiceThread[LearningService]


def rest(learning: Learning) -> None:
    """Wait until nothing is decided any more."""
    turns = learning.service._search._turns
    wait_until(lambda: turns._last is not None and turns._last.done(), what="what follows the decision")


def at_first(
    monkeypatch: pytest.MonkeyPatch,
    kind: type[More | SearchState],
    change: Callable[[], object],
    instead: More | None = None,
) -> None:
    """Let a person change something while the first decision of a kind is made, or another one instead of it."""
    decide, changed = adaptive.load_decide(), list[object]()

    def slow(situation: Situation) -> More | SearchState | None:
        decision = decide(situation)
        if isinstance(decision, kind) and not changed:
            changed.append(change())
            return instead or decision
        return decision

    monkeypatch.setattr(adaptive, "load_decide", lambda: slow)


@pytest.mark.parametrize(("method", "reason"), [("stop", "a person stopped it"), ("cancel", "it was cancelled")])
def test_a_search_that_ends_while_a_runner_looks_at_its_next_value_plans_no_more(
    services: Services, monkeypatch: pytest.MonkeyPatch, method: str, reason: str
) -> None:
    """A person was told that it has ended."""
    runner, learning = started(services)
    asked: list[object] = []

    def check(*_: object) -> Iterator[Future[object] | None]:
        asked.append((yield from wait(in_thread(lambda: ask(learning, f"experiment.{method}"), method))))

    monkeypatch.setattr(learning.service._dispatcher, "check", check)
    done: set[str] = set()
    limit = deadline(30)
    while not asked:
        assert not limit.passed, search_of(learning)
        work(runner, done, around(4.5))
    wait_until(lambda: not learning.call(lambda: learning.service._store.cancelling(EXPERIMENT)), what="the cancel")
    rest(learning)

    search = search_of(learning)
    assert (search.state, search.reason) == ("stopped", reason)
    assert search.spent == len(runner.jobs)
    wait_until(lambda: learning.service._search.failures.find(EXPERIMENT) is None, what="that nothing is tried again")


def test_another_objective_while_it_decides_is_what_it_decides_by(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that was found for the objective before is none."""
    runner, learning = started(
        services, replace(PLAN, variable=Variable(name="cfg_scale", values=[0.5, 3.0, 6.0, 9.0, 12.0]))
    )
    other = SetParams(experiment_id=EXPERIMENT, goal="minimize")
    at_first(monkeypatch, SearchState, lambda: ask(learning, "experiment.set", other))

    ended = run(runner, learning, set(), around(3))

    assert ended.definition.goal == "minimize"
    assert ended.search is not None
    assert "cfg_scale 12" in ended.search.reason


def test_more_seeds_while_it_decides_count_in_what_is_left_of_the_budget(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search goes on as before, and says so at its end."""
    runner, learning = started(services, replace(PLAN, budget=FIRST + 5, stop_p_best=0.9999))
    more = ExtendParams(experiment_id=EXPERIMENT, jobs_per_variant=3)
    at_first(
        monkeypatch, More, lambda: ask(learning, "experiment.extend", more), More(jobs=((1.5, 0),), reason="tries")
    )

    ended = run(runner, learning, set(), lambda value, repeat: value % 3 + repeat)

    assert ended.search == SearchStatus(
        state="exhausted", budget=FIRST + 5, spent=FIRST + 5, reason=f"all {FIRST + 5} jobs of the budget are spent"
    )


def test_more_values_leave_those_that_were_never_tried(services: Services) -> None:
    """`all` then stands for all that the runners offer, not for the few that were tried."""
    runner = services.scripted()
    knob = VariableSpec(kind="str", choices=SAMPLERS)
    stage = StageSpec(variables={"sampler": knob, "prompt": VariableSpec(kind="str")})
    runner.stages = {"txt2img": stage}
    learning = services.learning(runner.address)
    create(learning, replace(PLAN, variable=Variable(name="sampler", values="all")))
    wait_until(lambda: len(runner.jobs) == FIRST, what="the first round")
    more = ExtendParams(experiment_id=EXPERIMENT, values={"sampler": [*SAMPLERS[:1]]})
    extended = ask(learning, "experiment.extend", more)

    assert extended.definition.variable is not None
    assert sorted(map(str, extended.definition.variable.values or ())) == sorted(SAMPLERS)


def test_while_a_server_is_away_there_is_a_recommendation_of_what_was_tried(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner was started again and has not reached it yet, so it does not tell what `all` is."""
    runner = services.scripted()
    knob = VariableSpec(kind="str", choices=SAMPLERS)
    runner.stages = {"txt2img": StageSpec(variables={"sampler": knob, "prompt": VariableSpec(kind="str")})}
    learning = services.learning(runner.address)
    create(learning, replace(PLAN, variable=Variable(name="sampler", values="all")))
    wait_until(lambda: len(runner.jobs) == FIRST, what="the first round")
    away = {"embedded": {"txt2img": StageSpec(unavailable="the server does not answer")}}
    monkeypatch.setattr(learning.service._dispatcher, "pipelines", lambda: away)
    monkeypatch.setattr(learning.service._recommender, "_pipelines", lambda: away)

    for place, name in enumerate(sorted(runner.jobs)):
        runner.finish(name, well(score=1.0 + place))
    wait_until(lambda: show(learning).recommendation is not None, what="a recommendation")
    wait_until(lambda: "the server does not answer" in search_of(learning).reason, what="why it does not go on")

    assert learning.service._recommender.failures.find(EXPERIMENT) is None
    assert search_of(learning).state == "searching"


def make(runner: ScriptedRunner, done: set[str], result: Callable[[str], JobResult]) -> None:
    """Finish what the runner has been sent."""
    for name in sorted(runner.jobs.keys() - done):
        runner.finish(name, result(name))
        done.add(name)


def test_files_beside_pictures_wait_for_nobody(services: Services) -> None:
    """`rate --next` shows pictures alone, and so the search waits for these alone."""
    runner, learning = started(services, replace(PLAN, objective="stars"))
    done: set[str] = set()

    def both(_name: str) -> JobResult:
        text = replace(image(f"{len(done):063x}f"), width=0, height=0, media_type="text/plain")
        return replace(well(f"{len(done):063x}0"), images=(image(f"{len(done):063x}0"), text))

    make(runner, done, both)
    wait_until(lambda: search_of(learning).reason == f"waits for ratings of {FIRST} pictures", what="that it waits")


@pytest.mark.fault(item="F178")
def test_a_search_goes_on_with_other_runners_while_one_is_away(services: Services) -> None:
    """What it had keeps none of them idle; when it is back, its jobs count."""
    away, other = services.scripted(), services.scripted()
    away.rooms, other.queue = {"embedded": 100}, 1000
    learning = services.learning(away.address, other.address)
    create(learning, PLAN)
    wait_until(lambda: len(away.jobs) == FIRST, what="the first round at the first runner")
    away.stop()
    wait_until(lambda: len(other.jobs) == 1, what="a job at the other one")
    assert search_of(learning).spent == FIRST + 1
    done: set[str] = set()
    work(other, done, around(4.5))
    wait_until(lambda: len(other.jobs) == 2, what="the next one")


def test_where_all_values_make_the_same_picture_nobody_is_asked_to_compare(services: Services) -> None:
    """`compare` has no pair to show either, so the search would wait for ever."""
    runner, learning = started(services, replace(PLAN, objective="preference"))

    make(runner, set(), lambda _name: well("a" * 64))
    wait_for(learning, "completed")

    assert search_of(learning) == SearchStatus(
        state="stopped", budget=40, spent=FIRST, reason="nothing to go by: no two values have pictures that differ"
    )


@pytest.mark.parametrize(
    ("media_type", "reason"),
    [
        ("audio/wav", f"waits for ratings of {FIRST} pictures"),
        ("application/octet-stream", "nothing to go by: no job has made anything to rate, nor reported a metric"),
    ],
)
def test_a_search_waits_for_stars_of_what_can_be_rated_alone(services: Services, media_type: str, reason: str) -> None:
    """It waited for ever for those of files that nobody can look at, which `rate --next` does not show."""
    runner, learning = started(services, replace(PLAN, objective="stars"))
    done: set[str] = set()

    def file(_name: str) -> JobResult:
        made = replace(image(f"{len(done):064x}"), width=0, height=0, media_type=media_type)
        return replace(well(), images=(made,))

    make(runner, done, file)
    wait_until(lambda: (search_of(learning).reason or "").startswith(reason), what=reason)
