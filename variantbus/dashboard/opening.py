"""A file that somebody opens in the form: the settings that made a picture, or an experiment as a definition."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.config.toml_file import table_of
from bus.protocol.validation import InvalidInputError
from pipeline_runner.metadata.reading import GridError, made_by
from pipeline_runner.outputs.containers import format_of
from variantbus.files.prompts import FILE as PROMPTS_FILE
from variantbus.files.reading import experiment_of
from variantbus.files.templates import EXTENDS, NOTIFY

NAME: Final = Path("the file")  # begins the sentences about it; the page knows its name
ELSEWHERE: Final = {
    EXTENDS: "takes the rest from another file, which a page cannot read; open that one, or run it with the command",
    PROMPTS_FILE: "names another file, which a page cannot read; copy its prompts into the form",
}


def opened(data: bytes) -> dict[str, Any]:
    """Return the `pipeline` and the `settings` of a picture, or the `definition` of an experiment file.

    `told` says what of the file is not in it.

    Raises:
        InvalidInputError: it is neither, and what it is.
    """
    if format_of(data) is None and not _is_avif(data):
        return _experiment(data)
    try:
        made = made_by(data)
    except GridError:
        raise InvalidInputError("shows many pictures; open one of them") from None
    if made is None:
        raise InvalidInputError("has no settings in it; a program that copies pictures may have removed them")
    return {"pipeline": made.pipeline, "settings": made.settings}


def _is_avif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis")


def _experiment(data: bytes) -> dict[str, Any]:
    if b"\0" in data[:4096]:
        raise InvalidInputError("is neither a picture nor the file of an experiment")
    try:
        table = table_of(NAME, data)
        _check_alone(table)
        definition = experiment_of(NAME, table, origin="").definition
    except InvalidInputError as error:
        raise InvalidInputError(str(error).removeprefix(f"{NAME}: ")) from None
    told = ["Who is told of it ([notify]) is not taken from a file here."] if NOTIFY in table else []
    return {"definition": msgspec.to_builtins(definition), "told": told}


def _check_alone(table: Mapping[str, Any]) -> None:
    for key, text in ELSEWHERE.items():
        if key in table:
            raise InvalidInputError(f"{key}: {text}")
