"""Bad input: one sentence that names the field, the right exit status, no traceback, and nothing is submitted."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bus.contracts.experiments import ExperimentListParams, ExperimentListReply
from bus.contracts.jobs import JobListParams, JobListReply
from tests.support.experiment_files import services
from tests.support.in_process import run_in_process
from tests.support.workspace import Finished, Workspace, finish, sentence_of, steady_ports

GOOD = """
name = "Good"
pipeline = "embedded"
stage = "txt2img"
jobs_per_variant = 1
seed = 7
[variable]
name = "steps"
values = [2, 4]
[config]
prompt = "a blue star"
cfg_scale = 1.5
"""


MANY = ", ".join(str(number) for number in range(1, 12))


def but_for_waiting(finished: Finished) -> Finished:
    """Leave out that `tail` waits for a service, which it says where one takes longer than the limit that it has."""
    said = [line for line in finished.err.splitlines(keepends=True) if not line.startswith("waiting for ")]
    return replace(finished, err="".join(said))


class Services:
    """A runner and a learning service that refuse all that these tests send, so that one pair serves all of them."""

    def __init__(self, workspace: Workspace) -> None:
        """Start both; the learning service takes at most ten variants."""
        self.workspace = workspace
        self.runner = workspace.runner()
        self.learning = workspace.learning(self.runner, "--max-variants", "10")

    def refuse(self, *arguments: str | Path, code: int = 2) -> str:
        """Run a command that must be refused, check that nothing was submitted, and return what it says."""
        sentence = sentence_of(but_for_waiting(run_in_process(self.workspace, *arguments, code=code)))
        experiments = self.learning.ask("experiment.list", ExperimentListParams(), ExperimentListReply)
        jobs = self.runner.ask("job.list", JobListParams(), JobListReply)
        assert (experiments.experiments, jobs.jobs) == ([], []), "something was submitted"
        return sentence


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Yield services that are still empty after each test."""
    with closing(Workspace(tmp_path_factory.mktemp("refusing"))) as workspace:
        yield Services(workspace)


