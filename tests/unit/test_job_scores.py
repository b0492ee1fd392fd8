"""Measures in the record of a job, and in the request that plans it."""

import pytest
from msgspec.structs import replace

from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.contracts.scoring import ScoreSettings
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.plan import PlannedJob, check_plan, job_request
from pipeline_runner.execution.scored import timed
from pipeline_runner.queue.jobs import finished, new_record, own_metrics, retried, scored_metrics, with_scores
from pipeline_runner.queue.metrics import unmeasured
from tests.support.factories import definition, record_of, request_for

NOISE, SHARP = ScoreSettings(use=("noise",)), ScoreSettings(use=("sharpness",))
OFFERED = {"embedded": {"txt2img": StageSpec(variables={"cfg_scale": VariableSpec(kind="float")}, metrics=("loss",))}}


def test_measures_become_part_of_a_completed_job() -> None:
    """Beside those of its pipeline, with what has made them; of any other job nothing is kept."""
    done = finished(record_of(), JobResult(success=True, metrics={"loss": 1.0}), 20.0)
    first = with_scores(done, NOISE, {"noise": 2.0})
    assert first is not None
    second = with_scores(first, SHARP, {"sharpness": 3.0})
    assert second is not None
    assert second.result is not None

    assert second.result.metrics == {"loss": 1.0, "noise": 2.0, "sharpness": 3.0}
    assert second.score == ScoreSettings(use=("noise", "sharpness"))
    assert own_metrics(second) == {"loss"}
    assert with_scores(record_of(), NOISE, {"noise": 2.0}) is None
    assert own_metrics(record_of()) == set()


def test_what_was_made_is_forgotten_with_the_end() -> None:
    """The result has it; a person who runs a job again wants it made anew."""
    made = JobResult(success=True)
    running = replace(record_of(), made=made)

    assert finished(running, made, 20.0).made is None
    failed = replace(finished(running, JobResult(success=False), 20.0), made=made)
    assert retried(failed, 30.0).made is None


def test_a_record_has_what_its_request_says() -> None:
    """The scorers, and what is compared."""
    request = replace(request_for(), score=NOISE, score_base="exp-1.0.0.")
    record = new_record(request, 1.0)
    assert (record.score, record.score_base) == (NOISE, "exp-1.0.0.")


def test_a_planned_job_names_its_scorers() -> None:
    """And the job of the first value with the same repeat, in any round."""
    plain = definition()
    job = PlannedJob(1, 2)
    assert job_request("exp-1", plain, 4.0, job).score_base == ""
    request = job_request("exp-1", replace(plain, score=NOISE), 4.0, job)
    assert (request.score, request.score_base) == (NOISE, "exp-1.0.2.")


def test_scorers_are_checked_with_the_plan() -> None:
    """An objective may be what they report."""
    plan = replace(definition(), objective="noise", score=NOISE, config={})
    assert len(check_plan(plan, OFFERED)) == 2
    with pytest.raises(InvalidInputError, match="score: names nothing"):
        check_plan(replace(plan, score=ScoreSettings()), OFFERED)


def test_the_time_of_a_job_is_that_of_its_run() -> None:
    """Unless its pipeline knows better, or says that nobody knows."""
    result = JobResult(success=True)
    assert timed(result, 2.0).seconds == 2.0
    assert timed(replace(result, seconds=1.0), 2.0).seconds == 1.0
    assert timed(replace(result, untimed=True), 2.0).seconds is None


def test_an_earlier_result_is_what_its_pipeline_made() -> None:
    """Without the measures of the other job, and what was wrong with them."""
    result = JobResult(
        success=True,
        metrics={"loss": 1.0, "noise": 2.0},
        warnings=("slow", "no 'noise': scorer noise failed: x", "not scored: y", "no metric 'noise', by which …"),
    )
    assert unmeasured(result, {"noise"}) == replace(result, metrics={"loss": 1.0}, warnings=("slow",))
    assert unmeasured(result, set()) is result


def test_a_number_that_comes_later_is_not_missing_any_more() -> None:
    """What else is wrong is still told; why nothing was scored, until all is."""
    warnings = ("slow", "no 'noise': scorer noise failed: x", "no metric 'noise', by which …", "not scored: y")
    done = finished(record_of(), JobResult(success=True, warnings=warnings), 20.0)
    both = replace(done, score=ScoreSettings(use=("noise", "sharpness")))

    first = with_scores(both, NOISE, {"noise": 2.0})
    assert first is not None
    assert first.result is not None
    assert first.result.warnings == ("slow", "not scored: y")
    second = with_scores(first, SHARP, {"sharpness": 3.0})
    assert second is not None
    assert second.result is not None
    assert second.result.warnings == ("slow",)


def test_what_an_earlier_program_has_measured_is_not_the_pipelines_own() -> None:
    """Another program takes its place in the settings, and its number stays: it may be measured anew."""
    clip, look = (ScoreSettings(command=(name,), metrics=(name,)) for name in ("clip", "look"))
    done = finished(record_of(), JobResult(success=True, metrics={"loss": 1.0}), 20.0)
    first = with_scores(done, clip, {"clip": 2.0})
    assert first is not None
    second = with_scores(first, look, {"look": 3.0})
    assert second is not None
    assert second.result is not None

    assert second.result.metrics == {"loss": 1.0, "clip": 2.0, "look": 3.0}
    assert (own_metrics(second), scored_metrics(second)) == ({"loss"}, {"clip", "look"})
    third = with_scores(second, clip, {"clip": 4.0})
    assert third is not None
    assert (third.score, third.scored) == (clip, ("look",))
