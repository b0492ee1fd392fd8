"""`variantbus experiment export` and `import`."""

import sys
from itertools import chain
from pathlib import Path
from typing import Final, Literal, get_args

import click
import msgspec

from bus.console.options import keys_option, learning_option
from bus.console.process import user_errors
from bus.contracts.archive import ImportParams, ImportReply, Kind, Records
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from bus.transport.keys import Keys
from learning_service.experiments.sharding import Shard
from variantbus.cli.file_changes import read_text, replace_text
from variantbus.cli.ids import experiment_argument
from variantbus.client.planning import new_id
from variantbus.client.records import export_of
from variantbus.reports.export import Exported, from_csv, from_json, to_csv, to_json, under

PART_BYTES: Final = 1 << 18  # of the records in one request, which is read and kept in some milliseconds
IMPORT_SECONDS: Final = 60.0  # for one part; the last one writes them all
Format = Literal["json", "csv"]


@click.command()
@experiment_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write (default: to stdout).")
@click.option(
    "--format", "wanted", type=click.Choice(get_args(Format)), help="Default: as the file's name ends, or json."
)
@learning_option
@keys_option
def export(experiment_id: str, *, output: Path | None, wanted: Format | None, learning: str, keys: Keys | None) -> None:
    """Write everything about an experiment: jobs, pictures by their hashes, ratings, recommendation."""
    with user_errors():
        form = wanted or _format_of(output)
        exported = export_of(learning, experiment_id, keys)
        text = to_csv(exported) if form == "csv" else to_json(exported)
        if output is None:
            sys.stdout.buffer.write(text.encode())
            sys.stdout.buffer.flush()  # here a full disk is one sentence
            return
        replace_text(output, text)
        click.echo(str(output), err=True)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as-new", is_flag=True, help="Import it under a new id, beside the existing one.")
@learning_option
@keys_option
def import_(file: Path, *, as_new: bool, learning: str, keys: Keys | None) -> None:
    """Create an experiment from a file of `export`; print its id. Its jobs do not run again."""
    with user_errors():
        text = read_text(file)
        try:
            exported = from_csv(text) if file.suffix.lower() == ".csv" else from_json(text)
        except InvalidInputError as error:
            raise InvalidInputError(f"{file}: {error}") from None
        chosen = new_id(exported.definition.name) if as_new else exported.experiment_id
        try:
            send(learning, under(exported, chosen), keys)
        except ControlError as error:
            if not as_new or "shard" not in error.details:
                raise
            chosen = new_id(exported.definition.name, Shard.parse(error.details["shard"]))
            send(learning, under(exported, chosen), keys)
        click.echo(chosen)


def send(learning: str, exported: Exported, keys: Keys | None) -> None:
    """Send an experiment in parts; it exists once the last part has arrived, or not at all."""
    parts = parts_of(exported.records)
    for number, records in enumerate(parts):
        params = ImportParams(
            experiment_id=exported.experiment_id,
            part=number,
            parts=len(parts),
            definition=exported.definition,
            values=exported.values,
            created_at=exported.created_at,
            records=records,
        )
        request(learning, "experiment.import", params, ImportReply, IMPORT_SECONDS, keys=keys)


def parts_of(records: Records) -> list[Records]:
    """Yield the records in parts that each fit into a request."""
    parts = [Records()]
    size = 0
    for kind, one in chain.from_iterable(((kind, one) for one in getattr(records, kind)) for kind in get_args(Kind)):
        size += len(msgspec.msgpack.encode(one))
        if size > PART_BYTES:
            parts.append(Records())
            size = 0
        getattr(parts[-1], kind).append(one)
    return parts


def _format_of(output: Path | None) -> Format:
    return "csv" if output and output.suffix.lower() == ".csv" else "json"