EXPERIMENTS = {
    "an unknown key": ('name = "Good"', 'nmae = "Good"', ["nmae: unknown key", "did you mean 'name'?"]),
    "an unknown key of the variable": ("values = [2, 4]", "value = [2]", ["variable.value:", "mean 'values'?"]),
    "an unknown key of the configuration": ("cfg_scale", "cfg_scal", ["config.cfg_scal:", "mean 'cfg_scale'?"]),
    "a table too many": ("[config]", "[extra]\n[config]", ["extra: unknown key"]),
    "no name": ('name = "Good"', "", ["name: missing"]),
    "an empty name": ('name = "Good"', 'name = ""', ["name: "]),
    "no variable": ('[variable]\nname = "steps"\nvalues = [2, 4]', "", ["variable: missing"]),
    "no values": ("[2, 4]", "[]", ["variable.values: empty"]),
    "neither values nor a range": ("values = [2, 4]", "", ["variable.start: missing"]),
    "an empty value": ("[2, 4]", '[2, ""]', ["variable.values #2: "]),
    "a value twice": ("[2, 4]", "[2, 4, 2]", ["variable.values #3: 2 is there twice"]),
    "a value twice in other words": ("[2, 4]", "[2, 2.0]", ["variable.values #2: 2.0 is there twice"]),
    "values and a range": ("values = [2, 4]", "values = [2, 4]\nstart = 1", ["variable.start: ", "either"]),
    "a step of 0": ("values = [2, 4]", "start = 1\nstop = 4\nstep = 0", ["variable.step: 0"]),
    "a step that leads away": ("values = [2, 4]", "start = 1\nstop = 4\nstep = -1", ["variable.step: -1"]),
    "half a range": ("values = [2, 4]", "start = 1\nstop = 4", ["variable.step: missing"]),
    "a range of words": ("values = [2, 4]", 'start = "a"\nstop = 4\nstep = 1', ["variable.start: 'a'"]),
    "a range to infinity": ("values = [2, 4]", "start = 1\nstop = inf\nstep = 1", ["variable.stop: inf"]),
    "a range from nan": ("values = [2, 4]", "start = nan\nstop = 4\nstep = 1", ["variable.start: nan"]),
    "10^9 variants": ("values = [2, 4]", "start = 1\nstop = 1e9\nstep = 1", ["variable.", "1000000000 variants"]),
    "10^18 variants": (
        "values = [2, 4]",
        "start = 1\nstop = 1e9\nstep = 1e-9",
        ["variable.", "variants are more than"],
    ),
    "more variants than allowed": ("[2, 4]", f"[{MANY}]", ["variable.values: 11 variants", "10", "--max-variants"]),
    "a value that is nan": (
        '"steps"\nvalues = [2, 4]',
        '"cfg_scale"\nvalues = [1.0, nan]',
        ["variable.values #2: nan"],
    ),
    "a value that is inf": ('"steps"\nvalues = [2, 4]', '"cfg_scale"\nvalues = [inf]', ["variable.values #1: inf"]),
    "a setting that is nan": ("cfg_scale = 1.5", "cfg_scale = nan", ["config.cfg_scale: nan"]),
    "a value out of bounds": ("[2, 4]", "[2, 400]", ["variable.values #2: 400 is out of bounds", "1 to 150"]),
    "a setting out of bounds": ("cfg_scale = 1.5", "cfg_scale = -1", ["config.cfg_scale: -1 is out of bounds"]),
    "a value of another type": ("[2, 4]", '[2, "four"]', ["variable.values #2: must be a whole number"]),
    "a value of no usable type": ("[2, 4]", "[2, [4]]", ["variable.values #2: "]),
    "a date as value": ("[2, 4]", "[2, 2026-01-01]", ["variable.values #2: "]),
    "a number too large": ("[2, 4]", "[2, 99999999999999999999]", ["variable.values #2: "]),
    "a setting of another type": ("cfg_scale = 1.5", 'cfg_scale = "high"', ["config.cfg_scale: must be a number"]),
    "jobs of another type": ("jobs_per_variant = 1", 'jobs_per_variant = "one"', ["jobs_per_variant: "]),
    "no jobs": ("jobs_per_variant = 1", "jobs_per_variant = 0", ["jobs_per_variant: "]),
    "too many jobs": ("jobs_per_variant = 1", "jobs_per_variant = 257", ["jobs_per_variant: "]),
    "a seed below 0": ("seed = 7", "seed = -1", ["seed: "]),
    "a seed at the wrong place": ("[config]", "[config]\nseed = 1", ["config.seed: ", "top level"]),
    "an unknown pipeline": ('"embedded"', '"embeded"', ["pipeline: 'embeded' is unknown", "mean 'embedded'?"]),
    "an unknown stage": ('"txt2img"', '"txt2image"', ["stage: embedded has no stage", "mean 'txt2img'?"]),
    "an unknown variable": ('name = "steps"', 'name = "stepps"', ["variable.name: embedded", "mean 'steps'?"]),
    "a setting that is missing": ('"txt2img"', '"img2img"', ["config.init_image: missing"]),
    "a setting that is not offered": (
        "cfg_scale = 1.5",
        'sampler_name = "euller"',
        ["config.sampler_name:", "'euler'?"],
    ),
    "a configuration of 100 kB": ("a blue star", "x" * 100_000, ["config: ", "98304"]),
    "no TOML": ("[variable]", "[variable", ["is no valid TOML", "line 7"]),
    "nothing at all": (GOOD, "", [": missing"]),
}


