"""The command pipeline: any program is a pipeline. The programs of these tests are small Python scripts."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from bus.contracts.fields import Config, ConfigValue, Scalar
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import variables_of
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Setup
from pipeline_runner.pipelines.command.pipeline import _STAGES, CommandPipeline, fill_in, metrics_of
from tests.support.factories import Reports, context, record_of
from tests.support.helpers import is_gone, wait_until

ECHO = "import json, sys, pathlib; pathlib.Path(sys.argv[1], 'arguments.json').write_text(json.dumps(sys.argv[2:]))"


def python(script: str, *arguments: Scalar, **config: ConfigValue) -> Config:
    """Return the configuration of a job that runs a script."""
    return {"command": [sys.executable, "-c", script, *arguments], **config}


def run(root: Path, config: Config, cancel: threading.Event | None = None) -> JobResult:
    """Run a job to its end; no working folder is left behind."""
    pipeline = CommandPipeline(Setup(outputs=Outputs(root)))
    stop = cancel or threading.Event()
    result = pipeline.run(record_of(config=config, mark=context()), Reports(), stop.is_set)
    assert list((root / ".work").iterdir()) == []
    return result


def error_of(result: JobResult) -> tuple[str, str]:
    """Return kind and text of a failure."""
    assert not result.success
    assert result.error is not None
    return result.error.kind, result.error.message


@pytest.mark.parametrize(
    "value",
    [
        "; touch pwned",
        "$(touch pwned)",
        "`touch pwned`",
        "a b  c",
        'say "it\'s"',
        "*",
        "~",
        "-n",
        "a\nb",
        "{x}",
        "{output_dir}",
        "ü🎨",
        "",
        "\\",
        "%s",
    ],
)
def test_a_value_arrives_as_it_is(tmp_path: Path, value: str) -> None:
    """Placeholders are filled in argument by argument, and no shell ever sees them."""
    result = run(tmp_path, python(ECHO, "{output_dir}", "{x}", "--x={x}", x=value))

    assert result.success
    (file,) = result.images
    assert json.loads((tmp_path / file.path).read_text()) == [value, f"--x={value}"]
    assert not list(tmp_path.rglob("pwned"))


def test_scalars_become_text_as_programs_expect_it() -> None:
    """True and false in small letters, numbers as written, and several placeholders in one argument."""
    config: Config = {"command": ["{a}", "{b}-{c}", 7, True, "{unknown}"], "a": True, "b": 0.5, "c": 3}

    assert fill_in(config, {}) == ["true", "0.5-3", "7", "true", "{unknown}"]


def test_a_value_cannot_name_another_placeholder() -> None:
    """What is filled in is not searched again."""
    config: Config = {"command": ["{a}"], "a": "{b}", "b": "secret"}

    assert fill_in(config, {}) == ["{b}"]


def test_the_pipelines_own_placeholders_win() -> None:
    """A configuration cannot redirect the output folder."""
    config: Config = {"command": ["{output_dir}"], "output_dir": "/etc"}

    assert fill_in(config, {"output_dir": "/work"}) == ["/work"]


def test_braces_of_the_program_itself_are_doubled() -> None:
    """As in Python; those of JSON around a placeholder are not."""
    config: Config = {"command": ["print(f'{{k}}')", '{"a":{"k":{k}}}', "{{print}} {k}"], "k": 1}

    assert fill_in(config, {}) == ["print(f'{k}')", '{"a":{"k":1}}', "{print} 1"]
    assert set(variables_of(_STAGES["run"], config)) == {"k"}


def test_files_become_results(tmp_path: Path) -> None:
    """Every file in the output folder is saved with its media type, and pictures with their size, in order of name."""
    script = """
import pathlib, sys
from PIL import Image
folder = pathlib.Path(sys.argv[1])
Image.new("RGB", (12, 8)).save(folder / "b.png")
(folder / "deep").mkdir()
(folder / "deep" / "c.json").write_text("{}")
(folder / "a.unknown").write_bytes(b"\\0")
(folder / "broken.png").write_bytes(b"2")
"""
    result = run(tmp_path, python(script, "{output_dir}", seed=7))

    found = [(file.media_type, file.width, file.height, file.seed) for file in result.images]
    assert found == [
        ("application/octet-stream", 0, 0, 7),
        ("image/png", 12, 8, 7),
        ("text/plain", 0, 0, 7),
        ("application/json", 0, 0, 7),
    ]
    with Image.open(tmp_path / result.images[1].path) as picture:
        assert picture.size == (12, 8)


def test_a_program_may_leave_no_files(tmp_path: Path) -> None:
    """Then there are only metrics, or nothing; what was used is reported."""
    config = python("pass", x=1)

    result = run(tmp_path, config)

    assert (result.success, result.images, result.metrics, result.effective) == (True, (), {}, config)


def test_the_last_line_of_stdout_gives_metrics(tmp_path: Path) -> None:
    """Lines before it are the program's own business."""
    script = """print('{"loss": 9}'); print("training ..."); print('{"loss": 0.25, "steps": 3}')"""

    assert run(tmp_path, python(script)).metrics == {"loss": 0.25, "steps": 3.0}


