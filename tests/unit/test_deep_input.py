"""What a person gives a command may be nested without end or have endless numbers: each is one sentence, or a text."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from bus.config.toml_file import read_toml
from bus.console.template import Template
from bus.protocol.json_values import DEPTH, from_json
from bus.protocol.validation import InvalidInputError
from variantbus.cli import file_changes, patching
from variantbus.cli.revise import parse_values
from variantbus.reports import export

DEEP = "[" * 20_000 + "]" * 20_000
DIGITS = "9" * 5000


class Anything(Struct):
    """A file of which every key is known."""

    a: Any


@pytest.mark.fault(item="B36")
@pytest.mark.parametrize("value", [DEEP, DIGITS, "1979-13-45", "0x" + "f" * 5000 + "g"])
def test_values_in_a_toml_file_without_end(tmp_path: Path, value: str) -> None:
    """The sentence names the file."""
    path = tmp_path / "file.toml"
    path.write_text(f"a = {value}\n", encoding="utf-8")

    with pytest.raises(InvalidInputError, match=r"file\.toml: is no valid TOML: "):
        read_toml(path, Anything)


@pytest.mark.parametrize("key", ["a.{}b", "[a.{}b]", "'x' . {}b", r'"\"x".{}b', "k = {{ a.{}b"])
def test_a_key_in_a_toml_file_without_end(tmp_path: Path, key: str) -> None:
    """The memory for it grows by the square: half a megabyte, dropped onto the dashboard, took all of the machine."""
    path = tmp_path / "file.toml"
    path.write_text(f"{key.format('a.' * 300)} = 1\n", encoding="utf-8")

    with pytest.raises(InvalidInputError, match=r"file\.toml: is no valid TOML: nested too deeply"):
        read_toml(path, Anything)


def test_a_text_with_many_dots_is_a_text(tmp_path: Path) -> None:
    """As a list of numbers, or a prompt."""
    path = tmp_path / "file.toml"
    path.write_text(f"a = '{'0.5, ' * 300}' # {'... ' * 300}\n", encoding="utf-8")

    assert read_toml(path, Anything).a == "0.5, " * 300


@pytest.mark.parametrize("value", [DEEP, DIGITS])
def test_values_on_a_command_line_without_end(value: str) -> None:
    """What is no value is a text, as elsewhere on the command line; the service refuses it where it is no text."""
    assert parse_values(f"x={value}") == ("x", [value])


@pytest.mark.parametrize("suffix", [".toml", ".json"])
@pytest.mark.parametrize("value", [DEEP, DIGITS])
def test_files_to_be_changed_with_values_without_end(suffix: str, value: str) -> None:
    """They are refused before anything is written."""
    text = f"a = {value}\n" if suffix == ".toml" else f'{{"a": {value}}}'

    with pytest.raises(InvalidInputError, match="is no valid"):
        patching._read(text, suffix)


@pytest.mark.parametrize("value", [DEEP, DIGITS, '"\\ud800"'])
def test_exports_with_values_without_end(value: str) -> None:
    """Of both kinds."""
    with pytest.raises(InvalidInputError):
        export.from_json(f'{{"experiment_id": {value}}}')
    row = ["x", *[""] * (len(export.COLUMNS) - 1)]
    row[list(export.COLUMNS).index("definition")] = '"' + value.replace('"', '""') + '"'
    with pytest.raises(InvalidInputError):
        export.from_csv(",".join(export.COLUMNS) + "\r\n" + ",".join(row) + "\r\n")


@pytest.mark.parametrize(
    "text", ["{offset:99999999999d}", "{body[a]:>999999999}", "{body[a]:{offset}}", "{topic:.99999}"]
)
def test_widths_without_end(text: str) -> None:
    """A line of a gigabyte would be made for each event."""
    with pytest.raises(InvalidInputError, match="a width has at most three digits, and no field in it"):
        Template(text)


@pytest.mark.fault(item="B66")
@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'"\xff"', DEEP.encode(), b"1e999", b"%d" % 2**64, b'"\\ud800"'])
def test_json_of_a_stranger_that_cannot_be_sent_on(data: bytes) -> None:
    """One sentence, whichever error the decoder or the encoder has for it."""
    with pytest.raises(InvalidInputError, match=r"^input: "):
        from_json(data)


@pytest.mark.fault(item="B66")
def test_json_of_a_stranger_is_bounded_in_depth() -> None:
    """The bound is far below what Python itself could walk through."""
    value = from_json(b"[" * DEPTH + b"]" * DEPTH)
    assert value == from_json(b" [" * DEPTH + b"] " * DEPTH)

    with pytest.raises(InvalidInputError, match="nested too deeply"):
        from_json(b'{"a":' * (DEPTH + 1) + b"1" + b"}" * (DEPTH + 1))


def test_a_damaged_record_of_a_change_is_named(tmp_path: Path) -> None:
    """It is our own file, and still no reason for a traceback."""
    (tmp_path / "1.json").write_bytes(b'{"path": "\xff"}')

    with pytest.raises(InvalidInputError, match=r"1\.json: is damaged; move it away"):
        file_changes.History(tmp_path).newest(Path("/x"))
