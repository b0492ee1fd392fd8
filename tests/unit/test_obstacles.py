"""What keeps an experiment from being decided, in words, and what follows from another objective."""

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from bus.contracts.experiments import SetParams
from bus.contracts.scoring import ScoreSettings
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.failures import Failures, reason_of
from learning_service.experiments.model import SearchState
from learning_service.experiments.pictures import pack
from learning_service.feedback.ratings import hint_of
from learning_service.planning.objectives import decided_by, is_judged_anew, resumed
from learning_service.recommendation.evidence import PREFERENCE, STARS, Objective, Score
from learning_service.recommendation.observations import Observations, candidates
from learning_service.recommendation.obstacles import Reported, changeless_text, problem_of, remark_on, reported_by
from learning_service.recommendation.service import make_recommendation
from learning_service.search.situation import NOTHING_TO_GO_BY
from tests.support.factories import definition, image, planned_experiment

LOS = Objective(kind="metric", name="los")
CHANGE = "`variantbus experiment set e objective=NAME` changes the objective"


@pytest.mark.fault(item="F94")
@pytest.mark.parametrize(
    ("objective", "reported", "sentence"),
    [
        (LOS, Reported(2, ["loss"], level=0), f"no job has reported 'los'; did you mean 'loss'? {CHANGE}"),
        (LOS, Reported(2, ["acc", "x"], level=4), f"no job has reported 'los', they report acc, x; {CHANGE}"),
        (LOS, Reported(2, [], level=4), f"no job has reported 'los', nor any other metric; {CHANGE}"),
        (
            STARS,
            Reported(1, ["loss"], level=0),
            f"no job has made anything to rate, they report loss; {CHANGE}",
        ),
        (
            PREFERENCE,
            Reported(1, [], level=0),
            f"no job has made anything to compare, nor reported a metric; {CHANGE}",
        ),
        (STARS, Reported(1, ["loss"], level=4), ""),
        (STARS, Reported(1, ["loss"], level=3), ""),
        (STARS, Reported(1, [], level=1), ""),
        (
            PREFERENCE,
            Reported(1, ["loss"], level=1),
            f"only texts have come, which nobody has compared yet, and they report loss; {CHANGE}",
        ),
        (LOS, Reported(0, [], level=0), ""),
    ],
)
def test_an_objective_that_never_comes_is_told(objective: Objective, reported: Reported, sentence: str) -> None:
    """As soon as a job has completed without it, with what there is instead."""
    assert problem_of("e", objective, 0, reported) == sentence
    assert problem_of("e", objective, 1, reported) == ""


