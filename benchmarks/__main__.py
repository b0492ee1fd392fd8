"""`python -m benchmarks`: measures side by side, and writes what came of it."""

import sys
from pathlib import Path
from typing import Final

import click

from benchmarks import chain, feed, growth
from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.crew import BenchmarkError, Signals, StoppedError
from benchmarks.picture import picture
from benchmarks.results import Result, as_json, as_text, machine
from benchmarks.systems import SYSTEMS
from bus.command import EXIT_SIGNAL

MEASUREMENTS: Final = {
    "throughput": chain.throughput,
    "latency": chain.latency,
    "catch-up": feed.catch_up,
    "fan-out": feed.fan_out,
    "growth": growth.growth,
}


@click.command()
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="How often each is measured.")
@click.option("--quick", is_flag=True, help="Tiny counts: shows that it works, not how fast.")
@click.option("--only", type=click.Choice(list(MEASUREMENTS)), multiple=True, help="Only this measurement; repeatable.")
@click.option("--system", "names", type=click.Choice(list(SYSTEMS)), multiple=True, help="Only this one; repeatable.")
@click.option("--profile", is_flag=True, help="Show where the time of the middle process goes (throughput only).")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for latest.json and latest.svg. [default: benchmarks/results if everything is measured in full]",
)
def main(
    *, rounds: int, quick: bool, only: tuple[str, ...], names: tuple[str, ...], profile: bool, output: Path | None
) -> None:
    """Measure our bus and its peers side by side, doing the same work on this machine."""
    Signals.note()
    systems = []
    for name in names or SYSTEMS:
        missing = SYSTEMS[name].missing()
        if missing:
            click.echo(f"{name} is skipped: {missing}", err=True)
        else:
            systems.append(SYSTEMS[name])
    on = machine()  # before we load it ourselves
    bench = Bench(systems=systems, rounds=rounds, size=QUICK if quick else FULL, profile=profile, say=_say)
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
    click.echo("\n".join(as_text(result) for result in results))
    if output is None and not (quick or only or names or profile):
        output = Path(__file__).with_name("results")
    if output:
        output.mkdir(parents=True, exist_ok=True)
        (output / "latest.json").write_bytes(as_json(results, on))
        (output / "latest.svg").write_text(picture(results, on), encoding="utf-8")


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main()
