"""`python -m bus tail`: the logger as a process."""

import click

from bus.command import (
    EXIT_TIMEOUT,
    AddressType,
    fail,
    keys_option,
    learning_option,
    runner_option,
    user_errors,
)
from bus.keys import Keys
from bus.tail import TailOptions, TailTimeoutError, as_json, as_text
from bus.tail import tail as tail_events


class SourceType(AddressType):
    """`runner`, `learning` or an address."""

    name = "source"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Let the two names stand; check anything else as an address."""
        return value if value in ("runner", "learning") else super().convert(value, param, ctx)


@click.command("tail")
@click.argument("prefix", default="")
@click.option("--from", "sources", type=SourceType(), multiple=True, help="runner, learning or an address; repeatable.")
@click.option("--after", type=click.IntRange(0), help="Begin behind this offset.")
@click.option("--all", "everything", is_flag=True, help="Begin with the oldest event that is kept.")
@click.option("--exit-at-end", is_flag=True, help="Stop at the end that the log has now (with --all or --after).")
@click.option("--count", type=click.IntRange(1), help="Stop after so many events.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Stop after so many seconds.")
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object a line.")
@runner_option
@learning_option
@keys_option
def tail(  # noqa: PLR0913 - one parameter an option
    *,
    prefix: str,
    sources: tuple[str, ...],
    after: int | None,
    everything: bool,
    exit_at_end: bool,
    count: int | None,
    timeout: float | None,
    json_lines: bool,
    runner: str,
    learning: str,
    keys: Keys | None,
) -> None:
    """Print events whose topic begins with PREFIX, such as variant.status or job.completed.

    Exit status 5 if --timeout is over before --count is reached.

    \b
    Examples:
      variantbus tail variant.status --json
      variantbus tail job.completed --all --exit-at-end
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    if exit_at_end and not everything and after is None:
        raise click.UsageError("--exit-at-end needs --all or --after")
    names = {"runner": runner, "learning": learning}
    addresses = list(dict.fromkeys(names.get(source, source) for source in sources or _speakers(prefix)))
    options = TailOptions(
        prefix=prefix, after=after, everything=everything, exit_at_end=exit_at_end, count=count, timeout=timeout
    )
    write = as_json if json_lines else as_text

    hint = "check the keys if they are there" if keys else "if they are there, they may want --keys"

    def waiting() -> None:
        click.echo(f"waiting for {' and '.join(addresses)} to answer; {hint}", err=True)

    with user_errors():
        try:
            for delivery in tail_events(addresses, options, waiting, keys):
                click.echo(write(delivery))
        except TailTimeoutError as error:
            fail(str(error), EXIT_TIMEOUT)


def _speakers(prefix: str) -> list[str]:
    """Tell from a topic who publishes it."""
    first = prefix.partition(".")[0]
    if first == "job":
        return ["runner"]
    return ["learning"] if first else ["runner", "learning"]


@click.group()
def main() -> None:
    """Look at the bus."""


main.add_command(tail)

if __name__ == "__main__":
    main()
