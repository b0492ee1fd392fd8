"""`variantbus verify`: whether a data folder is as it was written."""

import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from bus.console.options import keys_option
from bus.console.printable import printable
from bus.console.process import EXIT_REFUSED, EXIT_USAGE, fail, user_errors
from bus.eventlog import verification
from bus.eventlog.verification import Extent, Finding, Stores
from bus.transport.keys import Keys
from learning_service.archive.importing import SQL as ARCHIVE
from learning_service.storage.archived import SQL as ARCHIVED
from learning_service.storage.catalogue import SQL as CATALOGUE
from learning_service.storage.confirmations import SQL as CONFIRMATIONS
from learning_service.storage.deletions import SQL as DELETIONS
from learning_service.storage.departures import SQL as DEPARTURES
from learning_service.storage.judgements import SQL as JUDGEMENTS
from learning_service.storage.layouts import SQL as LAYOUTS
from learning_service.storage.results import SQL as RESULTS
from learning_service.storage.searches import SQL as SEARCHES
from learning_service.storage.shares import SQL as SHARES
from learning_service.storage.stale import SQL as STALE
from learning_service.storage.store import SQL as LEARNING
from pipeline_runner.execution.reuse import SQL as REUSE
from pipeline_runner.outputs import verification as outputs
from pipeline_runner.outputs.index import SQL as OUTPUTS
from pipeline_runner.queue.priorities import SQL as PRIORITIES
from pipeline_runner.queue.store import SQL as RUNNER
from variantbus.cli.output import json_option, json_text
from variantbus.reports.text import count_text

STORES: Final[Mapping[str, Stores]] = {  # of each database, by the names that the services give them
    "runner": {"runner": RUNNER, "outputs": OUTPUTS, "reuse": REUSE, "priorities": PRIORITIES},
    "learning": {
        "learning": LEARNING,
        "results": RESULTS,
        "judgements": JUDGEMENTS,
        "stale": STALE,
        "layouts": LAYOUTS,
        "adaptive": SEARCHES,
        "confirmations": CONFIRMATIONS,
        "archived": ARCHIVED,
        "shares": SHARES,
        "deletions": DELETIONS,
        "departures": DEPARTURES,
        "archive": ARCHIVE,
        "catalogue": CATALOGUE,
    },
}


class Report(Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    ok: bool
    files: list[str]
    events: int
    rows: int  # of state, with a checksum
    rows_without_checksum: int  # an earlier version wrote them; they get one when their service starts
    findings: list[Finding]
    pictures: int  # and other results, of which the runner's index knows
    unowned: int


@click.command()
@click.argument("folder", metavar="DATA_DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
@keys_option
def verify(*, folder: Path, as_json: bool, keys: Keys | None) -> None:
    """Check the databases and pictures of a data folder, while its services are stopped.

    Every event, row and picture is compared with its checksum. Nothing is changed. The config file is read, and so are
    the keys, if they are given.

    Exit status: 0 all is as it was written; 4 something is not, or it cannot be looked at, as while a service runs.
    """
    del keys  # to read them was the check
    with user_errors():
        found: list[Finding] = []
        databases, lone, pictures = sorted(folder.glob("*.db")), 0, 0
        if not databases:
            fail(f"{folder} has no database of a service; give a data folder", EXIT_USAGE)
        extents: list[Extent] = []
        for path in databases:
            with verification.opened(path) as db:
                extents.append(verification.extent(db))
                found += verification.verify(db, path, STORES.get(path.stem, {}))
                if path.stem == "runner":
                    found += _pictures(db, folder / "outputs")
                    lone, pictures = _counts(db, folder / "outputs")
        events, rows, bare = (sum(column) for column in zip(*extents, strict=True))
        report = Report(
            ok=not found,
            files=[path.name for path in databases],
            events=events,
            rows=rows,
            rows_without_checksum=bare,
            findings=found,
            pictures=pictures,
            unowned=lone,
        )
        if as_json:
            click.echo(json_text(report))
        else:
            _print(report)
    sys.exit(EXIT_REFUSED if found else 0)


def _pictures(db: sqlite3.Connection, root: Path) -> Iterator[Finding]:
    try:
        yield from outputs.verify(db, root)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        yield Finding("runner.db", f"its index of pictures cannot be read: {error}", verification.BACKUP)


def _counts(db: sqlite3.Connection, root: Path) -> tuple[int, int]:
    """Return how many files belong to no job, and how many results the index knows."""
    try:
        return outputs.unowned(db, root), outputs.known(db)
    except (sqlite3.Error, UnicodeDecodeError):
        return 0, 0  # which was said already


def _print(report: Report) -> None:
    for one in report.findings:
        click.echo(f"{printable(one.file)}: {printable(one.what)}; {one.advice}")
    if report.unowned:
        text = f"{count_text(report.unowned, 'file', 'files')} in outputs that no job refers to"
        advice = "`variantbus job gc` removes those that were made since the runner's log began its present epoch"
        click.echo(f"{text}; {advice}, remove older ones by hand", err=True)
    if report.rows_without_checksum:
        text = f"{count_text(report.rows_without_checksum, 'row', 'rows')} of state without a checksum"
        click.echo(f"{text}, of an earlier version; their service gives them one when it starts", err=True)
    looked_at = (
        count_text(len(report.files), "database", "databases"),
        count_text(report.events, "event", "events"),
        f"{count_text(report.rows, 'row', 'rows')} of state",
        count_text(report.pictures, "result", "results"),
    )
    click.echo(f"{', '.join(looked_at)}: {count_text(len(report.findings), 'finding', 'findings')}")
