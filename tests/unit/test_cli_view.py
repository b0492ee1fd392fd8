"""How an experiment looks on the screen while its jobs wait, and what is said where there is no screen."""

import pytest
from msgspec.structs import replace
from rich.console import Console

from bus.contracts.definition import Block, Variable
from bus.contracts.jobs import LaneView, PipelinesReply
from bus.contracts.messages import ExperimentStatus, ImageRef, Totals
from learning_service.experiments.model import variant_status
from tests.support.factories import EXPERIMENT, definition, planned_experiment
from variantbus.cli.view import ALONE, ExperimentScreen, Wait, blocks_line, files_text, summary_line, variables_line
from variantbus.cli.waiting import Reason, reason_in

AWAY = "no web UI at http://127.0.0.1:7860"
RUNNING = ExperimentStatus(
    experiment_id=EXPERIMENT,
    experiment_name="CFG sweep",
    status="running",
    definition=definition(),
    totals=Totals(variants=2, jobs=12, running=1, completed=2, failed=0, cancelled=0),
    eta_seconds=21.0,
    created_at=0.0,
    updated_at=0.0,
    revision=1,
)


def file(digit: str, name: str) -> ImageRef:
    """Return a result that is no picture."""
    return ImageRef(sha256=digit * 64, path="x", width=0, height=0, media_type="text/csv", name=name)


def drawn(screen: ExperimentScreen) -> str:
    """Draw a screen as text."""
    console = Console(width=100)
    with console.capture() as capture:
        console.print(screen.render())
    return capture.get()


def test_the_table_says_what_everything_waits_for_and_estimates_nothing_meanwhile() -> None:
    """The estimate comes back with the jobs."""
    screen = ExperimentScreen(experiment=RUNNING)
    assert "2/12, 21 s left" in drawn(screen)

    screen.waits_for = AWAY

    assert f"waits: {AWAY}" in drawn(screen)
    assert "left" not in drawn(screen)


@pytest.mark.parametrize("status", ["completed", "partial", "failed", "cancelled"])
def test_what_has_ended_waits_for_nothing(status: str) -> None:
    """Whatever its pipeline does now."""
    screen = ExperimentScreen(experiment=replace(RUNNING, status=status), waits_for=AWAY)

    assert screen.reason == ""
    assert "waits" not in drawn(screen)


def test_a_reason_from_afar_cannot_act_on_the_terminal() -> None:
    """It is one line of printable text."""
    assert ExperimentScreen(experiment=RUNNING, waits_for="a\n\x1b[2Jb").reason == " [2Jb"


def test_a_wait_is_told_when_it_begins_and_when_it_is_over() -> None:
    """Once each, though the reason counts seconds."""
    screen, wait = ExperimentScreen(experiment=RUNNING), Wait()
    told = []
    for reason in ("", "rests for 2 s", "rests for 1 s", "", "", "paused"):
        screen.waits_for = reason
        told.append(wait.news(screen))
    assert told == ["", "waits: rests for 2 s", "", "goes on", "", "waits: paused"]

    screen.experiment = replace(RUNNING, status="cancelled")

    assert wait.news(screen) == ""


def test_the_reason_is_that_of_the_pipeline() -> None:
    """Another one may be away, or there may be no such pipeline."""
    lane = LaneView(queued=1, running=0, concurrency=1, room=9, paused=False, waits_for="")
    lanes = {"webui": replace(lane, waits_for=AWAY), "noop": lane}
    reply = PipelinesReply(pipelines={}, outputs="", queued=0, running=0, lanes=lanes)

    assert [reason_in(reply, name) for name in ("webui", "noop", "")] == [AWAY, "", ""]


def test_a_runner_is_silent_when_it_misses_two_questions_in_a_row() -> None:
    """One may be a busy moment; an answer ends the silence."""
    reason = Reason("tcp://127.0.0.1:5561")
    told = []
    for step in (reason.miss, lambda: reason.hear(""), reason.miss, reason.miss, lambda: reason.hear("paused")):
        step()
        told.append(reason.text)

    assert told == ["", "", "", "the runner at tcp://127.0.0.1:5561 does not answer", "paused"]


def test_a_silent_runner_holds_nothing_up_while_jobs_go_on() -> None:
    """They run at another one then; what a runner says of its own queue stays."""
    reason = Reason("tcp://127.0.0.1:5561")
    reason.miss()
    reason.miss()

    reason.note_progress()

    assert reason.text == ""
    reason.miss()
    assert reason.text == ""
    reason.hear("paused")
    reason.note_progress()
    assert reason.text == "paused"


def test_what_a_server_did_otherwise_stands_beside_its_variant() -> None:
    """The newest warning with how many jobs have one; an error counts more."""
    experiment = planned_experiment((2.0, 4.0))
    warned, failed = (variant_status(experiment, variant) for variant in experiment.variants.values())
    drift = "sampler_name: asked for 'a', the server used 'b'"
    warned = replace(warned, warned=3, warning=drift)
    screen = ExperimentScreen(experiment=RUNNING)
    screen.take(warned)
    screen.take(replace(failed, warned=1, warning=drift, error="no memory"))

    assert f"3 with warnings: {drift}" in " ".join(drawn(screen).split())
    assert "no memory" in drawn(screen)
    assert "1 with warnings" not in drawn(screen)
    assert summary_line(warned).endswith(f", 3 with warnings: {drift}")


