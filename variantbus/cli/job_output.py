"""`variantbus job output`: a result by its hash, from a runner that may be on another machine."""

import re
import sys
from pathlib import Path
from typing import Final

import click

from bus.console.options import keys_option, runner_option
from bus.console.process import user_errors
from bus.console.writing import written
from bus.contracts.outputs import OutputFindParams, OutputFindReply, OutputView
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.client.outputs import fetch_output

_HASH: Final = re.compile(r"[0-9a-f]{8,64}")


@click.command("output")
@click.argument("sha256", metavar="HASH")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--thumbnail", is_flag=True, help="A small WebP of a picture, or the picture if it is small itself.")
@runner_option
@keys_option
def output_command(sha256: str, *, output: Path | None, thumbnail: bool, runner: str, keys: Keys | None) -> None:
    """Fetch a result by its hash, or the first 8 or more digits of it; see `variantbus job show`.

    It is written to a file, or to stdout if that is no terminal.
    """
    with user_errors():
        if output is None and sys.stdout.isatty():
            raise InvalidInputError("--output: missing; name a file, as a terminal cannot show a result")
        if output and not output.parent.is_dir():
            raise InvalidInputError(f"--output: {output} must be in a folder that exists")
        parts = fetch_output(runner, resolve(runner, sha256, keys), keys, thumbnail=thumbnail)
        if output:
            with written(output) as file:
                file.writelines(parts)
            click.echo(str(output))
        else:
            for part in parts:
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()


def resolve(runner: str, digits: str, keys: Keys | None) -> str:
    """Return the whole hash of a result by its first digits.

    Raises:
        InvalidInputError: they are no digits of a hash, or match several.
        ControlError: the runner has no such result.
    """
    prefix = digits.lower()
    if not _HASH.fullmatch(prefix):
        raise InvalidInputError(f"HASH: {digits[:80]!r} must be 8 to 64 hexadecimal digits of a SHA-256")
    params = OutputFindParams(prefix=prefix)
    found = request(runner, "output.find", params, OutputFindReply, keys=keys).outputs
    if not found:
        text = f"no job of this runner has made a result whose hash begins with {prefix}; see `variantbus job list`"
        raise ControlError("not_found", text)
    if len(found) > 1:
        raise InvalidInputError(f"HASH: {prefix} is the beginning of several, give more digits: {_listed(found)}")
    return found[0].sha256


def _listed(found: list[OutputView]) -> str:
    return ", ".join(f"{one.sha256} ({one.media_type} of job {one.job_id})" for one in found)
