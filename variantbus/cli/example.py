"""`variantbus example`: the files of `examples/`, also where there is no checkout."""

import re
from difflib import get_close_matches
from typing import Final

import click

from bus.console.process import EXIT_USAGE, fail, user_errors
from variantbus.client.examples import folder, path_of

_ENDINGS: Final = (".toml", ".json", ".py")
_JSON: Final = "Data of another example."


@click.command()
@click.argument("name", required=False, metavar="[NAME]", shell_complete=lambda _, __, begun: names(begun))
def example(*, name: str | None) -> None:
    """Print the example NAME, or list all of them: experiments, a job, and programs for the guides.

    The file ending may be left out: `variantbus example grid > grid.toml`.
    """
    with user_errors():
        found = names()
        if name is None:
            for one in found:
                click.echo(f"{one:<30}  {headline(path_of(one).read_text(encoding='utf-8'))}")
            return
        full = next((one for one in (name, *(f"{name}{ending}" for ending in _ENDINGS)) if one in found), None)
        if full is None:
            near = get_close_matches(name, found, 1)
            hint = f"did you mean {near[0]}?" if near else "`variantbus example` lists all"
            fail(f"there is no example {name}; {hint}", EXIT_USAGE)
        click.echo(path_of(full).read_bytes(), nl=False)  # as it is, whatever the encoding of the terminal


def names(begun: str = "") -> list[str]:
    """Return the names that begin so, such as `grid.toml` and `own_messages/publisher.py`, sorted."""
    inside = folder()
    files = (path for pattern in ("[!.]*", "[!.]*/[!.]*") for path in inside.glob(pattern))  # no caches of tools
    found = (path.relative_to(inside).as_posix() for path in files if path.suffix in _ENDINGS)
    return sorted(name for name in found if name.startswith(begun))


def headline(text: str) -> str:
    """Return the first sentence of an example: of a comment, or of the docstring of a program."""
    first = text.partition("\n")[0]
    if first.startswith("{"):  # JSON has no comments
        return _JSON
    return re.split(r"(?<=[.?]) (?=[A-Z])", first.strip('#" '))[0]
