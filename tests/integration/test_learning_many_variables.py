"""Experiments over several variables in the learning service: planned, extended, searched, and imported."""

from collections import Counter

import pytest
from msgspec.structs import replace

from bus.contracts.archive import ImportParams, Records
from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.experiments import ExperimentView, ExtendParams, PlanParams, PlanReply
from bus.contracts.fields import Scalar, VariantValue
from bus.protocol.control import ControlError
from bus.transport.client import request
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, ServiceThread
from tests.support.helpers import wait_until
from tests.support.learning_services import SMALL, Services, address_of, create, show

CFG = Variable(name="cfg_scale", values=[1, 2, 3, 4])
BEAST = Variable(name="beast", values=["cat", "dog"], setting="prompt", replace="cat")
STYLE = Variable(name="style", values=["oil", "photo"], fills=True)
NAMED = Variable(name="preset", values=["low", "high"], settings={"low": {"cfg_scale": 1}, "high": {"cfg_scale": 9}})


def plan(*variables: Variable, sample: int | None = None) -> ExperimentDefinition:
    """Return an experiment over some variables."""
    config = {"prompt": "a {style} cat"} if STYLE in variables else {"prompt": "a cat"}
    return replace(SMALL, variable=None, variables=variables, config=config, sample=sample, jobs_per_variant=1)


def extend(learning: ServiceThread[LearningService], **values: list[Scalar]) -> ExperimentView:
    """Plan more values."""
    params = ExtendParams(experiment_id=EXPERIMENT, values=values)
    return request(address_of(learning), "experiment.extend", params, ExperimentView)


def values_of(view: ExperimentView) -> list[VariantValue]:
    """Return the values of the variants."""
    return [one.variant_value for one in view.variants]


def test_parts_of_a_prompt_are_in_the_jobs_and_named_in_their_contexts(services: Services) -> None:
    """Also those of a value that is added."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, plan(BEAST, STYLE))
    extend(learning, style=["ink"])
    wait_until(lambda: len(runner.jobs) == 6, what="the jobs")

    made = {str(job.config["prompt"]): job.learning_context for job in runner.jobs.values()}
    assert set(made) == {f"a {style} {beast}" for style in ("oil", "photo", "ink") for beast in ("cat", "dog")}
    context = made["a ink dog"]
    assert context
    assert (context.variant_value, context.variable_under_test) == ({"beast": "dog", "style": "ink"}, "beast x style")
    assert context.settings == ("prompt",)
    for name in list(runner.jobs):
        runner.finish(name)
    wait_until(lambda: show(learning).status == "completed", what="the end")


def test_a_sample_grows_by_the_same_share_of_the_grid(services: Services) -> None:
    """What was planned is kept; what is added has the new value. Without new values nothing is."""
    learning = services.learning(services.scripted().address)
    three = plan(CFG, BEAST, STYLE, sample=8)
    create(learning, three)
    before = values_of(show(learning))
    assert len(before) == 8

    after = extend(learning, cfg_scale=[5, 6])

    assert values_of(after)[:8] == before
    added = [value["cfg_scale"] for value in values_of(after)[8:] if isinstance(value, dict)]
    assert Counter(added).keys() == {5, 6}
    assert len(added) == 4
    assert after.definition.sample == 12
    assert values_of(extend(learning, cfg_scale=[6])) == values_of(after)


def test_a_named_value_needs_its_settings(services: Services) -> None:
    """One that is there already adds nothing."""
    learning = services.learning(services.scripted().address)
    create(learning, plan(NAMED, BEAST))

    assert len(extend(learning, preset=["low"], beast=["owl"]).variants) == 6
    with pytest.raises(
        ControlError, match=r"^values.preset: 'best' is no named value of variables #1; named are low, "
    ):
        extend(learning, preset=["best"])
    assert len(show(learning).variants) == 6


def test_a_search_over_many_variables_begins_with_a_part_of_a_grid_of_any_size(services: Services) -> None:
    """The limit of values is for those that it may try."""
    learning = services.learning(services.scripted().address)
    create(learning, plan(CFG))  # which waits for the runner
    large = [Variable(name=name, start=1, stop=30, step=1) for name in ("cfg_scale", "x", "y")]
    search = replace(
        plan(*(replace(one, fills=True) if one.name != "cfg_scale" else one for one in large)),
        mode="adaptive",
        budget=40,
        objective="score",
        config={"prompt": "{x} {y}"},
    )

    def planned(definition: ExperimentDefinition) -> int:
        reply = request(address_of(learning), "experiment.plan", PlanParams(definition=definition), PlanReply)
        assert len(set(map(str, reply.values))) == len(reply.values)
        return len(reply.values)

    assert planned(search) == 12
    assert planned(replace(search, sample=25)) == 25
    with pytest.raises(ControlError, match=r"^budget: a search over 27000 combinations has at most 1000 jobs; take"):
        planned(replace(search, budget=1001))
    with pytest.raises(ControlError, match=r"^budget: 40 is less than the 41 jobs of the first round"):
        planned(replace(search, sample=41))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([{"beast": "cat", "style": "oil"}, {"beast": "dog"}], r"^values #1: is no value of beast, style; export it"),
        ([{"beast": "c" * 60_000, "style": "oil"}], r"^prompt: may become 1200\d\d characters long"),
    ],
)
def test_an_import_with_other_values_than_its_variables_have_is_refused(
    services: Services, values: list[VariantValue], message: str
) -> None:
    """What its jobs were could not be said, or would fill the memory."""
    learning = services.learning(services.scripted().address)
    twice = replace(plan(BEAST, STYLE), config={"prompt": "{style} cat cat"})
    params = ImportParams(
        experiment_id="exp-2", definition=twice, values=values, created_at=1.0, records=Records(), part=0, parts=1
    )
    with pytest.raises(ControlError, match=message):
        request(address_of(learning), "experiment.import", params, ExperimentView)