def test_a_problem_is_told_without_the_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take a second to load and memory; the answer is the one that they would give, but for its sentence."""
    experiment = planned_experiment()
    seen = Observations([], candidates(experiment), LOS, Reported(1, ["loss"], level=0))
    theirs = make_recommendation(experiment, seen._replace(reported=Reported(0, [], level=0)))
    monkeypatch.setattr("learning_service.recommendation.service.load_statistics", None)

    made = make_recommendation(experiment, seen)

    assert made.problem == made.sentence != ""
    assert replace(made, sentence=theirs.sentence, problem=UNSET) == theirs


@pytest.mark.parametrize(
    ("objective", "seen", "sentence"),
    [
        (LOS, 2, "3 of 5 completed jobs report no 'los'"),
        (LOS, 4, "1 of 5 completed job reports no 'los'"),
        (LOS, 5, ""),
        (LOS, 0, ""),
        (STARS, 2, ""),
    ],
)
def test_jobs_without_the_metric_are_counted(objective: Objective, seen: int, sentence: str) -> None:
    """Beside those that report it."""
    assert remark_on(objective, seen, Reported(5, ["los"], level=0)) == sentence


def test_what_jobs_have_brought_is_known_of_the_variants() -> None:
    """Nothing is read for it."""
    experiment = planned_experiment()
    assert reported_by(experiment) == Reported(0, [], level=0)
    variant = experiment.variants[1]
    experiment.put(replace(variant, completed=1, metric_sums={"b": (1.0, 1), "a": (1.0, 1)}, packed=pack([image()])))
    assert reported_by(experiment) == Reported(1, ["a", "b"], level=4)


@pytest.mark.fault(item="F95")
def test_judgements_that_decide_nothing_are_told() -> None:
    """With the way to let them decide."""
    experiment = planned_experiment()
    assert hint_of(experiment, STARS) == ""
    assert hint_of(experiment, PREFERENCE).startswith("comparisons do not decide this experiment, its")
    experiment.definition = replace(experiment.definition, objective="loss", goal="minimize")
    hint = hint_of(experiment, STARS)
    assert "its objective is minimize loss; `variantbus experiment set exp-1 objective=stars` lets them" in hint


def test_another_objective_has_its_own_goal() -> None:
    """What is not given stays; between metrics so does the goal, as a name that is mended means the same number."""
    loss = replace(definition(), objective="loss", goal="minimize")

    def after(**params: str) -> tuple[str, str | None]:
        changed = decided_by(loss, SetParams(experiment_id="e", **params))  # type: ignore[arg-type]
        return changed.objective, changed.goal

    assert after(objective="stars") == ("stars", definition().goal)
    assert after(objective="acc", goal="maximize") == ("acc", "maximize")
    assert after(objective="validation_loss") == ("validation_loss", "minimize")
    assert after(objective="seconds") == ("seconds", None)
    assert decided_by(definition(), SetParams(experiment_id="e", objective="loss")).goal is None
    assert after(objective="loss") == ("loss", "minimize")
    assert after(goal="maximize") == ("loss", "maximize")
    with pytest.raises(InvalidInputError, match=r"^objective: missing"):
        after()


def test_the_limit_of_the_time_is_set_and_taken_away() -> None:
    """It stays under another objective; the answer is made anew, but for another spelling of the same."""
    plain = definition()
    limited = decided_by(plain, SetParams(experiment_id="e", within="20%"))
    assert limited.slack == 0.2
    assert decided_by(limited, SetParams(experiment_id="e", objective="loss")).within == "20%"
    assert decided_by(limited, SetParams(experiment_id="e", within="none")) == plain
    assert is_judged_anew(plain, limited)
    assert not is_judged_anew(limited, decided_by(limited, SetParams(experiment_id="e", within="20 %")))


@pytest.mark.parametrize(
    ("before", "goes_on"),
    [
        (SearchState("decided", "6 is best"), True),
        (SearchState("exhausted", "all spent"), True),
        (SearchState("searching", "tries 5"), True),
        (SearchState("stopped", f"{NOTHING_TO_GO_BY}: no job has reported 'los'"), True),
        (SearchState("stopped", "a person stopped it"), False),
        (SearchState("stopped", "it was cancelled"), False),
    ],
)
def test_a_search_goes_on_under_another_objective(before: SearchState, goes_on: bool) -> None:
    """Unless somebody has stopped it."""
    assert resumed(before) == (SearchState("searching") if goes_on else before)
    assert resumed(None) is None


@pytest.mark.fault(item="F96")
def test_failures_are_counted_until_a_success_and_wait_longer_each_time() -> None:
    """Doubling from a second to five minutes."""
    failures = Failures()
    assert failures.find("e") is None
    waits = [failures.note("e", "why").seconds for _ in range(12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    failures.note("other", "why")
    assert failures.longest() == [("e", 12), ("other", 1)]
    assert "why; it is tried again within 300 s" in str(failures.find("e") and failures.find("e").text)  # type: ignore[union-attr]
    failures.forget("e")
    assert failures.longest() == [("other", 1)]


def test_a_reason_is_a_sentence_of_bounded_length() -> None:
    """Of an error with a sentence of its own, that."""
    assert reason_of(ControlError("unavailable", "no server")) == "no server"
    assert reason_of(ZeroDivisionError("x" * 1000)).startswith("ZeroDivisionError: xxx")
    assert len(reason_of(ZeroDivisionError("x" * 1000))) < 400


def test_a_variable_that_changes_nothing_is_told() -> None:
    """As the scorer `change` has measured: not if one picture differs, or was not compared, or nobody has asked."""
    plain = planned_experiment()
    experiment = planned_experiment()
    experiment.definition = replace(experiment.definition, score=ScoreSettings(use=("change",)))
    for one in (plain, experiment):
        done = {"completed": 2, "metric_sums": {"change": (0.0, 2)}}
        one.changed.update({index: replace(variant, **done) for index, variant in one.variants.items()})
    told = "cfg_scale changes nothing: with the same seed, all values so far make the same picture"

    assert changeless_text("cfg_scale", reported_by(experiment)) == told
    assert changeless_text("cfg_scale", reported_by(plain)) == ""
    for sums in ({"change": (0.1, 2)}, {"change": (0.0, 1)}, {}):
        experiment.changed[1] = replace(experiment.variants[1], metric_sums=sums)
        assert not reported_by(experiment).is_changeless
    experiment.changed[1] = replace(experiment.variants[1], completed=0)
    assert not reported_by(experiment).is_changeless


def test_what_changes_nothing_is_part_of_the_answer() -> None:
    """Beside what the numbers say, as more of the same would not change it."""
    reported = Reported(2, ["change"], level=4, is_changeless=True)
    objective = Objective(kind="metric", name="change")
    scores = [Score(variant_index=index, repeat_index=0, score=0.0) for index in (0, 1)]
    experiment = planned_experiment()

    made = make_recommendation(experiment, Observations(scores, candidates(experiment), objective, reported))

    assert made.problem == "cfg_scale changes nothing: with the same seed, all values so far make the same picture"
    assert made.sentence.endswith(f"; {made.problem}")