def test_of_many_metrics_the_one_that_decides_is_shown() -> None:
    """Before the others, which come by their names."""
    experiment = planned_experiment((2.0,))
    (variant,) = (variant_status(experiment, one) for one in experiment.variants.values())
    measured = replace(variant, metrics={"a": 1.0, "b": 2.0, "c": 3.0, "sharpness": 4.0})
    screen = ExperimentScreen(
        experiment=replace(RUNNING, definition=replace(RUNNING.definition, objective="sharpness"))
    )
    screen.take(measured)

    assert "sharpness 4, a 1, b 2" in screen.summary(measured)
    assert "sharpness" in drawn(screen)
    assert "a 1, b 2, c 3" in ExperimentScreen().summary(measured)


@pytest.mark.fault(item="F154")
@pytest.mark.parametrize(
    ("objective", "exclusive", "said"), [("stars", None, False), ("seconds", None, True), ("seconds", False, False)]
)
def test_it_is_said_where_jobs_run_alone(objective: str, exclusive: bool | None, said: bool) -> None:
    """Else nobody would understand why only one of two workers is busy."""
    plan = replace(definition(), objective=objective, exclusive=exclusive)

    assert (ALONE in drawn(ExperimentScreen(experiment=replace(RUNNING, definition=plan)))) == said


def test_it_is_said_under_which_prompts_each_value_is_tried() -> None:
    """Shortened, so that they are told apart; one prompt is not worth a line."""
    prompts = ("a star", "a\x1bheart", *(f"{'a very long prompt ' * 9}{number}" for number in range(5)))
    plan = replace(definition(jobs=2), blocks=tuple(Block(config={"prompt": prompt}) for prompt in prompts))

    line = blocks_line(plan)

    assert line.startswith("2 seeds under each prompt: a star · a heart · a very")
    assert line.endswith(" and 2 more")
    assert len(line) < 200
    assert blocks_line(replace(plan, blocks=plan.blocks[:1])) == ""
    status = replace(RUNNING, definition=replace(plan, blocks=plan.blocks[:2]))
    assert "2 seeds under each prompt: a star · a heart" in drawn(ExperimentScreen(experiment=status))


def test_results_that_are_no_pictures_are_named_with_their_hash() -> None:
    """The newest one; `variantbus job output` takes the hash."""
    picture = replace(file("a", "x.png"), width=8, height=8, media_type="image/png")
    one, other = file("b", "one.csv"), file("c", "two\x1b.csv")

    assert files_text((picture,)) == ""
    assert files_text((picture, one)) == "one.csv (bbbbbbbb)"
    assert files_text((one, other, other)) == "two\N{REPLACEMENT CHARACTER}.csv (cccccccc) +1"
    experiment = planned_experiment()
    variant = replace(variant_status(experiment, experiment.variants[0]), images=(one,))
    screen = ExperimentScreen(experiment=RUNNING)
    screen.take(variant)
    assert "one.csv (bbbbbbbb)" in drawn(screen)


@pytest.mark.fault(item="F157")
def test_lines_tell_long_values_from_each_other_as_the_table_does() -> None:
    """Two prompts with the same beginning and end, where no table is drawn."""
    prompts = [f"{'a long way ' * 20}{colour}{' to go' * 20}" for colour in ("red", "blue")]
    statuses = [
        variant_status(one, variant) for one in [planned_experiment(prompts)] for variant in one.variants.values()
    ]
    screen = ExperimentScreen(experiment=RUNNING)
    for status in statuses:
        screen.take(status)

    lines = [screen.summary(status) for status in statuses]

    assert "red" in lines[0]
    assert "blue" in lines[1]


def test_what_values_stand_for_is_in_a_line() -> None:
    """Presets with their settings, parts of texts, and whether all combinations are there."""
    preset = Variable(name="preset", values=["fast", "good"], settings={"fast": {"steps": 4}, "good": {"steps": 30}})
    part = Variable(name="beast", values=["dog"], replace="cat", setting="prompt")
    plan = replace(
        definition(), variable=None, variables=(preset, part, Variable(name="style", values=["oil"], fills=True))
    )

    assert variables_line(definition()) == ""
    assert variables_line(replace(plan, sample=3, skip=({"beast": "dog"},))) == (
        "preset fast: steps 4 · preset good: steps 30 · beast: in the place of cat in prompt"
        " · style: in the place of {style} · a sample of all combinations · some combinations are skipped"
    )
    many = replace(preset, values=[*range(9)], settings={str(number): {"steps": number} for number in range(9)})
    assert variables_line(replace(plan, variables=(many,))).endswith("preset 4: steps 4 · and 4 more")