@pytest.mark.fault(item="F153")
@pytest.mark.fault(item="F92")
@pytest.mark.parametrize(
    ("stdout", "metrics", "warning"),
    [
        (
            '{"a": 1, "b": NaN, "c": Infinity, "d": true, "e": {"f": 1}}',
            {"a": 1.0},
            "'b' (not a number), 'c' (infinite), 'd' (true or false; write 1 or 0), 'e' (a map)",
        ),
        ('{"a": 1, "g": [1], "h": "1", "i": null}', {"a": 1.0}, "'g' (a list), 'h' (a text), 'i' (null)"),
        ('{"a": -1e999}', {}, "'a' (infinite)"),
        ('{"a": 1' + "0" * 400 + "}", {}, "'a' (too large)"),
        ('{"a": 1, "\\ud800": 2}', {"a": 1.0}, r"'\ud800' (its name cannot be written)"),
        ("{" + ", ".join(f'"{n}": null' for n in "abcdefg") + "}", {}, "'e' (null) and 2 others"),
        ('{"a": 1}\n\n  \n', {"a": 1.0}, ""),
        ('\ufeff{"a": 1}', {"a": 1.0}, ""),
        ('x\r\n{"a": 1}\r\n', {"a": 1.0}, ""),
        ('50 %\r{"a": 1}\n', {"a": 1.0}, ""),
        ('{"a\u2028b\x85": 1}', {"a\u2028b\x85": 1.0}, ""),
        ('{"a": 1}\x0b\x0c\u2028\n', {"a": 1.0}, ""),
        ('{"a": 1', {}, """it is '{"a": 1'"""),
        ("{'a': 1}", {}, """it is "{'a': 1}\""""),
        ('{"a": 1' + "0" * 5000 + "}", {}, "it is "),
        ("", {}, ""),
        ("done", {}, ""),
        ("[1, 2]", {}, ""),
        ("7", {}, ""),
        ('{"a": 1}\nbye', {}, ""),
        ("[" * 100_000, {}, ""),
    ],
    ids=lambda text: f"{text!s:.20}",
)
def test_only_finite_numbers_of_a_map_are_metrics(stdout: str, metrics: dict[str, float], warning: str) -> None:
    """What else is in the map is named; a last line that was not meant as a map is no reason to warn."""
    found, warned = metrics_of(stdout)

    assert found == metrics
    assert warning in warned
    assert bool(warned) == bool(warning)


@pytest.mark.fault(item="F92")
@pytest.mark.parametrize("stdout", ["", "done", "[0.25]", "0.25", '{"a": 1}\nbye', "[" * 100_000, "x" * 70_000])
def test_a_metric_that_is_needed_is_missed(stdout: str) -> None:
    """Where an experiment is decided by a metric, any other last line is worth a warning, which shows it."""
    metrics, warning = metrics_of(stdout, is_needed=True)

    assert metrics == {}
    assert "metrics are read of a last line on stdout" in warning
    assert len(warning) < 200


@pytest.mark.fault(item="F92")
def test_a_long_map_is_read_to_its_beginning(tmp_path: Path) -> None:
    """The end of the output that is read is long enough for any map that a person would print."""
    metrics = run(tmp_path, python("import json; print(json.dumps({f'metric {n}': n for n in range(2000)}))")).metrics

    assert len(metrics) == 2000


@pytest.mark.usefixtures("sleepless")
def test_a_program_that_fails_fails_its_job_with_the_end_of_stderr(tmp_path: Path) -> None:
    """The exit status and the last lines tell why; the files that it wrote are not taken."""
    script = """
import pathlib, sys
pathlib.Path(sys.argv[1], "half.png").write_bytes(b"half")
print("x" * 100_000, file=sys.stderr)
print("out of memory", file=sys.stderr)
sys.exit(3)
"""
    result = run(tmp_path, python(script, "{output_dir}"))

    kind, message = error_of(result)
    assert kind == "command_failed"
    assert message.startswith("exit status 3: xxx")
    assert message.endswith("out of memory")
    assert len(message) < 5000
    assert result.images == ()


