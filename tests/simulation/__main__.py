"""How far answers and searches can be trusted: `python -m tests.simulation` prints the tables of the docs."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final, TypedDict, Unpack

import click
from click import echo

PARTS: Final = ("answers", "judgements", "searches", "speed")
LAYOUTS: Final = ("25", "8 x 8")
RUNS: Final = {  # of the tables of the docs
    "answers": 30,
    "judgements": 16,
    "25": 30,
    "25 uneven": 30,
    "8 x 8": 6,
    "4 x 4 x 4": 2,
    "3 x 3 x 3 x 3": 2,
}
THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Options(TypedDict):
    """The command line."""

    parts: Sequence[str]
    runs: int | None
    layouts: Sequence[Any]
    ways: Sequence[str]
    kinds: Sequence[str]
    scales: Sequence[Any]
    wild: bool | None
    jobs: int
    seed: int


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this; may be given again.")
@click.option("--runs", type=int, help="Worlds of each kind; as many as the tables of the docs have without it.")
@click.option(
    "--kind", "kinds", multiple=True, help="Of the worlds, such as rough; may be given again; all without it."
)
@click.option(
    "--layout",
    "layouts",
    multiple=True,
    default=LAYOUTS,
    show_default=True,
    type=click.Choice(("25", "25 uneven", "8 x 8", "4 x 4 x 4", "3 x 3 x 3 x 3")),
    help="Of the searches.",
)
@click.option("--way", "ways", multiple=True, help="Of the searches; all without it.")
@click.option("--scale", "scales", multiple=True, default=("metric", "stars", "preference"), show_default=True)
@click.option(
    "--wild/--tame", "wild", default=None, help="Only with 10 % wild scores, or only without; both as a rule."
)
@click.option("--jobs", default=os.cpu_count() or 1, show_default="all cores", help="Processes at once.")
@click.option("--seed", default=1, show_default=True, help="Another one gives other worlds.")
def main(**options: Unpack[Options]) -> None:
    """Draw experiments of which the best value is known, and compare it with what we say and find."""
    os.environ.update(dict.fromkeys(THREADS, "1"))  # before numpy is imported: one core for each process
    from tests.simulation import answering, judging, searching, speed  # noqa: PLC0415
    from tests.simulation.shapes import KINDS  # noqa: PLC0415

    parts, seed, kinds = options["parts"] or PARTS, options["seed"], options["kinds"]
    runs = RUNS if options["runs"] is None else dict.fromkeys(RUNS, options["runs"])
    if unknown := set(kinds) - set(KINDS):
        raise click.BadParameter(f"{sorted(unknown)}: choose from {', '.join(KINDS)}", param_hint="--kind")
    for wild in (False, True) if options["wild"] is None else (options["wild"],):
        with ProcessPoolExecutor(options["jobs"], mp_context=get_context("spawn")) as pool:
            for scale in options["scales"] if "answers" in parts else ():
                answers = answering.tasks_of([scale], runs["answers"], seed, kinds, wild=wild)
                found = pool.map(answering.answer, answers, chunksize=4)
                echo(answering.report(moment for moments in found for moment in moments))
            for scale in options["scales"] if "judgements" in parts else ():
                if scale != "metric":
                    talks = judging.tasks_of([scale], runs["judgements"], seed, kinds, wild=wild)
                    echo(judging.report(pool.map(judging.talk, talks, chunksize=4)))
            for layout in options["layouts"] if "searches" in parts else ():
                ways = options["ways"] or tuple(searching.WAYS)
                races = searching.tasks_of([layout], ways, runs[layout], seed, kinds, wild=wild)
                echo(searching.report(pool.map(searching.race, races)))
    if "speed" in parts:
        echo(speed.report())


if __name__ == "__main__":
    main()
