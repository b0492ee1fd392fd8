"""The live table: what is known of one experiment, and how it looks. No socket and no screen in here."""

from dataclasses import dataclass, field
from typing import Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bus.messages import ExperimentStatus, Message, Totals, VariantProgress, VariantState, VariantStatus, VariantValue
from bus.requests import ExperimentView

STYLES: Final[dict[VariantState, str]] = {
    "pending": "dim",
    "queued": "dim",
    "running": "cyan",
    "completed": "green",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "magenta",
}
ENDED: Final = frozenset({"completed", "partial", "failed", "cancelled"})
METRICS_SHOWN: Final = 3


@dataclass(slots=True)
class ExperimentScreen:
    """The newest state of an experiment; older messages that come late change nothing."""

    experiment: ExperimentStatus | None = None
    variants: dict[int, VariantStatus] = field(default_factory=dict)
    fractions: dict[int, float] = field(default_factory=dict)

    def take(self, message: Message | None) -> VariantStatus | None:
        """Take a message; give it back if it is a variant's new state."""
        match message:
            case ExperimentStatus() if not self.experiment or message.revision > self.experiment.revision:
                self.experiment = message
            case VariantStatus():
                known = self.variants.get(message.variant_index)
                if not known or message.revision > known.revision:
                    self.variants[message.variant_index] = message
                    self.fractions.pop(message.variant_index, None)
                    return message
            case VariantProgress():
                self.fractions[message.variant_index] = message.fraction
        return None

    @property
    def has_ended(self) -> bool:
        """Have all variants ended, and has the experiment itself been told to have?"""
        return self.experiment is not None and self.experiment.status in ENDED

    def render(self) -> RenderableType:
        """Draw the table with a line of progress above it."""
        if self.experiment is None:
            return Text("waiting for the learning service …", style="dim")
        return Group(_headline(self.experiment), variants_table(list(self.variants.values()), self.fractions))


def screen_of(view: ExperimentView) -> ExperimentScreen:
    """Make the screen of an answer to `experiment.show`."""
    screen = ExperimentScreen(experiment=view)
    for variant in view.variants:
        screen.take(variant)
    return screen


def variants_table(variants: list[VariantStatus], fractions: dict[int, float] | None = None) -> Table:
    """Draw one row a variant."""
    variants = sorted(variants, key=lambda variant: variant.variant_index)
    name = variants[0].variable_under_test if variants else "value"
    metrics = sorted({metric for variant in variants for metric in variant.metrics})[:METRICS_SHOWN]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", style="dim")
    table.add_column(name, overflow="fold")
    table.add_column("status")
    table.add_column("", width=16)
    table.add_column("jobs", justify="right")
    for metric in metrics:
        table.add_column(metric, justify="right")
    table.add_column("s/job", justify="right")
    with_errors = any(variant.error for variant in variants)
    if with_errors:
        table.add_column("error", overflow="fold", style="red")
    for variant in variants:
        ended = variant.completed + variant.failed + variant.cancelled
        fraction = (fractions or {}).get(variant.variant_index, ended / max(1, variant.planned))
        table.add_row(
            str(variant.variant_index),
            Text(value_text(variant.variant_value)),
            Text(variant.status, style=STYLES[variant.status]),
            _bar(fraction, 16),
            f"{variant.completed}/{variant.planned}",
            *(_number(variant.metrics.get(metric)) for metric in metrics),
            _number(variant.duration_mean),
            *([Text(first_line(variant.error or ""))] if with_errors else []),
        )
    return table


def summary_line(variant: VariantStatus) -> str:
    """Say in one line of plain text what became of a variant."""
    parts = [
        f"{variant.variable_under_test} = {value_text(variant.variant_value)}",
        f"{variant.status}",
        f"{variant.completed}/{variant.planned} jobs",
        *(f"{name} {_number(value)}" for name, value in sorted(variant.metrics.items())[:METRICS_SHOWN]),
    ]
    if variant.duration_mean is not None:
        parts.append(f"{_number(variant.duration_mean)} s/job")
    if variant.error:
        parts.append(f"error: {first_line(variant.error)}")
    return ", ".join(parts)


def value_text(value: VariantValue) -> str:
    """Write a value; a map of a two-variable grid as `name value, name value`."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return str(value)


def first_line(text: str) -> str:
    """Give the last line that says something, without what could act on a terminal."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(char if char.isprintable() else " " for char in lines[-1])[:160] if lines else ""


def _headline(experiment: ExperimentStatus) -> RenderableType:
    counts: Totals = experiment.totals
    ended = counts.completed + counts.failed + counts.cancelled
    grid = Table.grid(padding=(0, 2))
    grid.add_column(overflow="fold")
    grid.add_column()
    grid.add_column(width=30)
    grid.add_column()
    left = (
        "" if experiment.eta_seconds is None or not experiment.eta_seconds else f"{experiment.eta_seconds:.0f} s left"
    )
    grid.add_row(
        Text(f"{first_line(experiment.experiment_name)}  {experiment.experiment_id}", style="bold"),
        Text(experiment.status, style=STYLES[experiment.status]),
        _bar(ended / max(1, counts.jobs), 30),
        f"{ended}/{counts.jobs} {left}",
    )
    return grid


def _bar(fraction: float, width: int) -> ProgressBar:
    return ProgressBar(total=1.0, completed=fraction, width=width, complete_style="cyan", finished_style="green")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - from here on digits count
