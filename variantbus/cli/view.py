"""The live table: the newest state of one experiment, and its rendering. No socket and no screen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.text import Text

from bus.console.printable import last_line, printable
from bus.console.table import Column, Table
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import ExperimentView
from bus.contracts.media import is_picture
from bus.contracts.messages import (
    ExperimentDeleted,
    ExperimentStatus,
    ImageRef,
    Message,
    Totals,
    VariantProgress,
    VariantStatus,
)
from learning_service.experiments.blocks import block_names, block_word
from learning_service.experiments.plan import runs_alone
from learning_service.recommendation.labels import labels, shortened
from variantbus.cli.output import VALUE_SHOWN
from variantbus.reports.text import count_text, file_name, number_text, value_text
from variantbus.reports.variables import variables_told

STYLES: Final[dict[str, str]] = {
    "pending": "dim",
    "queued": "dim",
    "running": "cyan",
    "completed": "green",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "magenta",
}
WARNING: Final = "yellow"
ALONE: Final = "each job runs alone on its runner, so that nothing else changes its time"
ENDED: Final = frozenset({"completed", "partial", "failed", "cancelled"})
METRICS_SHOWN: Final = 3
BLOCKS_SHOWN: Final = 5
BLOCK_SHOWN: Final = 30  # characters of its name
SETTINGS_SHOWN: Final = 60  # characters of what a value sets
HASH_SHOWN: Final = 8  # digits


@dataclass(slots=True)
class ExperimentScreen:
    """The newest state of an experiment; older messages that arrive late change nothing."""

    experiment: ExperimentStatus | None = None
    variants: dict[int, VariantStatus] = field(default_factory=dict)
    fractions: dict[int, float] = field(default_factory=dict)
    waits_for: str = ""  # why its runner starts none of its jobs, if known
    is_deleted: bool = False
    labels: dict[int, str] = field(default_factory=dict)  # of the values: short, and different

    def take(self, message: Message | None) -> VariantStatus | None:
        """Apply a message; return it if it is a variant's new state."""
        match message:
            case ExperimentStatus() if not self.experiment or message.revision > self.experiment.revision:
                self.experiment = message
            case ExperimentDeleted():
                self.is_deleted = True
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
        """Whether all variants have ended, and the end of the experiment itself was received."""
        return self.experiment is not None and self.experiment.status in ENDED

    @property
    def has_pictures(self) -> bool:
        """Whether there is any picture for a contact sheet."""
        return any(is_picture(image) for variant in self.variants.values() for image in variant.images)

    @property
    def has_files(self) -> bool:
        """Whether there is any result that is no picture."""
        return any(files_text(variant.images) for variant in self.variants.values())

    @property
    def pipeline(self) -> str:
        """What runs its jobs; "" while that is not known."""
        return self.experiment.definition.pipeline if self.experiment else ""

    @property
    def objective(self) -> str:
        """What decides it; "" while that is not known."""
        return self.experiment.definition.objective if self.experiment else ""

    @property
    def reason(self) -> str:
        """Why no job starts, in one line; "" if jobs start or all have ended."""
        return "" if self.has_ended else last_line(self.waits_for)

    def render(self, height: int | None = None) -> RenderableType:
        """Draw the table with a line of progress above it; in a low terminal, only the rows that change."""
        if self.experiment is None:
            return Text("waiting for the learning service …", style="dim")
        self._label()
        return _Drawn(self, _headline(self.experiment, self.reason), height)

    def summary(self, variant: VariantStatus) -> str:
        """Return in one line of plain text how a variant is; a long value is told from all others so far."""
        if len(value_text(variant.variant_value)) <= VALUE_SHOWN:
            return summary_line(variant, objective=self.objective)
        self._label()
        return summary_line(variant, self.labels[variant.variant_index], self.objective)

    def _label(self) -> None:
        if len(self.labels) != len(self.variants):
            indices = sorted(self.variants)
            values = [value_text(self.variants[index].variant_value) for index in indices]
            self.labels = dict(zip(indices, labels(values, VALUE_SHOWN), strict=True))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """An experiment on a screen of so many lines, None if it may take more."""

    screen: ExperimentScreen
    above: list[RenderableType]
    height: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw as many rows as fit: how many lines one takes depends on the width."""
        yield from self.above
        variants = [self.screen.variants[index] for index in sorted(self.screen.variants)]
        if self.height is None:
            yield self._table(variants)
            return
        left = self.height - 1 - sum(len(console.render_lines(one, options)) for one in self.above)
        rows = max(1, min(left, len(variants)))
        while (lines := len(console.render_lines(self._table(window(variants, rows)), options))) > left and rows > 1:
            rows = max(1, min(rows - 1, rows * left // lines))
        yield self._table(window(variants, rows))

    def _table(self, variants: list[VariantStatus]) -> Table:
        return variants_table(variants, self.screen.labels, self.screen.fractions, self.screen.objective)


class Wait:
    """The lines about a wait, printed where no table is drawn: when it begins, and when it is over."""

    def __init__(self) -> None:
        """Nothing waits yet."""
        self._waits = False

    def news(self, screen: ExperimentScreen) -> str:
        """Return the line that is new, "" if there is none: a wait that counts its seconds is shown once."""
        waited, self._waits = self._waits, bool(screen.reason)
        if self._waits and not waited:
            return f"waits: {screen.reason}"
        return "goes on" if waited and not self._waits and not screen.has_ended else ""


def style_of(status: str) -> str:
    """Return how a state is drawn; one that this version does not know is shown plainly."""
    return STYLES.get(status, "")


def window(variants: list[VariantStatus], rows: int) -> list[VariantStatus]:
    """Choose as many rows as fit, so that the first variant that has not ended is among them."""
    moving = next((at for at, variant in enumerate(variants) if variant.status not in ENDED), 0)
    first = max(0, min(moving - rows // 4, len(variants) - rows))
    return variants[first : first + rows]


def screen_of(view: ExperimentView) -> ExperimentScreen:
    """Return the screen for an answer to `experiment.show`."""
    screen = ExperimentScreen(experiment=view)
    for variant in view.variants:
        screen.take(variant)
    return screen


def metrics_shown(names: Iterable[str], objective: str) -> list[str]:
    """Return the few metrics that there is room for: that which decides, and the first ones by name."""
    return sorted(names, key=lambda name: (name != objective, name))[:METRICS_SHOWN]


def variants_table(
    variants: list[VariantStatus], labels: dict[int, str], fractions: dict[int, float], objective: str
) -> Table:
    """Draw one row a variant, with its value as a label."""
    name = variants[0].variable_under_test if variants else "value"
    metrics = metrics_shown({metric for variant in variants for metric in variant.metrics}, objective)
    jobs = Column("jobs", right=True, wraps=True)
    numbers = [Column(heading, right=True) for heading in (*metrics, "s/job")]
    with_notes = any(variant.error or variant.warning for variant in variants)
    notes = [Column("note", wraps=True)] if with_notes else []
    files = {variant.variant_index: files_text(variant.images) for variant in variants}
    results = [Column("results", wraps=True)] if any(files.values()) else []
    table = Table(Column("#", right=True), Column(name, wraps=True), "status", "", jobs, *numbers, *results, *notes)
    for variant in variants:
        ended = variant.completed + variant.failed + variant.cancelled
        fraction = fractions.get(variant.variant_index, ended / max(1, variant.planned))
        table.add(
            Text(str(variant.variant_index), style="dim"),
            labels[variant.variant_index],
            Text(variant.status, style=style_of(variant.status)),
            _bar(fraction, 16, variant.status),
            counts_text(variant.completed, variant.failed, variant.cancelled, variant.planned)
            + (f", {variant.reused} reused" if variant.reused else ""),
            *(number_text(variant.metrics.get(metric)) for metric in metrics),
            number_text(variant.duration_mean),
            *([files[variant.variant_index]] if results else []),
            *([_note(variant)] if with_notes else []),
        )
    return table


def files_text(images: Sequence[ImageRef]) -> str:
    """Return the newest result that is no picture, as `variantbus job output` takes it, and how many more there are."""
    files = list({image.sha256: image for image in images if not is_picture(image)}.values())
    if not files:
        return ""
    more = f" +{len(files) - 1}" if len(files) > 1 else ""
    return f"{file_name(files[-1])} ({files[-1].sha256[:HASH_SHOWN]}){more}"


def _note(variant: VariantStatus) -> Text:
    """Return the newest error, else the newest warning, with how many jobs have one."""
    if variant.error:
        return Text(last_line(variant.error), style="red")
    return Text(_warning(variant), style="yellow")


def _warning(variant: VariantStatus) -> str:
    return f"{variant.warned} with warnings: {last_line(variant.warning)}" if variant.warning else ""


def summary_line(variant: VariantStatus, label: str = "", objective: str = "") -> str:
    """Return in one line of plain text how a variant ended; its value as a label, or shortened by itself."""
    value = label or shortened(value_text(variant.variant_value), VALUE_SHOWN)
    parts = [
        f"{printable(variant.variable_under_test)} = {value}",
        f"{variant.status}",
        counts_text(variant.completed, variant.failed, variant.cancelled, variant.planned, " jobs"),
        *([f"{variant.reused} reused"] if variant.reused else []),
        *(
            f"{printable(name)} {number_text(variant.metrics[name])}"
            for name in metrics_shown(variant.metrics, objective)
        ),
    ]
    if variant.duration_mean is not None:
        parts.append(f"{number_text(variant.duration_mean)} s/job")
    if variant.error:
        parts.append(f"error: {last_line(variant.error)}")
    if variant.warning:
        parts.append(_warning(variant))
    return ", ".join(parts)


def counts_text(completed: int, failed: int, cancelled: int, planned: int, unit: str = "") -> str:
    """Return how many jobs are completed of how many, and how the others ended."""
    others = [f"{count} {word}" for count, word in ((failed, "failed"), (cancelled, "cancelled")) if count]
    return ", ".join([f"{completed}/{planned}{unit}", *others])


def search_line(experiment: ExperimentStatus | None) -> str:
    """Return how far an adaptive experiment is, "" for any other one."""
    if experiment is None or experiment.search is None:
        return ""
    search = experiment.search
    why = f": {printable(search.reason)}" if search.reason else ""
    return f"search: {search.spent} of {search.budget} jobs, {search.state}{why}"


def blocks_line(definition: ExperimentDefinition) -> str:
    """Return under which prompts or other settings each value is tried, "" if there is but one."""
    names = labels(block_names(definition), BLOCK_SHOWN)
    if len(names) < 2:  # noqa: PLR2004 - one says nothing
        return ""
    more = f" and {len(names) - BLOCKS_SHOWN} more" if len(names) > BLOCKS_SHOWN else ""
    seeds = count_text(definition.jobs_per_variant, "seed", "seeds")
    return f"{seeds} under each {block_word(definition)}: {' · '.join(names[:BLOCKS_SHOWN])}{more}"


def variables_line(definition: ExperimentDefinition) -> str:
    """Return what values stand for and which combinations are planned, "" if the values say all."""
    told = [shortened(f"{name}: {text}", SETTINGS_SHOWN) for name, text in variables_told(definition)]
    more = [f"and {len(told) - BLOCKS_SHOWN} more"] if len(told) > BLOCKS_SHOWN else []
    sample = ["a sample of all combinations"] if definition.sample and definition.mode == "grid" else []
    skipped = ["some combinations are skipped"] if definition.skip else []
    return " · ".join([*told[:BLOCKS_SHOWN], *more, *sample, *skipped])


def _headline(experiment: ExperimentStatus, reason: str) -> list[RenderableType]:
    totals: Totals = experiment.totals
    ended = totals.completed + totals.failed + totals.cancelled
    left = f", {experiment.eta_seconds:.0f} s left" if experiment.eta_seconds and not reason else ""
    progress = Table("status", "", Column("jobs", wraps=True), has_headings=False)
    progress.add(
        Text(experiment.status, style=style_of(experiment.status)),
        _bar(ended / max(1, totals.jobs), 24, experiment.status),
        counts_text(totals.completed, totals.failed, totals.cancelled, totals.jobs) + left,
    )
    alone = [Text(ALONE, style="dim")] if runs_alone(experiment.definition) else []
    variables = [Text(line, style="dim")] if (line := variables_line(experiment.definition)) else []
    blocks = [Text(line, style="dim")] if (line := blocks_line(experiment.definition)) else []
    name = Text(last_line(experiment.experiment_name), style="bold")
    search = [Text(search_line(experiment))] if experiment.search else []
    waits = [Text(f"waits: {reason}", style=WARNING)] if reason else []
    lost = [Text(printable(what), style=WARNING) for what in experiment.damage]
    return [
        name,
        Text(experiment.experiment_id, style="dim", overflow="fold"),
        progress,
        *variables,
        *blocks,
        *alone,
        *search,
        *waits,
        *lost,
    ]


def _bar(fraction: float, width: int, status: str) -> ProgressBar:
    style = style_of(status)
    return ProgressBar(total=1.0, completed=fraction, width=width, complete_style="cyan", finished_style=style)
