"""`variantbus job …`: the group."""

from typing import Final

import click

from variantbus.cli.late import Late, LateCommands, LateGroup

COMMANDS: Final = {
    "submit": Late("variantbus.cli.job_submit:submit", "Submit the job of FILE; print its id."),
    "list": Late("variantbus.cli.job_queue:list_", "List jobs, newest first."),
    "show": Late("variantbus.cli.job_queue:show", "Show everything about a job, as JSON, with --json or without."),
    "retry": Late("variantbus.cli.job_queue:retry", "Run a job again that failed or was cancelled."),
    "pause": Late(
        "variantbus.cli.job_queue:pause",
        "Start no more jobs until `job resume`, even after a restart; running jobs finish.",
    ),
    "resume": Late("variantbus.cli.job_queue:resume", "Start jobs again after `job pause`."),
    "cancel": Late("variantbus.cli.job_queue:cancel", "Cancel a job that has not ended."),
    "output": Late(
        "variantbus.cli.job_output:output_command",
        "Fetch a result by its hash, or the first 8 or more digits of it; see `variantbus job show`.",
    ),
    "gc": Late(
        "variantbus.cli.job_gc:gc_command",
        "Remove ended jobs and their pictures that belong to no experiment, or to one that no learning service knows.",
    ),
}


@click.group(cls=LateGroup)
def job() -> None:
    """Submit single jobs, inspect the runner's queue, fetch results, and free disk space."""


job.commands = LateCommands(COMMANDS)
