"""Ids as people type them: their beginning, a word for the newest, and what is said where none fits."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from click.shell_completion import ShellComplete

from tests.support.helpers import REPLY_SECONDS, wait_until
from tests.support.in_process import run_in_process
from tests.support.workspace import Finished, ServiceProcess, Workspace, sentence_of, view_of, wait_for_jobs
from variantbus.cli.main import main

EXPERIMENT = """
name = "{name}"
pipeline = "noop"
stage = "run"
[variable]
name = "level"
values = [1, 2]
"""
JOB = 'pipeline = "noop"\nstage = "run"\n[config]\nlevel = 1\n'


class Known(NamedTuple):
    """Services with some experiments and jobs, oldest first."""

    workspace: Workspace
    runner: ServiceProcess
    learning: ServiceProcess
    experiments: tuple[str, ...]
    jobs: tuple[str, ...]

    def run(self, *words: str, code: int = 0) -> Finished:
        """Run a command."""
        return run_in_process(self.workspace, *words, code=code)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """Yield services with three experiments that have ended, two of which begin alike, and two jobs."""
    with closing(Workspace(tmp_path_factory.mktemp("ids"))) as workspace:
        runner = workspace.runner()
        learning = workspace.learning(runner)
        file, job = (workspace.folder / name for name in ("experiment.toml", "job.toml"))
        job.write_text(JOB, encoding="utf-8")
        ids = []
        for name in ("Good", "Good", "Other"):
            file.write_text(EXPERIMENT.format(name=name), encoding="utf-8")
            ids.append(run_in_process(workspace, "experiment", "run", file).out.strip())
            wait_for_jobs(learning, ids[-1], 2)
        jobs = [run_in_process(workspace, "job", "submit", job).out.strip() for _ in range(2)]
        yield Known(workspace, runner, learning, tuple(ids), tuple(jobs))


@pytest.mark.parametrize("line", ["experiment show", "experiment export", "experiment rename", "watch --json"])
@pytest.mark.parametrize("typed", ["other", "other-", "-", "last", "whole"])
def test_the_beginning_of_an_id_suffices_and_a_word_means_the_newest(known: Known, line: str, typed: str) -> None:
    """Wherever an id is taken."""
    newest = known.experiments[-1]
    words = [*line.split(), newest if typed == "whole" else typed, *(["Other"] if "rename" in line else [])]

    finished = known.run(*words)

    assert newest in finished.out + finished.err or "Other" in finished.out


def test_the_job_that_is_meant_is_found_alike(known: Known) -> None:
    """By the beginning of its id, or as the newest."""
    older, newest = known.jobs
    assert known.run("job", "show", older[:-1], "--json").json["job_id"] == older
    assert known.run("job", "show", "last").json["job_id"] == newest
    assert known.run("job", "show", newest).json["job_id"] == newest


def test_a_beginning_of_several_is_refused_with_the_candidates(known: Known) -> None:
    """Nothing is guessed."""
    first, second, _ = sorted(known.experiments)

    sentence = sentence_of(known.run("experiment", "show", "good", code=2))

    assert sentence == f"good: several experiments begin so, write more of one: {first}, {second}"
    assert "several jobs begin so" in sentence_of(known.run("job", "show", "job-", code=2))
    assert "several experiments" in sentence_of(known.run("experiment", "delete", "--yes", "other", "good", code=2))
    assert view_of(known.learning, known.experiments[-1]).status == "completed"


def test_an_id_that_is_none_is_answered_with_the_nearest(known: Known) -> None:
    """And with where to look if none is like it."""
    good, *_, other = known.experiments
    job = known.jobs[0]

    assert f"experiment 'otter{other[5:]}' was not found; did you mean {other}?" == sentence_of(
        known.run("experiment", "show", f"otter{other[5:]}", code=4)
    )
    assert f"did you mean {job}?" in sentence_of(known.run("job", "cancel", f"{job[:-1]}_", code=4))
    assert "'zzz' was not found; see `variantbus experiment list`" in sentence_of(known.run("watch", "zzz", code=4))
    assert "'zzz' was not found; see `variantbus job list`" in sentence_of(known.run("job", "retry", "zzz", code=4))
    assert "experiment_id: must be" in sentence_of(known.run("experiment", "show", good * 20, code=2))
    assert "experiment_id: must be" in sentence_of(known.run("experiment", "show", "", code=2))


def test_several_beginnings_of_one_id_mean_it_once(known: Known) -> None:
    """`archive` and `unarchive` take several."""
    other = known.experiments[-1]

    assert known.run("experiment", "archive", "other", other, "last").err == f"archived {other}\n"
    assert known.run("experiment", "unarchive", "other").err == f"unarchived {other}\n"


def test_the_shell_completes_ids(known: Known, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the services that options, environment and config file name; in silence where none answers in time."""
    completion = ShellComplete(main, {}, "variantbus", "_VARIANTBUS_COMPLETE")
    learning, runner = ["--learning", known.learning.control], ["--runner", known.runner.control]

    def completed(words: list[str], incomplete: str) -> list[str]:
        return [item.value for item in completion.get_completions(words, incomplete)]

    assert completed(["experiment", "show", "--learning", "tcp://127.0.0.1:9"], "good") == []
    monkeypatch.setattr("variantbus.cli.ids.TAB_SECONDS", REPLY_SECONDS)
    assert completed(["experiment", "show", *learning], "good") == sorted(known.experiments)[:2]
    assert completed(["experiment", "delete", *learning], "") == list(reversed(known.experiments))
    assert completed(["job", "show", *runner], "job-") == sorted(known.jobs)
    config = tmp_path / "config.toml"
    config.write_text(f'[learning]\naddress = "{known.learning.control}"\n', encoding="utf-8")
    assert completed(["experiment", "show", "--config", str(config)], "good") == sorted(known.experiments)[:2]
    monkeypatch.setenv("VARIANTBUS_CONFIG", str(config))
    assert completed(["experiment", "show"], "good") == sorted(known.experiments)[:2]
    config.write_text("[learning", encoding="utf-8")
    assert completed(["experiment", "show", *learning], "good") == sorted(known.experiments)[:2]


