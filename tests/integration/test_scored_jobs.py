"""Jobs whose pictures are measured: before their end, after it, and whatever fails meanwhile."""

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace
from PIL import Image

from bus.contracts.jobs import JobView
from bus.contracts.messages import JobCompleted, JobResult
from bus.contracts.scoring import ScoreSettings
from bus.protocol.control import ControlError
from pipeline_runner.execution import scored, workers
from pipeline_runner.outputs import verification
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.scoring.measuring import Measured, Measuring
from tests.support.factories import context
from tests.support.helpers import wait_until
from tests.support.painting_runner import picture
from tests.support.scorers import ScoringRunner, asked, by_program

NAMED = ScoreSettings(use=("sharpness", "contrast"))
MINE, OTHER = context(experiment="exp-1"), context(experiment="exp-2")


def striped(light: int = 255) -> bytes:
    """Encode a picture of black and light stripes."""
    buffer = io.BytesIO()
    image = Image.new("L", (16, 16))
    image.putdata([light * (place % 2) for place in range(256)])
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_job_ends_with_its_measures(scoring_runner: ScoringRunner) -> None:
    """Several pictures have their mean; the time of the scorers is not that of the job."""
    scoring_runner.painter.data = [striped(), picture()]
    scoring_runner.send(scoring_runner.job("a", NAMED, MINE))

    result = scoring_runner.ended("a")

    assert result.metrics["contrast"] == pytest.approx(0.25, abs=1e-3)  # 0.5 and 0
    assert result.metrics["sharpness"] > 100
    assert result.warnings == ()
    assert result.seconds is not None
    began = scoring_runner.ask("job.show", {"job_id": "a"}, JobView)
    assert result.seconds < began.finished_at - began.started_at


