"""How commands write durations, jobs and what a pipeline takes."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from rich.table import Table

from bus.contracts.jobs import JobView
from bus.contracts.messages import JobError, JobResult
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from variantbus.cli.job_queue import job_row, wait_lines
from variantbus.cli.output import first_of, note_more, print_table
from variantbus.cli.pipelines import away_lines, note, takes
from variantbus.reports.text import count_text, duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-3.0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (86_400 * 2 + 60, "2 d 1 min"),
        (86_400 * 30 + 3600 * 5 + 60, "30 d 5 h"),
    ],
)
def test_durations_have_at_most_two_units(seconds: float | None, text: str) -> None:
    """What is not known is left out."""
    assert duration_text(seconds) == text


def test_a_table_in_a_pipe_has_whole_ids_and_no_spaces_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the width of the terminal that is not there; spaces within a line stay."""
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "note"):
        table.add_column(heading)
    table.add_row("a" * 120, "why")
    table.add_row("b", "")

    print_table(table)

    assert capsys.readouterr().out == f"id{' ' * 120}note\n{'a' * 120}  why\nb\n"


QUEUED = JobView(
    job_id="one",
    pipeline="webui",
    stage="txt2img",
    state="queued",
    attempt=1,
    queued_at=1000.0,
    started_at=None,
    finished_at=None,
    config={},
    learning_context=None,
    result=None,
    priority=5,
    eta_seconds=90.0,
)


def row(job: JobView) -> list[str]:
    """Return a job's row as plain text."""
    return job_row(job, now=1061.0)


def test_a_queued_job_shows_its_age_and_when_it_may_be_done() -> None:
    """Nothing holds it up, so there is no note."""
    assert row(QUEUED) == ["one", "webui txt2img", "queued", "5", "1", "1 min 1 s", "1 min 30 s", ""]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"waits_for": "paused"}, "waits, see below"),
        ({"fault": JobError(kind="unreachable", message="gone")}, "gone"),
        ({"fault": JobError(kind="unreachable", message="gone"), "waits_for": "rests"}, "waits, see below"),
        ({"fault": JobError(kind="unreachable", message="gone"), "state": "running"}, ""),
        (
            {"state": "failed", "result": JobResult(success=False, error=JobError(kind="oom", message="a\nno memory"))},
            "no memory",
        ),
        ({"state": "completed", "result": JobResult(success=True)}, ""),
    ],
)
def test_the_note_says_why_a_job_waits_or_failed(changes: dict[str, object], expected: str) -> None:
    """In one line."""
    assert row(replace(QUEUED, **changes))[-1] == expected


def test_why_jobs_wait_is_said_once_for_each_pipeline() -> None:
    """In one line each, however many of its jobs are listed."""
    jobs = [
        replace(QUEUED, waits_for="gone\nfor lunch"),
        replace(QUEUED, pipeline="noop"),
        replace(QUEUED, pipeline="command", waits_for="paused"),
        replace(QUEUED, waits_for="gone\nfor lunch"),
    ]

    assert wait_lines(jobs) == ["webui waits: for lunch", "command waits: paused"]


@pytest.mark.fault(item="F105")
@pytest.mark.parametrize(
    ("limit", "rows", "is_more", "asked"),
    [(1, [1], True, 1), (2, [1, 2], True, 2), (3, [1, 2, 3], True, 4), (4, [1, 2, 3, 4], False, 4)],
)
def test_a_list_takes_as_many_pages_as_it_needs(limit: int, rows: list[int], asked: int, *, is_more: bool) -> None:
    """One row more tells whether there are more; pages may be empty."""
    taken = []

    def pages() -> Iterator[list[int]]:
        for page in ([1, 2], [3], [], [4]):
            taken.append(page)
            yield page

    assert first_of(pages(), limit) == (rows, is_more)
    assert len(taken) == asked


def test_a_list_that_goes_on_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, as stdout is data."""
    note_more(20, is_more=True)
    note_more(20, is_more=False)

    assert capsys.readouterr() == ("", "… and more: --limit 40\n")


@pytest.mark.parametrize(("count", "text"), [(0, "0 jobs wait"), (1, "1 job waits"), (2, "2 jobs wait")])
def test_one_is_singular(count: int, text: str) -> None:
    """And nothing else is."""
    assert count_text(count, "job waits", "jobs wait") == text


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (VariableSpec(kind="str"), "text"),
        (VariableSpec(kind="int", minimum=1, maximum=150), "whole number 1 to 150"),
        (VariableSpec(kind="float", minimum=0), "number at least 0"),
        (VariableSpec(kind="int", maximum=9, unit="pixels"), "whole number at most 9 pixels"),
        (VariableSpec(kind="int", minimum=0, maximum=2**63 - 1), "whole number 0 to 9223372036854775807"),
        (VariableSpec(kind="float", minimum=-0.25, maximum=1e6), "number -0.25 to 1000000"),
        (VariableSpec(kind="bool"), "true or false"),
        (VariableSpec(kind="str", choices=("a", "b")), "a, b"),
        (VariableSpec(kind="map", choices=("a", "b")), "table of a, b"),
        (VariableSpec(kind="map"), "table of names and values"),
        (VariableSpec(kind="strength", minimum=-5, maximum=5), "number, or true or false -5 to 5"),
        (VariableSpec(kind="str", choices=tuple("abcdefghij")), "a, b, c, d, e, f, g, h, … 2 more"),
    ],
)
def test_what_a_variable_takes_is_said_in_few_words(variable: VariableSpec, text: str) -> None:
    """Type and bounds, or the first choices."""
    assert takes(variable) == text


def test_a_note_names_what_a_plan_has_to_know() -> None:
    """Whether it can be varied, must be there, needs another key, or is slow."""
    config = VariableSpec(kind="str")
    variable = VariableSpec(kind="float", needs=("enable_hr",), slow=True)
    tables = {
        "loras": VariableSpec(kind="map", inside={"*": variable}),
        "alwayson": VariableSpec(kind="map", open=True),
    }
    spec = StageSpec(variables={"scale": variable}, config={"init_image": config, **tables}, required=("init_image",))

    assert note("init_image", spec, config) == "config only, required"
    assert note("scale", spec, variable) == "with enable_hr, slow to change"
    for name, table in tables.items():
        assert note(name, spec, table) == f"each value a variable: {name}.NAME"


def test_why_a_pipeline_can_plan_nothing_is_said_once() -> None:
    """All its stages wait for the same server; what is there says nothing."""
    away = StageSpec(unavailable="no web UI at http://127.0.0.1:7860")

    assert away_lines({"txt2img": away, "img2img": away}) == ["no web UI at http://127.0.0.1:7860"]
    assert away_lines({"run": StageSpec()}) == []
