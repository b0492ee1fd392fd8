"""A result that is measured: what scorers say of it, beside what its pipeline has reported."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from bus.contracts.messages import ImageRef, JobResult
from bus.contracts.scoring import ScoreSettings
from pipeline_runner.outputs import safe_paths
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.metrics import NOT_KEPT, NOT_SCORED, with_checked_metrics
from pipeline_runner.scoring.measuring import Measured, Measuring
from pipeline_runner.scoring.talk import Stopped

STOPPED: Final = f"{NOT_SCORED}the job was cancelled; `variantbus experiment score` does it"


def timed(result: JobResult, seconds: float) -> JobResult:
    """Return a result with the time of its run, unless its pipeline knows better: the scorers' is no part of it."""
    return result if result.seconds is not None or result.untimed is True else replace(result, seconds=seconds)


def measure(
    measuring: Measuring, job: NormalizedJobRecord, made: JobResult, base: Sequence[ImageRef], stopped: Stopped
) -> Measured:
    """Return what the scorers of a job say of what it has made.

    Raises:
        StoppedError: nobody waits for it any more.
    """
    return measuring.measure(job, job.score or ScoreSettings(), made.images, base, stopped)


def with_measures(job: NormalizedJobRecord, made: JobResult, measured: Measured, measuring: Measuring) -> JobResult:
    """Return a result with its measures, and warnings about those that are missing."""
    taken = sorted(made.metrics.keys() & measured.metrics.keys())
    warnings = [*made.warnings, *measured.warnings]
    if taken:
        warnings.append(f"{NOT_KEPT}the scorers' {', '.join(taken)}, as the pipeline reports the same name")
    whole = replace(made, metrics={**measured.metrics, **made.metrics}, warnings=tuple(warnings))
    later = measuring.compares(job.score) if job.score else ()
    return with_checked_metrics(whole, job.learning_context, later)


def has_files(root: Path, result: JobResult) -> bool:
    """Return whether all files of a result are there."""
    try:
        for image in result.images:
            safe_paths.look_at(root, image.path)
    except OSError:
        return False
    return True