@pytest.mark.fault(item="B33")
@pytest.mark.fault(item="B34")
@pytest.mark.parametrize(("old", "new", "words"), EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_an_experiment_that_makes_no_sense_is_refused(
    refusing: Services, tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    """The sentence names the field and what to do, and nothing of the experiment is stored."""
    assert old in GOOD
    file = tmp_path / "experiment.toml"
    file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")

    sentence = refusing.refuse("experiment", "run", file)

    assert [word for word in words if word not in sentence] == [], sentence


def missing(folder: Path) -> Path:
    """Return a file that is not there."""
    return folder / "missing.toml"


def directory(folder: Path) -> Path:
    """Return a folder in the place of a file."""
    return folder


def latin(folder: Path) -> Path:
    """Write a file in an old encoding."""
    path = folder / "latin.toml"
    path.write_bytes('name = "Größe"'.encode("latin-1"))
    return path


def huge(folder: Path) -> Path:
    """Write a file of 2 MB."""
    path = folder / "huge.toml"
    path.write_text("#" * 2_000_000, encoding="utf-8")
    return path


FILES = {
    "missing": (missing, "cannot be read (No such file or directory)"),
    "a directory": (directory, "cannot be read (Is a directory)"),
    "not UTF-8": (latin, "is not UTF-8"),
    "huge": (huge, "larger than"),
}


@pytest.mark.fault(item="B32")
@pytest.mark.fault(item="B46")
@pytest.mark.parametrize("command", ["experiment run", "job submit"])
@pytest.mark.parametrize(("make", "words"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_is_refused(
    refusing: Services, tmp_path: Path, command: str, make: Callable[[Path], Path], words: str
) -> None:
    """The sentence begins with the file and says what is wrong with it."""
    path = make(tmp_path)

    sentence = refusing.refuse(*command.split(), path)

    assert sentence.startswith(f"{path}: ")
    assert words in sentence


JOBS = {
    "an unknown key": ('stag = "txt2img"', ["stag: unknown key", "mean 'stage'?"]),
    "an unknown pipeline": ('pipeline = "comand"', ["pipeline: 'comand' is unknown", "mean 'command'?"]),
    "a setting out of bounds": ("[config]\nsteps = 0", ["config.steps: 0 is out of bounds"]),
    "a setting of another type": ('[config]\nsteps = "4"', ["config.steps: must be a whole number"]),
    "no command": ('pipeline = "command"\nstage = "run"', ["config.command: missing"]),
    "a command that is no list": ('pipeline = "command"\nstage = "run"\n[config]\ncommand = "ls"', ["config.command"]),
}


@pytest.mark.parametrize(("text", "words"), JOBS.values(), ids=JOBS)
def test_a_job_that_makes_no_sense_is_refused(refusing: Services, tmp_path: Path, text: str, words: list[str]) -> None:
    """The sentence names the field, and no job is queued."""
    file = tmp_path / "job.toml"
    file.write_text(text, encoding="utf-8")

    sentence = refusing.refuse("job", "submit", file)

    assert [word for word in words if word not in sentence] == [], sentence


COMMANDS = {
    "a command": ("experimet", "Did you mean 'experiment'?"),
    "a command of a group": ("experiment shwo", "Did you mean 'show'?"),
    "an option": ("experiment run --folow x.toml", "Did you mean '--follow'?"),
    "an address": ("experiment list --learning localhost", "'localhost' is no address"),
    "a port": ("experiment list --learning tcp://127.0.0.1:99999", "is no address"),
    "a topic": ("tail variant..status", "is no topic"),
    "a count": ("tail --count 0", "--count"),
    "an end without a beginning": ("tail --exit-at-end", "--all"),
    "indices": ("learning --variants 3-1", "'3-1' is no index or range"),
}


@pytest.mark.fault(item="B43")
@pytest.mark.parametrize(("line", "words"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_line_that_is_mistyped_is_refused(refusing: Services, line: str, words: str) -> None:
    """The sentence says what was perhaps meant."""
    assert words in refusing.refuse(*line.split())


@pytest.mark.parametrize("command", ["experiment show", "experiment cancel", "experiment sheet", "watch"])
def test_an_experiment_that_is_unknown_is_refused(refusing: Services, command: str) -> None:
    """The exit status is 4, and the sentence says where to look."""
    sentence = refusing.refuse(*command.split(), "none", code=4)

    assert "'none' was not found" in sentence
    assert "experiment list" in sentence


@pytest.mark.parametrize("command", ["job show", "job cancel"])
def test_a_job_that_is_unknown_is_refused(refusing: Services, command: str) -> None:
    """The exit status is 4, and the sentence says where to look."""
    sentence = refusing.refuse(*command.split(), "none", code=4)

    assert "'none' was not found" in sentence
    assert "job list" in sentence


def test_watching_where_there_is_no_experiment_says_how_to_start_one(refusing: Services) -> None:
    """`watch` without an ID needs at least one experiment."""
    assert "variantbus experiment run" in refusing.refuse("watch", code=4)


PROCESSES = {
    "an experiment": ("experiment run {folder}/experiment.toml", 2, "nmae: unknown key; did you mean 'name'?"),
    "a job": ("job submit {folder}/job.toml", 2, "config.steps: 0 is out of bounds"),
    "a file": ("experiment run {folder}/missing.toml", 2, "cannot be read (No such file or directory)"),
    "a command": ("experimet", 2, "Did you mean 'experiment'?"),
    "an option": ("experiment run --folow x.toml", 2, "Did you mean '--follow'?"),
    "an unknown experiment": ("watch none", 4, "'none' was not found"),
    "a timeout": ("tail --count 5 --timeout 1", 5, "only 0 of 5 events came"),
}


@pytest.mark.fault(item="B33")
@pytest.mark.fault(item="B43")
@pytest.mark.parametrize(("line", "code", "words"), PROCESSES.values(), ids=PROCESSES)
def test_a_process_refuses_in_the_same_words(
    refusing: Services, tmp_path: Path, line: str, code: int, words: str
) -> None:
    """The other tests call the command in their own process: a real one has the same status, stdout and stderr."""
    (tmp_path / "experiment.toml").write_text(GOOD.replace("name", "nmae", 1), encoding="utf-8")
    (tmp_path / "job.toml").write_text("[config]\nsteps = 0", encoding="utf-8")
    arguments = line.format(folder=tmp_path).split()

    finished = but_for_waiting(refusing.workspace.run(*arguments, code=code))

    called = but_for_waiting(run_in_process(refusing.workspace, *arguments, code=code))
    assert (finished.out, finished.err) == (called.out, called.err)
    assert words in sentence_of(finished)


@pytest.mark.fault(item="B39")
def test_a_service_that_is_away_is_reported_by_every_command(workspace: Workspace) -> None:
    """The exit status is 3, and the sentence says which address does not answer and what to do."""
    for service in services(workspace, steady=True):
        service.kill()
    good, job = workspace.write("good.toml", GOOD), workspace.write("job.toml", 'pipeline = "embedded"')
    lines: list[tuple[str | Path, ...]] = [
        ("experiment", "run", good),
        ("experiment", "list"),
        ("experiment", "show", "some"),
        ("watch", "some"),
        ("job", "list"),
        ("job", "submit", job),
        ("job", "submit", job, "--wait"),
        ("tail", "--all", "--exit-at-end"),
    ]

    for running in [workspace.command(*line) for line in lines]:  # at once, as each of them waits for some seconds
        running.wait(20)
        finished = finish(running)
        assert finished.code == 3, finished
        assert "no answer from tcp://127.0.0.1:" in sentence_of(finished)
        assert "variantbus up" in finished.err


def test_a_learning_service_without_a_runner_refuses_to_plan(workspace: Workspace) -> None:
    """Nothing can be checked before a runner has told what it offers; status 3, and the sentence says so."""
    runner = workspace.runner(ports=steady_ports())
    runner.kill()
    workspace.learning(runner)

    sentence = sentence_of(workspace.run("experiment", "run", workspace.write("good.toml", GOOD), code=3))

    assert f"no runner has answered yet at {runner.control}" in sentence


def test_fewer_events_than_asked_for_is_a_timeout(refusing: Services) -> None:
    """`tail --count 5 --timeout 1` with too few events ends with status 5."""
    assert refusing.refuse("tail", "--count", "5", "--timeout", "1", code=5) == "only 0 of 5 events came"


def test_a_tail_says_that_it_waits_for_somebody_who_is_away(workspace: Workspace) -> None:
    """It goes on waiting, as whoever comes later is heard then, but it does not do so in silence."""
    runner, _ = services(workspace, steady=True)
    runner.kill()

    finished = workspace.run("tail", "job", "--timeout", "3")

    assert finished.err == f"waiting for {runner.control} to answer; a service that runs there may want --keys\n"