@pytest.mark.parametrize(
    ("score", "told"),
    [
        (ScoreSettings(use=("sharpnes",)), "score.use: scorer 'sharpnes' is not installed; did you mean 'sharpness'?"),
        (ScoreSettings(use=("psnr",)), "score.options.psnr.reference: missing; add it"),
        (
            ScoreSettings(use=("psnr",), options={"psnr": {"reference": "/no/such.png"}}),
            "score.options.psnr.reference: /no/such.png cannot be read by the runner: No such file or directory",
        ),
        (
            ScoreSettings(use=("psnr",), options={"psnr": {"reference": __file__}}),
            f"score.options.psnr.reference: {__file__} is no picture that can be read",
        ),
        (
            ScoreSettings(use=("psnr",), options={"psnr": {"reference": 5}}),
            "score.options.psnr.reference: must be text, not 5",
        ),
        (
            ScoreSettings(use=("contrast",), options={"contrast": {"x": 5}}),
            "score.options.contrast.x: unknown option; it takes none",
        ),
        (ScoreSettings(), 'score: names nothing; write for example use = ["sharpness"], or a command'),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(
    scoring_runner: ScoringRunner, score: ScoreSettings, told: str
) -> None:
    """With the field, and what to do; for a plan, for a job, and for a job that has completed."""
    for method in ("job.check", "job.submit"):
        with pytest.raises(ControlError) as refused:
            scoring_runner.ask(method, {"jobs": [scoring_runner.job("a", score, MINE)]})
        assert refused.value.message == told
    scoring_runner.paint("b", MINE)
    with pytest.raises(ControlError) as refused:
        scoring_runner.score(score, b="")
    assert refused.value.message == told


@pytest.mark.fault(item="F183")
def test_a_scorer_that_fails_costs_only_its_number(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """The job completes with the others, and a warning that has the reason."""
    score = replace(by_program(tmp_path, 'sys.exit("no model")'), use=("contrast",))
    mark = replace(MINE, metric="value")
    scoring_runner.send(scoring_runner.job("a", score, mark))

    result = scoring_runner.ended("a")

    assert list(result.metrics) == ["contrast"]
    assert result.warnings == (
        "no 'value': score.command failed: it ended with exit status 1: no model",
        "no metric 'value', by which the experiment is decided; it reports contrast",
    )
    assert len(asked(tmp_path)) == 3
    assert result.images


def test_what_the_pipeline_reports_itself_stays(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """A stage that does not say what it reports may meet the same name only when it has run."""
    scoring_runner.painter.metrics = {"value": 7.0}
    scoring_runner.send(scoring_runner.job("a", by_program(tmp_path), MINE))

    result = scoring_runner.ended("a")

    assert result.metrics == {"value": 7.0}
    assert result.warnings == ("not kept: the scorers' value, as the pipeline reports the same name",)
    scoring_runner.painter.metrics = {"contrast": 7.0}
    scoring_runner.paint("b", MINE)
    with pytest.raises(ControlError, match="score: 'contrast' is what the pipeline reports itself"):
        scoring_runner.score(NAMED, b="")


def test_a_result_without_a_picture_is_not_measured(scoring_runner: ScoringRunner) -> None:
    """It says so."""
    scoring_runner.painter.data = []
    scoring_runner.send(scoring_runner.job("a", NAMED, MINE))

    result = scoring_runner.ended("a")

    assert (result.metrics, result.warnings) == ({}, ("not scored: the job has made no picture",))


def test_an_earlier_result_is_measured_as_the_new_job_asks(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """The measures of the first job, and what was wrong with them, are not those of the second."""
    scoring_runner.painter.told = "v1"
    scoring_runner.painter.metrics = {"own": 1.0}
    scoring_runner.send(scoring_runner.job("a", replace(by_program(tmp_path, "sys.exit(1)"), use=("contrast",)), MINE))
    assert scoring_runner.ended("a").warnings
    scoring_runner.send(scoring_runner.job("b", ScoreSettings(use=("sharpness",)), OTHER))
    scoring_runner.send(scoring_runner.job("c", None, OTHER))

    second, third = scoring_runner.ended("b"), scoring_runner.ended("c")

    assert scoring_runner.painter.runs == ["a"]
    assert (sorted(second.metrics), second.warnings, second.reused_from) == (["own", "sharpness"], (), "a")
    assert (sorted(third.metrics), third.warnings, third.reused_from) == (["own"], (), "a")


@pytest.mark.fault(item="F103")
def test_an_earlier_result_that_goes_until_the_job_ends_is_made_again(
    scoring_runner: ScoringRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are looked for when the job ends, and not only when they are measured."""
    painter = scoring_runner.painter
    painter.told = "v1"
    scoring_runner.send(scoring_runner.job("a", NAMED, MINE))
    assert scoring_runner.ended("a").success

    def with_measures(job: NormalizedJobRecord, made: JobResult, measured: Measured, measuring: Measuring) -> JobResult:
        if made.reused_from:
            (painter.outputs.root / made.images[0].path).unlink()
        return scored.with_measures(job, made, measured, measuring)

    monkeypatch.setattr(workers, "with_measures", with_measures)
    scoring_runner.send(scoring_runner.job("b", NAMED, OTHER))

    result = scoring_runner.ended("b")
    assert (painter.runs, result.reused_from, sorted(result.metrics)) == (["a", "b"], None, ["contrast", "sharpness"])
    assert (painter.outputs.root / result.images[0].path).exists()


@pytest.mark.fault(item="F184")
def test_a_shutdown_repeats_the_measuring_and_not_the_picture(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """The next start measures what was made; unless its files are gone, then it is made again."""
    body = 'if total < 2:\n    time.sleep(600)\nanswer({"value": 0.5})'
    scoring_runner.send(scoring_runner.job("a", by_program(tmp_path, body), MINE))
    wait_until(lambda: asked(tmp_path), what="the first question")

    scoring_runner.runner.stop()
    scoring_runner.restart()
    result = scoring_runner.ended("a")

    assert result.metrics == {"value": 0.5}
    assert scoring_runner.painter.runs == ["a"]
    assert len(asked(tmp_path)) == 2
    with closing(sqlite3.connect(scoring_runner.folder / "runner.db")) as db:
        assert list(verification.verify(db, scoring_runner.painter.outputs.root)) == [], "an earlier attempt made it"


def test_what_was_made_and_is_gone_is_made_again(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """A person may have removed it while no runner ran."""
    body = 'if total < 2:\n    time.sleep(600)\nanswer({"value": 0.5})'
    scoring_runner.send(scoring_runner.job("a", by_program(tmp_path, body), MINE))
    wait_until(lambda: asked(tmp_path), what="the first question")

    scoring_runner.runner.stop()
    for path in (tmp_path / "outputs").rglob("*.png"):
        path.unlink()
    scoring_runner.restart()

    assert scoring_runner.ended("a").metrics == {"value": 0.5}
    assert scoring_runner.painter.runs == ["a", "a"]


def test_a_cancelled_job_keeps_what_it_has_made(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """It had completed but for its measures; the scorer is ended at once."""
    scoring_runner.send(scoring_runner.job("a", by_program(tmp_path, "time.sleep(600)"), MINE))
    wait_until(lambda: asked(tmp_path), what="the question")

    scoring_runner.ask("job.cancel", {"job_id": "a"})
    result = scoring_runner.ended("a")

    assert result.images
    assert result.warnings[0].startswith("not scored: the job was cancelled")


def test_completed_jobs_are_measured_later(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """As new metrics of their results; what is there already is only published again, as who asks may lack it."""
    scoring_runner.paint("a", MINE)
    scoring_runner.paint("b", MINE)
    score = by_program(tmp_path)

    first = scoring_runner.score(score, a="", b="", c="")
    scoring_runner.settle()
    again = scoring_runner.score(score, a="", b="")

    assert (first.accepted, first.unknown, again.accepted) == (2, 1, 0)
    assert [(one.job_id, one.metrics) for one in scoring_runner.scored()] == [(name, {"value": 0.5}) for name in "abab"]
    shown = scoring_runner.ask("job.show", {"job_id": "a"}, JobView)
    assert shown.result.metrics == {"value": 0.5}
    assert asked(tmp_path) == [(asked(tmp_path)[0][0], "a"), (asked(tmp_path)[0][0], "b")]


def test_measures_are_made_anew_on_demand(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """With `again`."""
    scoring_runner.paint("a", MINE)
    scoring_runner.score(by_program(tmp_path, 'answer({"value": min(total, 2)})'), a="")
    scoring_runner.settle()
    for _ in range(2):
        scoring_runner.score(by_program(tmp_path, 'answer({"value": min(total, 2)})'), again=True, a="")
        scoring_runner.settle()

    assert [one.metrics["value"] for one in scoring_runner.scored()] == [1, 2, 2]


def test_why_a_job_could_not_be_measured_is_told(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """Until it is asked for anew; nothing is published of it."""
    scoring_runner.paint("a", MINE)
    scoring_runner.score(by_program(tmp_path, 'answer({"error": "no face"})'), a="")

    assert scoring_runner.settle().problem == "a: no 'value': score.command failed: no face"
    assert scoring_runner.score(by_program(tmp_path), a="").problem == ""
    assert scoring_runner.settle().problem == ""
    assert [one.job_id for one in scoring_runner.scored()] == ["a"]


@pytest.mark.fault(item="F184")
def test_a_stop_while_completed_jobs_are_measured_loses_nothing(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """The same request goes on with those that have no number yet."""
    score = by_program(tmp_path, 'if total == 2:\n    time.sleep(600)\nanswer({"value": 0.5})')
    for name in ("a", "b", "c"):
        scoring_runner.paint(name, MINE)
    scoring_runner.score(score, a="", b="", c="")
    wait_until(lambda: len(asked(tmp_path)) == 2, what="the second question")

    scoring_runner.runner.stop()
    scoring_runner.restart()

    assert scoring_runner.score().waiting == 0
    assert scoring_runner.score(score, a="", b="", c="").accepted == 2
    scoring_runner.settle()
    assert [one.job_id for one in scoring_runner.scored()] == ["a", "a", "b", "c"]
    assert [job for _, job in asked(tmp_path)] == ["a", "b", "b", "c"]


def test_a_value_is_compared_with_the_first_one_of_its_seed(scoring_runner: ScoringRunner) -> None:
    """Whichever ends first: what came before the first one is compared as soon as that is there."""
    score = ScoreSettings(use=("change",))
    needed = {"metric": "change"}
    scoring_runner.painter.data = [striped(51)]
    scoring_runner.send(
        scoring_runner.job("exp-1.1.0.0", score, replace(context(1, experiment="exp-1"), **needed), base="exp-1.0.0.")
    )
    assert scoring_runner.ended("exp-1.1.0.0").warnings == ()
    scoring_runner.painter.data = [striped(0)]
    scoring_runner.send(scoring_runner.job("exp-1.0.0.0", score, replace(MINE, **needed), base="exp-1.0.0."))
    first = scoring_runner.ended("exp-1.0.0.0")
    wait_until(scoring_runner.scored, what="the comparison")
    scoring_runner.send(scoring_runner.job("exp-1.2.0.0", score, context(2, experiment="exp-1"), base="exp-1.0.0."))

    assert first.metrics == {"change": 0.0}
    (compared,) = scoring_runner.scored()
    assert compared.job_id == "exp-1.1.0.0"
    assert compared.metrics["change"] == pytest.approx(0.1, abs=1e-3)
    assert scoring_runner.ended("exp-1.2.0.0").metrics == {"change": 0.0}


def test_completed_jobs_are_not_measured_beside_a_job_that_runs_alone(
    scoring_runner: ScoringRunner, tmp_path: Path
) -> None:
    """Whose time it would change; they are measured when it has ended."""
    scoring_runner.paint("a", MINE)
    gate = tmp_path / "gate"
    body = f'while not os.path.exists({str(gate)!r}):\n    time.sleep(0.05)\nanswer({{"value": 1}})'
    scoring_runner.send(replace(scoring_runner.job("b", by_program(tmp_path, body), OTHER), exclusive=True))
    wait_until(lambda: asked(tmp_path), what="the question of the job that runs alone")

    scoring_runner.score(NAMED, a="")
    assert scoring_runner.score().waiting == 1
    gate.touch()

    scoring_runner.ended("b")
    scoring_runner.settle()
    completed = {one.job_id: one for one in scoring_runner.runner.logged("job.") if isinstance(one, JobCompleted)}
    assert scoring_runner.scored()[0].scored_at >= completed["b"].finished_at


def test_a_scorer_that_nobody_needs_is_ended(
    scoring_runner: ScoringRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is free, and the next job starts it again."""
    scoring_runner.send(scoring_runner.job("a", by_program(tmp_path), MINE))
    scoring_runner.ended("a")
    measuring = scoring_runner.runner.service._measuring
    measuring.end_idle()
    process = psutil.Process(int(asked(tmp_path)[0][0]))
    assert process.is_running()

    monkeypatch.setattr("pipeline_runner.scoring.measuring.IDLE_SECONDS", 0.0)
    measuring.end_idle()

    wait_until(lambda: not process.is_running(), what="its end")
    scoring_runner.send(scoring_runner.job("b", by_program(tmp_path), MINE))
    assert scoring_runner.ended("b").metrics == {"value": 0.5}


def test_scorers_are_offered(scoring_runner: ScoringRunner) -> None:
    """With what they take."""
    offered = scoring_runner.offered().scorers

    assert sorted(offered) == ["change", "contrast", "psnr", "sharpness"]
    assert offered["psnr"].required == ("reference",)
    assert offered["contrast"].options == {}


def test_a_damaged_row_is_made_anew_with_its_later_measures(scoring_runner: ScoringRunner, tmp_path: Path) -> None:
    """The log tells of both; they are known to be those of a scorer, which may measure the job once more."""
    scoring_runner.paint("a", MINE)
    scoring_runner.score(by_program(tmp_path), a="")
    scoring_runner.settle()
    scoring_runner.runner.stop()
    with closing(sqlite3.connect(tmp_path / "runner.db")) as db, db:
        db.execute("UPDATE jobs SET crc = crc + 1")
    scoring_runner.restart()

    shown = scoring_runner.ask("job.show", {"job_id": "a"}, JobView)
    assert (shown.state, shown.result.metrics) == ("completed", {"value": 0.5})
    assert scoring_runner.score(by_program(tmp_path, 'answer({"value": 2})'), a="").accepted == 1
    scoring_runner.settle()
    assert [one.metrics for one in scoring_runner.scored()] == [{"value": 0.5}, {"value": 2.0}]
