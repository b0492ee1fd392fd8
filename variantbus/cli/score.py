"""`variantbus experiment score`: measure the pictures that an experiment has already."""

import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from bus.config.toml_file import read_table, taken
from bus.console.options import keys_option, learning_option, runner_option
from bus.console.printable import harmless, printable
from bus.console.process import EXIT_REFUSED, fail, user_errors
from bus.contracts.archive import ResultRecord
from bus.contracts.experiments import ExperimentView, SetParams
from bus.contracts.jobs import ScoreParams, ScoreReply
from bus.contracts.scoring import ScoreSettings, check_score, merged_score, metric_names
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from bus.transport.keys import Keys
from learning_service.experiments.plan import score_base
from variantbus.cli.ids import experiment_argument
from variantbus.client.experiments import ask_recommendation, shown
from variantbus.client.records import results_of

AT_ONCE: Final = 200  # jobs in one request
POLL_SECONDS: Final = 0.3
NEWS_SECONDS: Final = 5.0  # that the learning service may be behind the runner


class _ScoreFile(Struct, frozen=True, kw_only=True):
    """What of a file counts here: an experiment file, or one with nothing else."""

    score: ScoreSettings


@click.command()
@experiment_argument
@click.argument("scorers", nargs=-1, metavar="[SCORER]…")
@click.option(
    "--file", "file", type=click.Path(path_type=Path), metavar="FILE", help="TOML file that has them as [score]."
)
@click.option("--again", is_flag=True, help="Measure anew what was measured before.")
@learning_option
@runner_option
@keys_option
def score(
    experiment_id: str,
    *,
    scorers: tuple[str, ...],
    file: Path | None,
    again: bool,
    learning: str,
    runner: str,
    keys: Keys | None,
) -> None:
    """Measure the pictures that an experiment has: by SCORERs, by those of FILE, or once more by its own.

    Jobs that are still to come are measured by them, too. If it is interrupted, the same command goes on.
    """
    with user_errors():
        view = shown(learning, experiment_id, keys)
        wanted = wanted_scores(view, scorers, file)
        names = metric_names(wanted)
        jobs = to_measure(results_of(learning, experiment_id, keys), () if again else names)
        unknown = 0
        params = ScoreParams(experiment_id=experiment_id, score=wanted, again=again)
        for some in batches(jobs) or [{}]:
            bases = {job_id: score_base(experiment_id, repeat) for job_id, repeat in some.items()}
            reply = request(runner, "job.score", _with_jobs(params, bases), ScoreReply, keys=keys)
            unknown += reply.unknown
        if scorers or file:
            change = SetParams(experiment_id=experiment_id, score=wanted)
            request(learning, "experiment.set", change, ExperimentView, keys=keys)
        if unknown:
            click.echo(f"{unknown} of {len(jobs)} jobs are not at {runner}, or their pictures are gone", err=True)
        problem = _wait(runner, experiment_id, len(jobs) - unknown, keys)
        left = _wait_for_news(learning, experiment_id, names, jobs, keys)
        done = len(jobs) - len(left)
        told = f"measured {done} of {len(jobs)} jobs" if jobs else "no completed job lacks a number"
        click.echo(f"{told}: {', '.join(names)}", err=True)
        if view.definition.objective in names:
            click.echo(harmless(ask_recommendation(learning, experiment_id, keys).sentence))
        elif done:
            hint = f"variantbus experiment set {experiment_id} objective={names[0]}"
            click.echo(f"to let one of them decide: {hint}", err=True)
        if left:
            fail(printable(problem) or f"{len(left)} jobs have no number; run it again", EXIT_REFUSED)


def wanted_scores(view: ExperimentView, scorers: Sequence[str], file: Path | None) -> ScoreSettings:
    """Return what is to measure: what was named, else what the experiment itself names.

    Raises:
        InvalidInputError: nothing was named, or it contradicts itself.
    """
    wanted = taken(file, {"score": read_table(file).get("score", {})}, _ScoreFile).score if file else None
    if scorers:
        wanted = merged_score(wanted, ScoreSettings(use=tuple(dict.fromkeys(scorers))))
    wanted = wanted or view.definition.score
    if wanted is None:
        raise InvalidInputError(f"{view.experiment_id} names no scorers; name some, or give --file FILE with [score]")
    check_score(wanted)
    return wanted


def to_measure(results: Iterable[ResultRecord], names: Sequence[str]) -> dict[str, int]:
    """Return the completed jobs that lack one of some metrics, each with its repeat; all of them without names."""
    return {
        one.job_id: one.repeat_index
        for one in results
        if one.state == "completed" and (not names or any(name not in one.metrics for name in names))
    }


def batches(jobs: dict[str, int]) -> list[dict[str, int]]:
    """Return jobs in parts for one request each."""
    left = iter(jobs.items())
    parts = []
    while part := dict(islice(left, AT_ONCE)):
        parts.append(part)
    return parts


def _with_jobs(params: ScoreParams, bases: dict[str, str]) -> ScoreParams:
    return ScoreParams(experiment_id=params.experiment_id, jobs=bases, score=params.score, again=params.again)


def _wait(runner: str, experiment_id: str, number: int, keys: Keys | None) -> str:
    """Wait until the runner has measured all; return why one of them could not be, "" if all could."""
    shown_at = time.monotonic()
    while True:
        params = ScoreParams(experiment_id=experiment_id)
        reply = request(runner, "job.score", params, ScoreReply, keys=keys)
        if not reply.waiting:
            return reply.problem
        if time.monotonic() - shown_at > NEWS_SECONDS:
            shown_at = time.monotonic()
            click.echo(f"{max(0, number - reply.waiting)} of {number} measured", err=True)
        time.sleep(POLL_SECONDS)


def _wait_for_news(
    learning: str, experiment_id: str, names: Sequence[str], jobs: dict[str, int], keys: Keys | None
) -> set[str]:
    """Return the jobs that have no number, once the learning service had time to hear of all."""
    deadline = time.monotonic() + NEWS_SECONDS
    while True:
        lacking = to_measure(results_of(learning, experiment_id, keys), names).keys() & jobs.keys()
        if not lacking or time.monotonic() > deadline:
            return lacking
        time.sleep(POLL_SECONDS)
