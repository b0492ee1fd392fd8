"""`variantbus experiment …`: the group."""

from typing import Final

import click

from variantbus.cli.late import Late, LateCommands, LateGroup

COMMANDS: Final = {
    "run": Late(
        "variantbus.cli.run:run",
        "Plan the experiment of FILE and run its jobs; print its id, also with --follow.",
    ),
    "clone": Late(
        "variantbus.cli.run:clone",
        "Plan the experiment ID once more, as a new one, perhaps with changes; print its id, also with --follow.",
    ),
    "list": Late("variantbus.cli.listing:list_", "List experiments, newest first."),
    "show": Late("variantbus.cli.show:show", "Show an experiment with all its variants."),
    "cancel": Late("variantbus.cli.revise:cancel", "Cancel the jobs of an experiment that have not ended."),
    "sheet": Late(
        "variantbus.cli.sheet:sheet",
        "Draw all pictures of an experiment into one PNG: one column for each value, one row for each seed.",
    ),
    "extend": Late("variantbus.cli.revise:extend", "Plan more values or seeds; existing results are kept."),
    "retry": Late("variantbus.cli.revise:retry", "Run the failed jobs once more."),
    "stop": Late("variantbus.cli.revise:stop", "End the search of an adaptive experiment; planned jobs still run."),
    "rename": Late("variantbus.cli.revise:rename", "Change the name of an experiment; its id stays."),
    "set": Late(
        "variantbus.cli.revise:set_",
        "Let something else decide an experiment, also after its end: objective=stars, objective=loss goal=minimize.",
    ),
    "score": Late(
        "variantbus.cli.score:score",
        "Measure the pictures that an experiment has: by SCORERs, by those of FILE, or once more by its own.",
    ),
    "export": Late(
        "variantbus.cli.archive:export",
        "Write everything about an experiment: jobs, pictures by their hashes, ratings, recommendation.",
    ),
    "import": Late("variantbus.cli.archive:import_", "Create an experiment from a file of `export`; print its id."),
    "adopt": Late(
        "variantbus.cli.adopt:adopt",
        "Make an experiment of the pictures in FOLDER and the folders in it; print its id.",
    ),
    "report": Late(
        "variantbus.cli.report:report",
        "Write one HTML file to pass on: the answer, a plot, all numbers, all pictures.",
    ),
    "archive": Late(
        "variantbus.cli.put_away:archive",
        "Put experiments away: they stay whole, but are listed only by `experiment list --archived`.",
    ),
    "unarchive": Late(
        "variantbus.cli.put_away:unarchive",
        "Take experiments out of the archive: all that are named, or none if one of them is unknown.",
    ),
    "delete": Late(
        "variantbus.cli.put_away:delete",
        "Delete experiments for good: jobs, ratings, and results that belong to no other experiment.",
    ),
}


@click.group(cls=LateGroup)
def experiment() -> None:
    """Plan, watch and manage experiments."""


experiment.commands = LateCommands(COMMANDS)
