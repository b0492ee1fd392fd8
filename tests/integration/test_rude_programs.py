"""Programs that spoil the folder they run in: it costs them at most their own job."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Setup
from pipeline_runner.pipelines.command.pipeline import CommandPipeline
from tests.support.factories import Reports, context, record_of
from tests.support.helpers import wait_until

pytestmark = pytest.mark.fault(item="F64")
DEEP = "import os, sys; os.chdir(sys.argv[1]); [(os.mkdir('a'), os.chdir('a')) for _ in range(1500)]"
PRINTED = "print('{\"level\": 3}', flush=True); "


def run(root: Path, script: str, job_id: str = "job-1") -> JobResult:
    """Run a program to its end."""
    config: Config = {"command": [sys.executable, "-c", script, "{output_dir}"]}
    pipeline = CommandPipeline(Setup(outputs=Outputs(root)))
    return pipeline.run(record_of(job_id, config=config, mark=context()), Reports(), lambda: False)


@pytest.mark.parametrize(
    "script",
    [
        "import os; os.remove('stdout')",
        "import os; os.remove('stdout'); os.mkfifo('stdout')",
        "import os; os.remove('stdout'); os.symlink('/dev/full', 'stdout')",
        "import os, shutil; shutil.rmtree(os.getcwd())",
    ],
    ids=["removed", "pipe", "link", "whole folder removed"],
)
def test_what_a_program_prints_is_read_whatever_stands_in_its_place(tmp_path: Path, script: str) -> None:
    """A pipe would be waited for without end, and a device be read into memory."""
    result = run(tmp_path, PRINTED + script)

    assert (result.success, result.metrics) == (True, {"level": 3.0})


def test_a_folder_may_be_removed_before_its_program_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was said that the program cannot be started."""
    look = psutil.Process

    def late(number: int) -> psutil.Process:
        wait_until(lambda: not [*(tmp_path / ".work").iterdir()], what="the removal")
        return look(number)

    monkeypatch.setattr(psutil, "Process", late)

    result = run(tmp_path, PRINTED + "import os, shutil; shutil.rmtree(os.getcwd())")

    assert (result.success, result.metrics) == (True, {"level": 3.0})


@pytest.mark.usefixtures("sleepless")
def test_the_reason_of_a_failure_is_read_whatever_stands_in_its_place(tmp_path: Path) -> None:
    """As for what is printed."""
    result = run(tmp_path, "import os, sys; os.remove('stderr'); os.mkfifo('stderr'); sys.exit('no paint left')")

    assert result.error
    assert result.error.message == "exit status 1: no paint left"


def test_a_metric_whose_name_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    """Half a surrogate would be refused when the result is encoded; the job and its files would be lost."""
    result = run(tmp_path, r"""print('{"\\ud800": 1, "level": 3}')""")

    assert (result.success, result.metrics) == (True, {"level": 3.0})


def test_files_behind_a_link_are_no_results(tmp_path: Path) -> None:
    """Also if the link stands where the results are expected."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "private.txt").write_text("private")

    result = run(
        tmp_path / "outputs", f"import os, sys; os.rmdir(sys.argv[1]); os.symlink({str(other)!r}, sys.argv[1])"
    )

    assert (result.success, result.images) == (True, ())
    assert (other / "private.txt").exists()


@pytest.mark.parametrize("then", ["", "; import time; time.sleep(60)"], ids=["ends", "goes on"])
def test_folders_without_end_cost_the_job_alone(tmp_path: Path, then: str) -> None:
    """The failure says so, a program that goes on is ended, and the runner starts again with what it cannot remove."""
    result = run(tmp_path, DEEP + then)

    try:
        assert result.error
        assert result.error.kind == "too_deep"
        assert run(tmp_path, PRINTED, "job-2").success
    finally:
        subprocess.run(["rm", "-rf", tmp_path / ".work"], check=True)  # noqa: S607 - pytest cannot


def test_a_folder_that_may_not_be_read_keeps_no_pipeline_from_being_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All jobs of a pipeline that is not loaded would fail."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", refuse)
        CommandPipeline(Setup(outputs=Outputs(tmp_path)))
