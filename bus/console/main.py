"""The commands `tail` and `top`."""

from collections.abc import Callable, Iterable
from datetime import datetime

import click
from rich.console import Console
from rich.live import Live

from bus.console import screen
from bus.console.options import AddressType, feed_option, keys_option, learning_option, named_feeds, runner_option
from bus.console.process import EXIT_TIMEOUT, fail, refuse_wrong_feed, user_errors
from bus.console.services import check_service
from bus.console.start_time import parse_since
from bus.console.tail import TailOptions, TailTimeoutError, as_json, as_text
from bus.console.tail import tail as tail_events
from bus.console.template import Template
from bus.console.top import Snapshot, as_lines
from bus.console.top import as_json as sight_as_json
from bus.console.top import top as sights
from bus.contracts.topics import check_known
from bus.protocol.identity import WrongFeed
from bus.protocol.recovery import Notice
from bus.protocol.topics import TopicError, as_prefix
from bus.subscriber.delivery import Delivery
from bus.telemetry.streams import accept_all_text
from bus.transport.keys import Keys


class SourceType(AddressType):
    """`runner`, `learning` or an address."""

    name = "source"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return one of the two names, or a checked address."""
        return value if value in ("runner", "learning") else super().convert(value, param, ctx)


sources_option = click.option(
    "--from", "sources", type=SourceType(), multiple=True, help="runner, learning or an address; repeatable."
)

feeds_option = feed_option("--feed", "feeds", "the publisher")


@click.command("tail")
@click.argument("prefix", default="")
@sources_option
@feeds_option
@click.option("--after", type=click.IntRange(0), help="Begin after this offset.")
@click.option("--all", "everything", is_flag=True, help="Begin with the oldest event in the log.")
@click.option("--since", metavar="TIME", help="Begin at a time, such as 2026-05-01T12:00, 12:00, 10m or 1d (ago).")
@click.option(
    "--exit-at-end", is_flag=True, help="Stop at the present end of the log (needs --all, --after or --since)."
)
@click.option("--count", type=click.IntRange(1), help="Stop after so many events.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Stop after so many seconds.")
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object a line.")
@click.option("--format", "template", metavar="TEMPLATE", help="Print a line such as '{time:%H:%M:%S} {body[status]}'.")
@runner_option
@learning_option
@keys_option
def tail(  # noqa: PLR0913 - one parameter an option
    *,
    prefix: str,
    sources: tuple[str, ...],
    feeds: tuple[tuple[str, str], ...],
    after: int | None,
    since: str | None,
    everything: bool,
    exit_at_end: bool,
    count: int | None,
    timeout: float | None,
    json_lines: bool,
    template: str | None,
    runner: str,
    learning: str,
    keys: Keys | None,
) -> None:
    """Print events whose topic begins with PREFIX, such as variant.status or job.completed.

    The fields of --format are time, source, epoch, offset, topic and body, with keys in brackets and formats
    as in Python; a field that an event does not have prints as nothing. \\t and \\n stand for a tab and a new line.

    Exit status 5 if --timeout is over before --count is reached, or before the end with --exit-at-end. With
    --exit-at-end, fewer events than --count are no error.

    \b
    Examples:
      variantbus tail variant.status --json
      variantbus tail job.completed --all --exit-at-end
      variantbus tail variant.status --since 10m --format '{time:%H:%M:%S} {topic} {body[status]}'
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    begins = {"--after": after is not None, "--since": since is not None, "--all": everything}
    _at_most_one(begins)
    _at_most_one({"--json": json_lines, "--format": template is not None})
    if exit_at_end and not any(begins.values()):
        raise click.UsageError("--exit-at-end needs --all, --after or --since")
    hint = f"a service that runs there may {'not know your key' if keys else 'want --keys'}"

    def waiting() -> None:
        click.echo(f"waiting for {' and '.join(addresses)} to answer; {hint}", err=True)

    with user_errors():
        options = TailOptions(
            prefix=prefix,
            after=after,
            since=parse_since(since, datetime.now().astimezone()) if since is not None else None,
            everything=everything,
            exit_at_end=exit_at_end,
            count=count,
            timeout=timeout,
        )
        show = _printer(template, json_lines=json_lines)
        addresses = _addresses(sources, prefix, runner, learning, keys)
        try:
            for delivery in tail_events(addresses, options, waiting, _tell, keys, named_feeds(feeds)):
                show(delivery)
        except TailTimeoutError as error:
            fail(str(error), EXIT_TIMEOUT)


