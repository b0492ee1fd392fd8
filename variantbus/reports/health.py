"""The problems of a service, judged by its own metrics: pure functions, each condition with its threshold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from bus.protocol.control import Labels, Metric, Number
from bus.protocol.identity import WrongFeed
from variantbus.reports.text import count_text, duration_text

SILENCE_SECONDS: Final = 10.0  # ten heartbeats missing
DESCRIPTORS_SHARE: Final = 0.9  # of those that the process may open; without one no client can connect any more
MIB: Final = 1 << 20
NOT_ANSWERING: Final = "not_answering"  # the code of a problem that nobody judges, as nobody told anything


class Problem(Struct, frozen=True, kw_only=True):
    """A condition that needs attention: a stable code for programs, a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The limits of a healthy service, in events and bytes."""

    max_lag: int
    min_free: int


class Readings:
    """The numbers of one process, by name and labels."""

    def __init__(self, metrics: list[Metric]) -> None:
        """Take an answer to `metrics`."""
        self._samples = {metric.name: metric.samples for metric in metrics}

    def all(self, name: str) -> list[tuple[Labels, Number]]:
        """Return every value of a name with its labels."""
        return [(sample.labels, sample.value) for sample in self._samples.get(name, [])]

    def get(self, name: str, **labels: str) -> Number | None:
        """Return one value, None if the process does not report it."""
        return next((value for found, value in self.all(name) if labels.items() <= found.items()), None)


def problems_of(readings: Readings, thresholds: Thresholds) -> list[Problem]:
    """Return all problems, most serious first."""
    return [
        Problem(code=condition.__name__.lstrip("_"), detail=detail)
        for condition in _CONDITIONS
        for detail in condition(readings, thresholds)
    ]


def _log_not_writable(readings: Readings, _: Thresholds) -> Iterator[str]:
    if readings.get("variantbus_log_writable") == 0:
        failures = readings.get("variantbus_log_write_failures_total")
        yield f"the log cannot be written ({failures} tries failed); make room on its disk, nothing is lost until then"


def _outputs_not_writable(readings: Readings, _: Thresholds) -> Iterator[str]:
    if readings.get("variantbus_outputs_writable") == 0:
        yield "results cannot be written; make room on the runner's disk, its jobs wait until then"


def _disk_nearly_full(readings: Readings, thresholds: Thresholds) -> Iterator[str]:
    free = readings.get("variantbus_log_free_bytes")
    if free is not None and free < thresholds.min_free:
        yield f"only {free / MIB:.0f} MiB are free on the disk of the log, less than {thresholds.min_free / MIB:.0f}"


def _damaged_records(readings: Readings, _: Thresholds) -> Iterator[str]:
    count = readings.get("variantbus_log_damaged_records")
    if count:
        damaged = count_text(
            count, "record of the log is damaged or missing", "records of the log are damaged or missing"
        )
        yield f"{damaged}; check the disk, and restore a backup if they matter"


def _damaged_rows(readings: Readings, _: Thresholds) -> Iterator[str]:
    for labels, count in readings.all("variantbus_log_damaged_rows"):
        rows, are = ("row", "was damaged and is lost") if count == 1 else ("rows", "were damaged and are lost")
        yield f"{count} {rows} of the table {labels['table']} {are}; restore a backup if that matters"


def _few_descriptors(readings: Readings, _: Thresholds) -> Iterator[str]:
    used, allowed = readings.get("process_open_fds"), readings.get("process_max_fds")
    if used is not None and allowed is not None and used > DESCRIPTORS_SHARE * allowed:
        yield f"{used} of {allowed} file descriptors are open; raise `ulimit -n`, or close clients"


def _wrong_feed(readings: Readings, _: Thresholds) -> Iterator[str]:
    for labels, _value in readings.all("variantbus_consumer_wrong_feed"):
        yield f"{labels['publisher']}: {WrongFeed(labels['feed'])}"


def _publisher_silent(readings: Readings, _: Thresholds) -> Iterator[str]:
    for labels, seconds in readings.all("variantbus_consumer_silence_seconds"):
        if seconds > SILENCE_SECONDS:
            advice = "start it, or if it never comes back, leave it out of the learning service's --runner"
            yield f"nothing was received from {labels['publisher']} for {seconds:.0f} s; {advice}"


def _behind(readings: Readings, thresholds: Thresholds) -> Iterator[str]:
    for labels, lag in readings.all("variantbus_consumer_lag_events"):
        if lag > thresholds.max_lag:
            what = labels["prefix"] or "everything"
            behind = f"{count_text(lag, 'event', 'events')} behind {labels['publisher']} ({what})"
            yield f"{behind}, more than {thresholds.max_lag}"


def _experiment_stuck(readings: Readings, _: Thresholds) -> Iterator[str]:
    for labels, tries in readings.all("variantbus_experiment_failures"):
        what = {"recommendation": "its recommendation cannot be renewed", "search": "its search cannot go on"}
        tried = count_text(tries, "try has", "tries have")
        why = f"`variantbus experiment show {labels['experiment']}` says why"
        yield f"{labels['experiment']}: {what.get(labels['what'], labels['what'])}, {tried} failed; {why}"


def _runner_unfollowed(readings: Readings, _: Thresholds) -> Iterator[str]:
    for labels, _value in readings.all("variantbus_runner_unfollowed"):
        runner = labels["runner"]
        forget = f"if it never comes back: `variantbus runner-forget {runner}`"
        yield f"{runner} has unended jobs, but is not followed; name it with --runner, or {forget}"


def _runner_away(readings: Readings, _: Thresholds) -> Iterator[str]:
    for labels, seconds in readings.all("variantbus_runner_away_seconds"):
        if seconds > SILENCE_SECONDS:
            runner = labels["runner"]
            jobs, cancels = (
                readings.get("variantbus_runner_waiting", runner=runner, what=what) or 0 for what in ("jobs", "cancels")
            )
            waits = f"{count_text(jobs, 'job', 'jobs')} and {count_text(cancels, 'cancel', 'cancels')} wait for it"
            forget = f"if it never comes back: `variantbus runner-forget {runner}`"
            yield f"{runner} has not answered for {duration_text(seconds)}, and {waits}; start it, or {forget}"


def _experiments_shared(readings: Readings, _: Thresholds) -> Iterator[str]:
    for labels, count in readings.all("variantbus_experiments_shared"):
        what = count_text(count, "experiment is", "experiments are")
        yield f"{what} run by the learning service at {labels['other']}, too; stop one of the two"


def _cluster_unreachable(readings: Readings, _: Thresholds) -> Iterator[str]:
    if readings.get("variantbus_cluster_connected") == 0:
        waiting = readings.get("variantbus_cluster_ends_waiting") or 0
        waits = f"{count_text(waiting, 'end of a job waits', 'ends of jobs wait')}, and no new job is taken"
        yield f"no server of the cluster answers; {waits} until one does"


def _cluster_lost_ends(readings: Readings, _: Thresholds) -> Iterator[str]:
    for labels, count in readings.all("variantbus_cluster_ends_lost_total"):
        if count:
            lost = f"the cluster has lost {count_text(count, 'end', 'ends')} of {labels['runner']}"
            yield f"{lost} that it had acknowledged; set `sync_interval: always` at its servers, and check their disks"


def _no_runner(readings: Readings, _: Thresholds) -> Iterator[str]:
    waiting, up = readings.get("variantbus_jobs_unassigned"), readings.all("variantbus_runner_up")
    if waiting and not any(value for _, value in up):
        yield f"{count_text(waiting, 'job waits', 'jobs wait')}, and no runner answers; start one"


# a condition's name, without the underscore, is the code of its problem
_CONDITIONS: Final[tuple[Callable[[Readings, Thresholds], Iterator[str]], ...]] = (
    _log_not_writable,
    _outputs_not_writable,
    _disk_nearly_full,
    _damaged_records,
    _damaged_rows,
    _few_descriptors,
    _wrong_feed,
    _publisher_silent,
    _behind,
    _experiment_stuck,
    _runner_unfollowed,
    _runner_away,
    _experiments_shared,
    _cluster_unreachable,
    _cluster_lost_ends,
    _no_runner,
)
