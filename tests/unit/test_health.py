"""The conditions of `variantbus check`: each is found, and a healthy process has none."""

import pytest

from bus.protocol.control import Labels, Metric, Number, Sample
from tests.support.metrics import ALL_HELP
from variantbus.cli.check import duration, exit_status
from variantbus.client.health import Health
from variantbus.reports.health import Problem, Readings, Thresholds, problems_of

THRESHOLDS = Thresholds(max_lag=100, min_free=1 << 20)
RUNNER = {"runner": "tcp://127.0.0.1:5561"}
FOLLOWED = {"publisher": "tcp://127.0.0.1:5561"}
HEALTHY: dict[str, list[tuple[Labels, Number]]] = {
    "variantbus_log_writable": [({}, 1)],
    "variantbus_outputs_writable": [({}, 1)],
    "variantbus_log_write_failures_total": [({}, 3)],
    "variantbus_log_free_bytes": [({}, 1 << 30)],
    "variantbus_log_damaged_records": [({}, 0)],
    "process_open_fds": [({}, 90)],
    "process_max_fds": [({}, 100)],
    "variantbus_consumer_silence_seconds": [(FOLLOWED, 0.5)],
    "variantbus_consumer_lag_events": [({**FOLLOWED, "prefix": "job."}, 100)],
    "variantbus_jobs_unassigned": [({}, 5)],
    "variantbus_runner_up": [(RUNNER, 0), ({"runner": "tcp://127.0.0.1:6561"}, 1)],
}
SICK: dict[str, tuple[str, list[tuple[Labels, Number]], str]] = {
    "log_not_writable": ("variantbus_log_writable", [({}, 0)], "cannot be written (3 tries failed)"),
    "outputs_not_writable": ("variantbus_outputs_writable", [({}, 0)], "results cannot be written"),
    "disk_nearly_full": ("variantbus_log_free_bytes", [({}, 1000)], "only 0 MiB are free"),
    "damaged_records": ("variantbus_log_damaged_records", [({}, 2)], "2 records"),
    "few_descriptors": ("process_open_fds", [({}, 91)], "91 of 100 file descriptors"),
    "wrong_feed": (
        "variantbus_consumer_wrong_feed",
        [({**FOLLOWED, "feed": "tcp://127.0.0.1:5560"}, 1)],
        "tcp://127.0.0.1:5561: the feed at tcp://127.0.0.1:5560 belongs to another publisher; ",
    ),
    "publisher_silent": (
        "variantbus_consumer_silence_seconds",
        [(FOLLOWED, 12.3)],
        "tcp://127.0.0.1:5561 for 12 s; start it",
    ),
    "behind": ("variantbus_consumer_lag_events", [({**FOLLOWED, "prefix": ""}, 101)], "101 events behind"),
    "runner_unfollowed": ("variantbus_runner_unfollowed", [(RUNNER, 1)], "tcp://127.0.0.1:5561 has unended jobs"),
    "damaged_rows": (
        "variantbus_log_damaged_rows",
        [({"table": "comparisons"}, 2)],
        "2 rows of the table comparisons were damaged and are lost; restore",
    ),
    "experiment_stuck": (
        "variantbus_experiment_failures",
        [({"experiment": "exp-1", "what": "search"}, 2)],
        "exp-1: its search cannot go on, 2 tries have failed; `variantbus experiment show exp-1` says why",
    ),
    "experiments_shared": (
        "variantbus_experiments_shared",
        [({"other": "tcp://127.0.0.1:5581"}, 2)],
        "2 experiments are run by the learning service at tcp://127.0.0.1:5581, too",
    ),
    "cluster_unreachable": (
        "variantbus_cluster_connected",
        [({}, 0)],
        "no server of the cluster answers; 0 ends of jobs wait",
    ),
    "cluster_lost_ends": (
        "variantbus_cluster_ends_lost_total",
        [({"runner": "machine-1"}, 2)],
        "the cluster has lost 2 ends of machine-1 that it had acknowledged",
    ),
    "no_runner": ("variantbus_runner_up", [(RUNNER, 0)], "5 jobs wait, and no runner answers"),
}


def readings(numbers: dict[str, list[tuple[Labels, Number]]]) -> Readings:
    """Make what a process answers."""
    return Readings(
        [
            Metric(
                name=name,
                kind="gauge",
                help=ALL_HELP[name],
                samples=[Sample(labels=labels, value=value) for labels, value in samples],
            )
            for name, samples in numbers.items()
        ]
    )


def test_a_healthy_process_has_no_problems() -> None:
    """Each number is at the very edge of what is well; a process that tells nothing is not accused either."""
    assert problems_of(readings(HEALTHY), THRESHOLDS) == []
    assert problems_of(readings({}), THRESHOLDS) == []


@pytest.mark.parametrize("code", SICK)
def test_each_condition_is_found_alone(code: str) -> None:
    """One number beyond its threshold is one problem, with a stable word and a sentence that says what to do."""
    name, samples, sentence = SICK[code]

    (problem,) = problems_of(readings({**HEALTHY, name: samples}), THRESHOLDS)

    assert problem.code == code
    assert sentence in problem.detail


def test_a_single_thing_is_named_in_the_singular() -> None:
    """One damaged record, one event behind, one job that waits."""
    one = {"variantbus_log_damaged_records": 1, "variantbus_jobs_unassigned": 1}
    numbers: dict[str, list[tuple[Labels, Number]]] = {name: [({}, count)] for name, count in one.items()}
    numbers["variantbus_consumer_lag_events"] = [({**FOLLOWED, "prefix": "job."}, 1)]
    numbers["variantbus_log_damaged_rows"] = [({"table": "jobs"}, 1)]

    details = " ".join(found.detail for found in problems_of(readings(numbers), Thresholds(max_lag=0, min_free=0)))

    for words in (
        "1 record of the log is damaged or missing",
        "1 row of the table jobs was damaged and is lost",
        "1 event behind",
        "1 job waits, and no runner",
    ):
        assert words in details


def health(*, answers: bool = True, problems: int = 0) -> Health:
    """Make a finding."""
    found = [Problem(code="behind", detail="")] * problems
    return Health(service="s", address="a", answers=answers, version=None, problems=found, metrics=[])


def test_the_exit_status_says_the_worst() -> None:
    """Not to answer is worse than to answer that something is wrong."""
    assert exit_status([health(), health()]) == 0
    assert exit_status([health(), health(problems=2)]) == 4
    assert exit_status([health(problems=1), health(answers=False, problems=1)]) == 3


def test_a_time_is_said_in_its_largest_unit() -> None:
    """As people say it."""
    assert [duration(seconds) for seconds in (0, 119, 120, 7199, 7200, 172_800)] == [
        "0 s",
        "119 s",
        "2 min",
        "119 min",
        "2 h",
        "2 d",
    ]