@click.command("top")
@click.argument("prefix", default="")
@sources_option
@feeds_option
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Stop after so many seconds.")
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object a second, one a line.")
@runner_option
@learning_option
@keys_option
def top(  # noqa: PLR0913 - one parameter an option
    *,
    prefix: str,
    sources: tuple[str, ...],
    feeds: tuple[tuple[str, str], ...],
    seconds: float | None,
    json_lines: bool,
    runner: str,
    learning: str,
    keys: Keys | None,
) -> None:
    """Show the events per second, by the first two tokens of their topic.

    Count events whose topic begins with PREFIX, from now on, progress included.

    \b
    Examples:
      variantbus top
      variantbus top job --seconds 10 --json
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    with user_errors():
        addresses = _addresses(sources, prefix, runner, learning, keys)
        seen = sights(addresses, as_prefix(prefix), seconds, _tell, keys, named_feeds(feeds))
        console = Console()
        if json_lines or not console.is_terminal:
            for snapshot in seen:
                for line in [sight_as_json(snapshot)] if json_lines else as_lines(snapshot):
                    click.echo(line)
        else:
            _show_live(console, seen)


def _show_live(console: Console, seen: Iterable[Snapshot]) -> None:
    with Live("measuring …", console=console, auto_refresh=False) as live:
        for snapshot in seen:
            live.update(screen.render(snapshot, console.height), refresh=True)


def _printer(template: str | None, *, json_lines: bool) -> Callable[[Delivery], None]:
    """Choose how events are printed: by a template, as JSON, in colours on a terminal, else as plain lines."""
    if template is not None:
        line = Template(template)
        return lambda delivery: click.echo(line(delivery))
    if json_lines:
        return lambda delivery: click.echo(as_json(delivery))
    console = Console(highlight=False)
    if console.is_terminal:
        return lambda delivery: screen.print_event(console, delivery)
    return lambda delivery: click.echo(as_text(delivery))


def _tell(address: str, prefix: str, notice: Notice) -> None:
    """Write a notice of lost events to stderr; end if the feed is another publisher's."""
    if isinstance(notice, WrongFeed):
        refuse_wrong_feed(address, prefix, notice)
    click.echo(f"{address}: {notice}", err=True)


def _at_most_one(given: dict[str, bool]) -> None:
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise click.UsageError(f"{' and '.join(names)} exclude each other")


def _addresses(sources: tuple[str, ...], prefix: str, runner: str, learning: str, keys: Keys | None) -> list[str]:
    """Return the addresses of publishers; those named are asked whether they are what they should be.

    Raises:
        TopicError: none of them ever publishes what is wanted.
        ControlError: another service is there.
    """
    names = {"runner": runner, "learning": learning}
    if all(source in names for source in sources):
        check_known(prefix)
        speakers = _speakers(prefix)
        if sources and not set(sources) & set(speakers):
            raise TopicError(f"{prefix}: comes from {speakers[0]}, and never from {sources[0]}; leave out --from")
    chosen = dict.fromkeys(sources or _speakers(prefix))
    for source in chosen:
        if source in names:
            check_service(names[source], source, keys)
    return list(dict.fromkeys(names.get(source, source) for source in chosen))


def _speakers(prefix: str) -> list[str]:
    """Return who publishes a topic."""
    first = prefix.partition(".")[0]
    if first == "job":
        return ["runner"]
    return ["learning"] if first else ["runner", "learning"]


@click.group()
def main() -> None:
    """Inspect the bus."""
    accept_all_text()


main.add_command(tail)
main.add_command(top)
