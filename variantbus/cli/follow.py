"""Follows an experiment at the learning service, and shows it as a live table, as lines, or as JSON."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.live import Live

from bus.console.process import EXIT_REFUSED, fail, refuse_wrong_feed
from bus.console.tail import as_json
from bus.contracts.messages import Message, VariantStatus
from bus.contracts.topics import EXPERIMENT_STATUS, VARIANT_PROGRESS, VARIANT_STATUS
from bus.protocol import topics
from bus.protocol.validation import InvalidInputError
from bus.subscriber.delivery import Delivery, Start
from bus.subscriber.sync import Subscriber
from bus.transport.keys import Keys
from bus.transport.loop import Loop
from variantbus.cli.view import ExperimentScreen, Wait, search_line
from variantbus.cli.waiting import Reason, ReasonWatch

REFRESH_SECONDS: Final = 0.1
FOLLOWED: Final = (EXPERIMENT_STATUS, VARIANT_STATUS, VARIANT_PROGRESS)


def follow(
    learning: str, runner: str, experiment_id: str, *, json_lines: bool, keys: Keys | None = None
) -> ExperimentScreen:
    """Show an experiment until it has ended, and return its last state; the runner is asked why its jobs wait."""
    screen = ExperimentScreen()
    prefixes = [topics.build(base, experiment_id) for base in FOLLOWED]
    with (
        closing(Loop()) as loop,
        Subscriber(
            [learning], prefixes, start=Start.LATEST, loop=loop, on_notice=refuse_wrong_feed, keys=keys
        ) as subscriber,
        _reason(loop, runner, screen, keys) as reason,
        _shown(json_lines=json_lines) as show,
    ):
        show(screen, [])
        while not _complete(screen):
            batch = subscriber.receive(REFRESH_SECONDS)
            if batch:
                reason.note_progress()
            screen.waits_for = reason.text
            show(screen, batch)
            if screen.is_deleted:
                break
    if screen.is_deleted:
        fail(f"experiment {experiment_id} was deleted", EXIT_REFUSED)
    return screen


def _complete(screen: ExperimentScreen) -> bool:
    """Wait for the end of the experiment and of each variant: they arrive under different prefixes, in any order."""
    if not screen.has_ended or screen.experiment is None:
        return False
    ended = [variant.completed + variant.failed + variant.cancelled for variant in screen.variants.values()]
    return len(ended) == screen.experiment.totals.variants and sum(ended) >= screen.experiment.totals.jobs


@contextmanager
def _reason(loop: Loop, runner: str, screen: ExperimentScreen, keys: Keys | None) -> Iterator[Reason]:
    """Return the reason why the jobs wait, which is kept up to date while the loop runs."""
    watch: ReasonWatch | None = None
    with suppress(
        InvalidInputError
    ):  # the key of the runner is not known here: following needs only that of the learning service
        watch = ReasonWatch(loop, runner, lambda: screen.pipeline, keys)
    if watch is None:
        yield Reason(runner)
        return
    with closing(watch):
        yield watch.reason


@contextmanager
def _shown(*, json_lines: bool) -> Iterator[Callable[[ExperimentScreen, list[Delivery]], None]]:
    """Return the function that takes deliveries and shows them: redrawn on a terminal, else line by line."""
    console = Console()
    if json_lines or not console.is_terminal:
        wait = Wait()

        def print_news(screen: ExperimentScreen, batch: list[Delivery]) -> None:
            before = search_line(screen.experiment)
            _print_lines(screen, batch, json_lines=json_lines)
            if (search := search_line(screen.experiment)) != before:
                click.echo(search, err=True)
            if news := wait.news(screen):
                click.echo(news, err=True)

        yield print_news
        return
    with Live(console=console, auto_refresh=False) as live:

        def redraw(screen: ExperimentScreen, batch: list[Delivery]) -> None:
            for delivery in batch:
                screen.take(_message(delivery))
            # the last picture stays on the screen, and may be as long as it is
            live.update(screen.render(None if screen.has_ended else console.height), refresh=True)

        yield redraw


def _progress_of(variant: VariantStatus | None) -> tuple[object, ...]:
    """Return the progress that is worth a new line; the start of a job is not."""
    return (variant.status, variant.completed, variant.failed, variant.cancelled) if variant else ()


def _print_lines(screen: ExperimentScreen, batch: list[Delivery], *, json_lines: bool) -> None:
    news: list[VariantStatus] = []
    for delivery in batch:
        message = _message(delivery)
        before = screen.variants.get(message.variant_index) if isinstance(message, VariantStatus) else None
        changed = screen.take(message)
        if json_lines:
            click.echo(as_json(delivery))
        elif changed and _progress_of(changed) != _progress_of(before):
            news.append(changed)
    for one in news:  # behind all, as the others are known then
        click.echo(screen.summary(one))


def _message(delivery: Delivery) -> Message | None:
    try:
        return delivery.message
    except (InvalidInputError, msgspec.MsgspecError):
        return None