@pytest.mark.usefixtures("sleepless")
def test_a_program_that_fails_silently_fails_with_its_status(tmp_path: Path) -> None:
    """There is always a text."""
    assert error_of(run(tmp_path, python("raise SystemExit(7)"))) == ("command_failed", "exit status 7")


@pytest.mark.usefixtures("sleepless")
@pytest.mark.parametrize(
    ("number", "name"), [(int(signal.SIGKILL), "SIGKILL"), (int(signal.SIGRTMIN) + 1, "signal 35")]
)
def test_a_program_that_is_killed_fails_with_its_signal(tmp_path: Path, number: int, name: str) -> None:
    """As the kernel does when memory runs out; also a signal without a name."""
    result = run(tmp_path, python(f"import os; os.kill(os.getpid(), {number})"))

    assert error_of(result) == ("command_failed", f"ended by {name}")


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The limit of the configuration is in the message."""
    result = run(tmp_path, python("import time; time.sleep(600)", timeout_seconds=0.3))

    assert error_of(result) == ("timeout", "the program was ended after 0.3 s (config.timeout_seconds)")


@pytest.mark.parametrize("command", [["/no/such/program"], [""], [], ["/"], ["tool\0"], "no-list"], ids=str)
def test_a_program_that_cannot_be_started_is_an_invalid_request(tmp_path: Path, command: ConfigValue) -> None:
    """The message names the field and the program."""
    kind, message = error_of(run(tmp_path, {"command": command}))

    assert kind == "invalid_request"
    assert message.startswith("config.command: ")


@pytest.fixture
def children() -> Iterator[list[int]]:
    """Collect the ids of processes that a test expects to end, and end those that did not."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)


FAMILY = """
import pathlib, signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
grandchild = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
grandchild.stdout.readline()
note = pathlib.Path(sys.argv[1])
note.with_suffix(".new").write_text(str(grandchild.pid))
note.with_suffix(".new").rename(note)
time.sleep(600)
"""


def test_cancelling_ends_the_program_with_all_its_children(tmp_path: Path, children: list[int]) -> None:
    """A grandchild that ignores SIGTERM is gone as well, and the job is cancelled, not failed."""
    note, cancel, results = tmp_path / "pid", threading.Event(), list[JobResult]()
    thread = threading.Thread(
        target=lambda: results.append(run(tmp_path / "out", python(FAMILY, str(note)), cancel)), daemon=True
    )
    thread.start()
    wait_until(note.exists, what="the start of the grandchild")
    children.append(int(note.read_text()))
    assert not is_gone(children[0])

    cancel.set()
    thread.join(30)

    assert [(result.success, result.cancelled, result.error) for result in results] == [(False, True, None)]
    wait_until(lambda: is_gone(children[0]), what="the end of the grandchild")


def test_a_link_in_the_output_folder_is_not_followed(tmp_path: Path) -> None:
    """A program of somebody else cannot have our files published as results, by a link to a file or to a folder."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    script = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "file").symlink_to(pathlib.Path(sys.argv[2], "key"))
(folder / "folder").symlink_to(sys.argv[2])
(folder / "nowhere").symlink_to("/no/such/file")
(folder / "real").write_text("real")
"""
    result = run(tmp_path / "out", python(script, "{output_dir}", str(secret)))

    assert [(tmp_path / "out" / file.path).read_text() for file in result.images] == ["real"]


def test_a_named_pipe_in_the_output_folder_does_not_stop_the_runner(tmp_path: Path) -> None:
    """Reading it would wait forever."""
    result = run(tmp_path, python("import os, sys; os.mkfifo(sys.argv[1] + '/pipe')", "{output_dir}"))

    assert (result.success, result.images) == (True, ())


def test_the_program_runs_in_its_own_folder_without_input(tmp_path: Path) -> None:
    """What it writes beside its output is gone with the folder, and reading stdin ends at once."""
    script = "import os, pathlib, sys; pathlib.Path(sys.argv[1], 'a').write_text(os.getcwd() + sys.stdin.read())"

    result = run(tmp_path, python(script, "{output_dir}"))

    assert (tmp_path / result.images[0].path).read_text() == str(tmp_path / ".work" / "job-1.1")


def test_a_long_job_id_makes_a_working_folder(tmp_path: Path) -> None:
    """Whatever a job is called, its program has a place to run."""
    job = record_of("🎨" * 128, config=python("pass"))

    assert CommandPipeline(Setup(outputs=Outputs(tmp_path))).run(job, Reports(), lambda: False).success
