"""How far the recommendation can be trusted: `python -m tests.simulation --runs 1000` prints tables for the docs."""

from collections import Counter
from collections.abc import Iterable

import click
import numpy as np
from click import echo

from tests.simulation.study import ALL, HARD, Calibration, Study, study_preferences, study_stars


@click.command()
@click.option("--runs", default=100, show_default=True, help="Experiments of each shape that are rated by stars.")
@click.option("--pair-runs", default=25, show_default=True, help="The same, by preferences.")
@click.option("--seed", default=1, show_default=True, help="Another one gives other experiments.")
def main(runs: int, pair_runs: int, seed: int) -> None:
    """Draw experiments of which the best value is known, and compare it with what is recommended."""
    _show("Stars", study_stars(runs, seed), "plain means")
    _show("Preferences", study_preferences(pair_runs, seed), "pairs by chance")


def _show(title: str, study: Study, other: str) -> None:
    echo(f"# {title}\n")
    _calibration("Probability to be best, of each value", study.best)
    _calibration("Of the recommended value", study.chosen)
    echo(f"Calibration error where several values are exactly equal: {study.tied.error:.3f}\n")
    echo(f"Strong recommendations of a value within the margin: {_share(study.strong)}")
    echo(f"Decided by so many more as were said: {_share(study.decided)}\n")
    for shape, pace in study.pace.items():
        rows = [(count, f"{ours:.2f}", f"{plain:.2f}") for count, ours, plain in pace.rows()]
        _table(f"Within the margin, {shape}", ("observations", "ours", other), rows)
    for name in (ALL, HARD):
        for share in (0.7, 0.8, 0.9):
            ours, plain = study.pace[name].needed(share)
            echo(f"Observations until {share:.0%} have a good value, {name}: {ours:.0f}, {other} {plain:.0f}")
    echo()
    for shape, tiers in study.tiers.items():
        echo(f"Tiers at the end, {shape}: {dict(Counter(tiers))}")
    echo()


def _calibration(title: str, calibration: Calibration) -> None:
    rows = [(f"{stated:.2f}", f"{true:.2f}", count) for stated, true, count in calibration.table()]
    _table(f"{title}: calibration error {calibration.error:.3f}", ("stated", "true", "statements"), rows)


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    echo(f"{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        echo(f"| {' | '.join(map(str, row))} |")
    echo()


def _share(found: list[bool]) -> str:
    return f"{np.mean(found):.2f} of {len(found)}" if found else "none"


if __name__ == "__main__":
    main()
