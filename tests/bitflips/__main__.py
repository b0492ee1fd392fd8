"""Flip bits of a small data folder, one at a time: `python -m tests.bitflips --trials 1000`.

Each worker makes a folder of its own, as the addresses of the services are part of it. A trial is repeated by its
flip, as it is printed, on that folder, which is kept.
"""

import multiprocessing
import os
import secrets
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Final

import click

from learning_service.recommendation.lazy import load_statistics
from tests.bitflips import reference
from tests.bitflips.forked import set_environment
from tests.bitflips.places import Place
from tests.bitflips.trial import Trial, Trials

REAL_EACH: Final = 33  # one trial in so many starts interpreters of its own
CHECKED: Final = "WRONG"
QUICKER: Final = (  # what is repeated each second otherwise
    ("learning_service.dispatch.dispatcher.PUMP_SECONDS", 0.1),
    ("learning_service.dispatch.dispatcher.POLL_SECONDS", 0.2),
    ("bus.transport.retry.RETRY_SECONDS", 0.1),
)
_mine: Trials  # of this worker


@click.command()
@click.option("--trials", default=100, show_default=True, help="How many bits are flipped.")
@click.option("--seed", default=0, help="Of the first trial, the next one has one more; 0 takes any.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".bitflips"), show_default=True)
@click.option("--flip", default="", help="Do this one again: WORKER/VARIANT/FILE:BYTE:BIT.")
@click.option("--workers", default=os.cpu_count() or 1, show_default=True, help="How many trials at a time.")
def main(*, trials: int, seed: int, folder: Path, flip: str, workers: int) -> None:
    """Flip bits, and say what became of each; status 1 if anything was wrong."""
    _prepare(folder.absolute())
    if flip:
        click.echo(_again(folder.absolute(), flip))
        return
    began, first = time.monotonic(), seed or secrets.randbelow(10**6) + 1
    context = multiprocessing.get_context("fork")
    numbers = context.Value("i", 0)
    counts: Counter[str] = Counter()
    with ProcessPoolExecutor(workers, context, _start_worker, (folder.absolute(), numbers)) as pool:
        for trial in pool.map(_run, range(first, first + trials)):
            counts[trial.verdict.kind] += 1
            if trial.verdict.kind == CHECKED:
                click.echo(trial)
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in ("right", "named", "refused", CHECKED))
    click.echo(f"{trials} bits, seeds from {first}: {kinds}; {time.monotonic() - began:.0f} s")
    sys.exit(bool(counts[CHECKED]))


def _prepare(folder: Path) -> None:
    """Import all that the services import later, so that what is forked has it."""
    load_statistics()
    for name, seconds in QUICKER:
        module, _, constant = name.rpartition(".")
        setattr(sys.modules[module], constant, seconds)
    set_environment({"XDG_CONFIG_HOME": str(folder / "config")})


def _start_worker(folder: Path, numbers: "Synchronized[int]") -> None:
    global _mine  # noqa: PLW0603 - a worker process has one
    with numbers.get_lock():
        number, numbers.value = numbers.value, numbers.value + 1
    _mine = Trials(reference.make(folder / str(number)), str(number))


def _run(seed: int) -> Trial:
    return _mine.run(seed, real=seed % REAL_EACH == 0)


def _again(folder: Path, flip: str) -> Trial:
    """Repeat a trial on the folder of its worker."""
    worker, variant, place = flip.split("/", 2)
    file, byte, bit = place.rsplit(":", 2)
    return Trials(reference.load(folder / worker), worker).flip(variant, Place("", file, int(byte), int(bit)))


if __name__ == "__main__":
    main()
