"""`variantbus pipelines`: what can be varied, as the runner announces it."""

from typing import Final

import click

from bus.console.options import keys_option, runner_option
from bus.console.printable import last_line
from bus.console.process import user_errors
from bus.console.table import Column, Table
from bus.contracts.jobs import LaneView, PipelinesReply, ScorerSpec
from bus.contracts.pipeline_specs import StageSpec, VariableSpec, bounds_text
from bus.protocol.validation import InvalidInputError, near_miss
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.output import json_option, json_text, print_table

CHOICES_SHOWN: Final = 8
KINDS: Final[dict[str, str]] = {
    "int": "whole number",
    "float": "number",
    "str": "text",
    "bool": "true or false",
    "list": "list of texts or numbers",
    "map": "table of names and values",
    "strength": "number, or true or false",
    "any": "any value",
}


@click.command()
@click.argument("name", metavar="[PIPELINE]", default="")
@json_option
@runner_option
@keys_option
def pipelines(name: str, *, as_json: bool, runner: str, keys: Keys | None) -> None:
    """List the pipelines of the runner, or the variables of one: their values, and where they go."""
    with user_errors():
        reply = request(runner, "pipelines", {}, PipelinesReply, keys=keys)
        if name and name not in reply.pipelines:
            hint = near_miss(name, list(reply.pipelines))
            raise InvalidInputError(f"PIPELINE: {name!r} is unknown; {hint}")
        if as_json:
            click.echo(json_text(reply.pipelines[name] if name else reply))
        elif name:
            _print_stages(reply.pipelines[name])
        else:
            print_table(overview(reply))
            if reply.scorers:
                print_table(scorer_table(reply.scorers))


def _print_stages(stages: dict[str, StageSpec]) -> None:
    for sentence in away_lines(stages):
        click.echo(sentence)
    for stage, spec in stages.items():
        if spec.variables or spec.config:
            print_table(stage_table(stage, spec))


def away_lines(stages: dict[str, StageSpec]) -> list[str]:
    """Return why nothing can be planned now: each reason once, however many stages wait for the same server."""
    return [why for why in dict.fromkeys(last_line(spec.unavailable) for spec in stages.values()) if why]


def overview(reply: PipelinesReply) -> Table:
    """List pipelines with their stages and their part of the queue."""
    stages_column, note_column = (Column(heading, wraps=True) for heading in ("stages", "note"))
    table = Table("pipeline", stages_column, Column("waiting", right=True), "running", note_column)
    idle = LaneView(queued=0, running=0, concurrency=0, room=0, paused=False, waits_for="")
    for name, stages in reply.pipelines.items():
        lane = reply.lanes.get(name, idle)
        running = f"{lane.running} of {lane.concurrency}"
        table.add(name, " ".join(stages), str(lane.queued), running, lane.waits_for)
    return table


def scorer_table(scorers: dict[str, ScorerSpec]) -> Table:
    """List what can measure pictures, with its options."""
    table = Table("scorer", Column("measures", wraps=True), "options", title="[score] use = […]")
    for name, spec in sorted(scorers.items()):
        table.add(name, spec.about, " ".join(spec.options))
    return table


def stage_table(stage: str, spec: StageSpec) -> Table:
    """List the keys of a stage; those that an experiment cannot vary come last."""
    table = Table("name", *(Column(heading, wraps=True) for heading in ("takes", "goes to", "note")), title=stage)
    for name, variable in (*spec.variables.items(), *spec.config.items()):
        table.add(name, takes(variable), variable.target, note(name, spec, variable))
    return table


def takes(variable: VariableSpec) -> str:
    """Return in few words which values a variable takes."""
    if variable.choices:
        shown = ", ".join(str(choice) for choice in variable.choices[:CHOICES_SHOWN])
        more = len(variable.choices) - CHOICES_SHOWN
        listed = f"{shown}, … {more} more" if more > 0 else shown
        return f"table of {listed}" if variable.kind == "map" else listed
    bounded = variable.minimum is not None or variable.maximum is not None
    bounds = f" {bounds_text(variable.minimum, variable.maximum)}" if bounded else ""
    return f"{KINDS.get(variable.kind, variable.kind)}{bounds}{f' {variable.unit}' if variable.unit else ''}"


def note(name: str, spec: StageSpec, variable: VariableSpec) -> str:
    """Return further remarks about a key."""
    has_parts = bool(variable.inside or variable.open)
    parts = [f"each value a variable: {name}.NAME" if has_parts else "config only"] if name in spec.config else []
    parts += ["required"] if name in spec.required else []
    parts += [f"with {' and '.join(variable.needs)}"] if variable.needs else []
    parts += ["slow to change"] if variable.slow else []
    return ", ".join(parts)
