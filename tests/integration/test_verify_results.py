"""`variantbus verify` finds nothing wrong with the results of a program, whatever they are called."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bus.contracts.fields import Config
from bus.contracts.jobs import SubmitParams, SubmitReply
from bus.contracts.topics import JOB_COMPLETED
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Pipeline, Setup
from pipeline_runner.pipelines.command.pipeline import CommandPipeline
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread, request_for
from tests.support.held_pipelines import ask
from tests.support.helpers import LOCALHOST, wait_until
from variantbus.cli.main import main

SCRIPT = "cd $1; echo 1 > a.txt; echo 1 > b.txt; echo 1 > c.csv; echo 2 > d; mkdir e; echo 1 > e/a.txt"


@pytest.mark.fault(item="F54")
def test_the_named_results_of_a_program_are_as_they_were_written(tmp_path: Path) -> None:
    """Also where several files of a job have one content; a changed sidecar is found all the same."""

    def make(log: Log, loop: Loop) -> Runner:
        outputs = Outputs(tmp_path / "outputs")
        pipelines: dict[str, Pipeline] = {"command": CommandPipeline(Setup(outputs=outputs))}
        return Runner(log, loop, pipelines, outputs, workers=1, feed=LOCALHOST, control=LOCALHOST)

    hosted = ServiceThread(tmp_path / "runner.db", make)
    try:
        config: Config = {"command": ["sh", "-c", SCRIPT, "sh", "{output_dir}"]}
        request = request_for("job-1", pipeline="command", stage="run", config=config)
        ask(hosted, "job.submit", SubmitParams(jobs=[request]), SubmitReply)
        wait_until(lambda: len(hosted.logged(JOB_COMPLETED)) == 1, what="the end of the job")
    finally:
        hosted.stop()

    verified = CliRunner().invoke(main, ["verify", str(tmp_path)])
    assert re.search(r" 0 findings\n$", verified.output), verified.output
    sidecar = next((tmp_path / "outputs").rglob("*.job-1.json"))
    sidecar.write_text(sidecar.read_text().replace('"attempt": 1', '"attempt": 2'))
    verified = CliRunner().invoke(main, ["verify", str(tmp_path)])
    assert "its job says something else" in verified.output
