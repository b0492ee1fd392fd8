"""`variantbus`: the command with all subcommands."""

from typing import Final

import click

from bus import __version__
from variantbus.cli.late import Late, LateCommands, LateGroup

COMMANDS: Final = {
    "demo": Late(
        "variantbus.cli.demo:demo", "Run the example experiment from start to end, and show where everything is."
    ),
    "up": Late(
        "variantbus.cli.up:up",
        "Run runner, learning service, dashboard, notifier and a logger until Ctrl-C; a process that dies is"
        " restarted.",
        extra="all",
    ),
    "down": Late(
        "variantbus.cli.up:down",
        "End the `variantbus up` of the data folder, or what one that was killed has left there, and nothing else.",
        extra="all",
    ),
    "experiment": Late("variantbus.cli.experiment:experiment", "Plan, watch and manage experiments."),
    "example": Late(
        "variantbus.cli.example:example",
        "Print the example NAME, or list all of them: experiments, a job, and programs for the guides.",
    ),
    "rate": Late("variantbus.cli.rate:rate", "Rate a picture with 1 to 5 stars; none removes the rating."),
    "compare": Late(
        "variantbus.cli.rate:compare",
        "Choose the better of two pictures, pair after pair, without seeing their values.",
    ),
    "undo": Late(
        "variantbus.cli.rate:undo",
        "Undo the newest rating of an experiment, or of one picture; repeat it to undo earlier ones.",
    ),
    "recommend": Late(
        "variantbus.cli.recommend:recommend",
        "Show which value of an experiment is best, how certain that is, and what would make it more certain.",
    ),
    "apply": Late(
        "variantbus.cli.apply:apply",
        "Apply the recommendation for ID: print the ready-to-run job, or write the value into a file.",
    ),
    "history": Late(
        "variantbus.cli.history:history", "Show all experiments so far: how each value was rated, and the trend."
    ),
    "job": Late(
        "variantbus.cli.job:job", "Submit single jobs, inspect the runner's queue, fetch results, and free disk space."
    ),
    "pipelines": Late(
        "variantbus.cli.pipelines:pipelines",
        "List the pipelines of the runner, or the variables of one: their values, and where they go.",
    ),
    "watch": Late("variantbus.cli.run:watch", "Show a running experiment live: ID, or the newest one."),
    "tail": Late(
        "bus.console.main:tail", "Print events whose topic begins with PREFIX, such as variant.status or job.completed."
    ),
    "top": Late("bus.console.main:top", "Show the events per second, by the first two tokens of their topic."),
    "runner-list": Late(
        "variantbus.cli.runners:runner_list", "List the runners of a learning service, and what waits for each."
    ),
    "runner-forget": Late(
        "variantbus.cli.runners:runner_forget",
        "Give up a runner that never comes back: ADDRESS, as `runner-list` names it.",
    ),
    "cluster": Late(
        "variantbus.cli.cluster:cluster", "Share the work of many machines over servers of NATS JetStream."
    ),
    "check": Late(
        "variantbus.cli.check:check", "Check the health of each process, and of the cluster that shares their work."
    ),
    "verify": Late(
        "variantbus.cli.verify:verify",
        "Check the databases and pictures of a data folder, while its services are stopped.",
    ),
    "backup": Late(
        "variantbus.cli.backup:backup",
        "Copy the databases and pictures of a data folder to FOLDER, which is made, while its services run or not.",
    ),
    "restore": Late(
        "variantbus.cli.restore:restore",
        "Put the backup in FOLDER into an empty data folder, before its services are started.",
    ),
    "keygen": Late(
        "variantbus.cli.keygen:keygen", "Create the keys of this machine in FOLDER, and print the public one."
    ),
    "spec": Late(
        "variantbus.cli.spec:spec", "Print the bus as an AsyncAPI 3 document, in JSON: topics, messages, methods."
    ),
    "runner": Late(
        "pipeline_runner.main:main",
        "Run jobs from a durable queue and publish their progress and results.",
        extra="runner",
    ),
    "learning": Late(
        "learning_service.main:main",
        "Plan experiments, follow their jobs, and publish the state of every variant.",
        extra="learning",
    ),
    "dashboard": Late(
        "variantbus.dashboard.main:main",
        "Serve the web page: watch experiments live, rate their pictures, and see the recommendation.",
        extra="web",
    ),
    "notify": Late(
        "variantbus.notify.main:main",
        "Tell you when an experiment has ended, a job has failed, or your stars are needed; part of `variantbus up`.",
        extra="notify",
    ),
}


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Find out which setting is best: run a job under each of its values, and watch them live.

    \b
    First steps:
      variantbus demo                                      everything once, in a minute
      variantbus up                                        the services, until Ctrl-C or `variantbus down`
      variantbus example cfg_sweep > FILE.toml             an experiment to begin with
      variantbus experiment run FILE.toml --follow         plan an experiment and follow it to its end
      variantbus tail variant.status --json

    \b
    Exit status: 0 ok, 1 unexpected, 2 usage or bad input, 3 cannot connect, 4 refused or a job failed,
    5 timed out, 130 Ctrl-C.
    """  # noqa: D301 - \b is click's mark for lines that stay as they are


main.commands = LateCommands(COMMANDS)
