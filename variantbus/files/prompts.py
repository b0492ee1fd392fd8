"""The prompts of an experiment file, in a list or in a text file with one a line, as the blocks that they stand for."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from bus.contracts.values import cited
from bus.protocol.validation import InvalidInputError

LIST: Final = "prompts"
FILE: Final = "prompts_file"
BLOCKS: Final = "blocks"
KEYS: Final = frozenset({LIST, FILE, BLOCKS})
FILE_LIMIT: Final = 1 << 20  # bytes


def with_blocks(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Return the table of an experiment file with `blocks` in the place of `prompts` or `prompts_file`.

    Raises:
        InvalidInputError: several of them are given, or they are no prompts.
    """
    given = sorted(KEYS & table.keys())
    if len(given) > 1:
        raise InvalidInputError(
            f"{path}: {given[1]}: there is {given[0]} already; give one of {', '.join(sorted(KEYS))}"
        )
    if LIST in table:
        prompts = _of_list(f"{path}: {LIST}", table[LIST])
    elif FILE in table:
        prompts = _of_file(path, table[FILE])
    else:
        _check_tables(path, table.get(BLOCKS))
        return table
    rest = {key: value for key, value in table.items() if key not in KEYS}
    return {**rest, BLOCKS: [{"config": {"prompt": prompt}} for prompt in prompts]}


def _check_tables(path: Path, blocks: object) -> None:
    """Refuse a setting that stands beside the `config` of a block; all else that is wrong is found later."""
    for number, block in enumerate(blocks if isinstance(blocks, list) else [], 1):
        for key in block if isinstance(block, dict) else ():
            if key not in ("name", "config"):
                advice = f"a setting of a block is written config.{key}"
                raise InvalidInputError(f"{path}: {BLOCKS} #{number}.{key}: {advice}")


def _of_list(where: str, value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        raise InvalidInputError(f'{where}: must be a list of texts, such as ["a red star", "a blue heart"]')
    for number, prompt in enumerate(value, 1):
        if not isinstance(prompt, str):
            raise InvalidInputError(f"{where} #{number}: must be text, not {cited(prompt)}")
        if not prompt.strip():
            advice = "write a prompt, or give the empty one as [[blocks]] with config.prompt"
            raise InvalidInputError(f"{where} #{number}: is empty; {advice}")
    return _different(where, ((f"#{number}", prompt) for number, prompt in enumerate(value, 1)))


def _of_file(path: Path, value: object) -> list[str]:
    """Read one prompt a line; blank lines and spaces around a prompt mean nothing."""
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{path}: {FILE}: must be the path of a text file with one prompt a line")
    file = path.parent / value
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no path has a NUL"
        raise InvalidInputError(
            f"{file}: cannot be read ({why}); check {FILE}, a path from the folder of {path}"
        ) from None
    if len(data) > FILE_LIMIT:
        raise InvalidInputError(f"{file}: larger than {FILE_LIMIT} bytes; give a text file with one prompt a line")
    try:
        lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{file}: is not UTF-8; save it as UTF-8") from None
    found = [(f"line {number}", line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InvalidInputError(f"{file}: has no prompt; write one a line")
    return _different(f"{file}:", found)


def _different(where: str, prompts: Iterable[tuple[str, str]]) -> list[str]:
    """Return prompts, each of which has its place beside it, unless one is there twice."""
    seen: dict[str, str] = {}
    for place, prompt in prompts:
        if prompt in seen:
            raise InvalidInputError(f"{where} {place}: is the same as {seen[prompt]}; remove one")
        seen[prompt] = place
    return list(seen)