@pytest.mark.parametrize("line", ["experiment list", "experiment show x", "recommend x", "rate x ab 3", "history"])
def test_a_runner_that_is_asked_for_experiments_says_where_they_are(known: Known, line: str) -> None:
    """Every command of the learning service."""
    sentence = sentence_of(known.run(*line.split(), "--learning", known.runner.control, code=4))

    assert sentence.startswith("that is a runner; experiments are at the learning service, which is at tcp://")
    assert ":5571" in sentence


@pytest.mark.parametrize("line", ["job list", "job show x", "job pause", "pipelines", "job output 01234567 -o {}/x"])
def test_a_learning_service_that_is_asked_for_jobs_says_where_they_are(known: Known, line: str) -> None:
    """Every command of the runner."""
    words = line.format(known.workspace.folder).split()

    sentence = sentence_of(known.run(*words, "--runner", known.learning.control, code=4))

    assert sentence.startswith("that is a learning service; jobs and pipelines are at the runner, which is at tcp://")


def test_whoever_listens_to_the_wrong_service_is_told(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would ever come."""
    monkeypatch.setattr("bus.console.services.ASK_SECONDS", REPLY_SECONDS)
    swapped = ["--runner", known.learning.control, "--learning", known.runner.control]

    for line in ("tail job", "tail variant", "top"):
        assert "that is a" in sentence_of(known.run(*line.split(), *swapped, code=4))
    report = known.run("check", "--json", *swapped, code=4).json
    assert [one["problems"][0]["code"] for one in report["services"]] == ["wrong_service"] * 2


def test_a_prefix_of_no_topic_is_refused_with_those_that_there_are(known: Known) -> None:
    """What an address publishes that is none of ours is not known here."""
    for typed, meant in (("job.compl", "job.completed"), ("variant_status", "variant.status"), ("jobs", "job")):
        sentence = sentence_of(known.run("tail", typed, code=2))
        assert f"did you mean {meant}?" in sentence
        assert "experiment.status, variant.status" in sentence
    assert "never from learning" in sentence_of(known.run("tail", "job.completed", "--from", "learning", code=2))
    assert known.run("tail", "job.compl", "--from", known.runner.control, "--all", "--exit-at-end").out == ""
    assert known.run("tail", "job.completed", "--all", "--exit-at-end").out


def test_the_file_of_the_other_kind_is_told_with_its_command(known: Known) -> None:
    """A job is no experiment with everything missing."""
    folder = known.workspace.folder
    job, experiment = folder / "job.toml", folder / "experiment.toml"

    assert sentence_of(known.run("experiment", "run", str(job), code=2)) == (
        f"{job}: is the file of a job; run it with `variantbus job submit {job}`"
    )
    assert sentence_of(known.run("job", "submit", str(experiment), code=2)) == (
        f"{experiment}: is the file of an experiment; run it with `variantbus experiment run {experiment}`"
    )


def test_the_id_is_the_first_line_also_where_the_experiment_is_followed(known: Known) -> None:
    """A script reads it from there; with `--json` each line is an object."""
    file = str(known.workspace.write("follow.toml", EXPERIMENT.format(name="Follow")))

    lines = known.run("experiment", "run", file, "--follow").out.splitlines()
    events = known.run("experiment", "run", file, "--follow", "--json").lines

    assert view_of(known.learning, lines[0]).status == "completed"
    assert len(lines) > 2
    assert all(event["body"]["experiment_id"].startswith("follow-") for event in events)
    known.run("experiment", "delete", "--yes", lines[0], "last")
    # the newest is again what it was, also at the runner, which removes their jobs a moment later
    wait_until(lambda: "follow-" not in known.run("job", "list").out, what="the end of their jobs")
