"""`python -m benchmarks`: measures side by side, and writes what came of it."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from benchmarks import chain, cluster, feed, growth, jobs, losses
from benchmarks.bench import FULL, QUICK, Bench, S
from benchmarks.crew import BenchmarkError, Signals, StoppedError
from benchmarks.picture import picture
from benchmarks.results import Result, as_json, as_text, from_json, machine, merged
from benchmarks.systems import JOB_SYSTEMS, SYSTEMS
from bus.console.process import EXIT_SIGNAL

MEASUREMENTS: Final = {
    "throughput": chain.throughput,
    "latency": chain.latency,
    "catch-up": feed.catch_up,
    "fan-out": feed.fan_out,
    "growth": growth.growth,
    "jobs": jobs.jobs,
    "cluster": cluster.cluster,
    "losses": losses.losses,
}


@click.command()
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="How often each is measured.")
@click.option("--quick", is_flag=True, help="Tiny counts: shows that it works, not how fast.")
@click.option("--only", type=click.Choice(list(MEASUREMENTS)), multiple=True, help="Only this measurement; repeatable.")
@click.option(
    "--system",
    "names",
    type=click.Choice(list({**SYSTEMS, **JOB_SYSTEMS})),
    multiple=True,
    help="Only this one; repeatable.",
)
@click.option("--profile", is_flag=True, help="Show where the time of a process goes (throughput and jobs only).")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for latest.json and latest.svg. [default: benchmarks/results if everything is measured in full]",
)
@click.option("--merge", is_flag=True, help="Keep what the folder's latest.json has of other measurements.")
def main(
    *,
    rounds: int,
    quick: bool,
    only: tuple[str, ...],
    names: tuple[str, ...],
    profile: bool,
    output: Path | None,
    merge: bool,
) -> None:
    """Measure our bus and its peers side by side, doing the same work on this machine."""
    if merge and not output:
        raise click.UsageError("--merge: say with --output FOLDER where latest.json is")
    Signals.note()
    on = machine()  # before we load it ourselves
    bench = Bench(
        systems=_present(SYSTEMS, names),
        job_systems=_present(JOB_SYSTEMS, names),
        rounds=rounds,
        size=QUICK if quick else FULL,
        profile=profile,
        say=_say,
    )
    results: list[Result] = []
    try:
        for name in only or MEASUREMENTS:
            _say(f"{name} …")
            results += MEASUREMENTS[name](bench)
    except BenchmarkError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except StoppedError as stopped:
        sys.exit(EXIT_SIGNAL + stopped.args[0])
    # what none of the chosen systems does has no figures
    results = [replace(result, machine=on) for result in results if result.figures]
    click.echo("\n".join(as_text(result) for result in results))
    if output is None and not (quick or only or names or profile):
        output = Path(__file__).with_name("results")
    if output:
        _write(output, results, merge=merge)


def _present(systems: Mapping[str, S], names: tuple[str, ...]) -> list[S]:
    """Return those that are to be measured and can be; say what others lack."""
    present = []
    for system in systems.values():
        if names and system.name not in names:
            continue
        missing = system.missing()
        if missing:
            _say(f"{system.name} is skipped: {missing}")
        else:
            present.append(system)
    return present


def _write(folder: Path, results: list[Result], *, merge: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "latest.json"
    if merge and path.exists():
        results = merged(from_json(path.read_bytes()), results)
    path.write_bytes(as_json(results))
    (folder / "latest.svg").write_text(picture(results), encoding="utf-8")


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
