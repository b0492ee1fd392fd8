"""Every text can be printed, whatever the terminal's encoding is, and columns stay straight."""

import io
import json
import logging
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bus.console.printable import printable
from bus.console.process import user_errors
from bus.telemetry.logging import set_up_logging
from bus.telemetry.streams import POLICY, accept_all_text, encoding_of, json_on

FOREIGN = "Größe 中文 Ж ع 🐈 e\u0301"
ENCODINGS = ["ascii", "latin-1", "cp1252", "gbk", "gb18030", "shift_jis", "euc_kr", "koi8-r", "utf-8"]


def stream_of(encoding: str) -> tuple[io.BytesIO, io.TextIOWrapper]:
    """Return a terminal of an encoding, as Python opens one, and what was written to it."""
    written = io.BytesIO()
    return written, io.TextIOWrapper(written, encoding=encoding)


@pytest.mark.fault(item="F162")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_terminal_of_any_encoding_takes_every_text(encoding: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has is written as it is."""
    written, stream = stream_of(encoding)
    monkeypatch.setattr(sys, name, stream)
    accept_all_text()

    print(f"{FOREIGN} \ud800", file=stream, flush=True)

    shown = written.getvalue().decode(encoding)
    for char in FOREIGN:
        try:
            char.encode(encoding)
        except UnicodeEncodeError:
            assert char not in shown
        else:
            assert char in shown
    assert "?" in shown


@pytest.mark.fault(item="F162")
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Mn", "Me", "Mc", "Cn"]), max_size=20))
def test_what_stands_for_a_character_is_as_wide(text: str) -> None:
    """A table that is drawn for the characters is straight with what replaces them."""
    shown = "".join(char.encode("ascii", POLICY).decode() for char in text if cell_len(char) > 0)

    wide = sum(cell_len(char) for char in text if cell_len(char) > 0)
    assert abs(len(shown) - wide) <= sum(char > "\uffff" for char in text)  # libraries differ in the newest ones
    assert printable(text).isprintable()


def test_a_files_name_that_is_not_utf8_is_written_as_its_bytes() -> None:
    """So that another program finds the file by what we print."""
    assert os.fsdecode(b"caf\xe9.png").encode("utf-8", POLICY) == b"caf\xe9.png"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_loses_nothing(encoding: str) -> None:
    """What the encoding may not have is escaped; UTF-8 shows it as it is."""
    written, stream = stream_of(encoding)
    text = json.dumps({"prompt": FOREIGN}, ensure_ascii=False)

    stream.write(json_on(stream, text))
    stream.flush()

    assert json.loads(written.getvalue()) == {"prompt": FOREIGN}
    assert (json_on(stream, text) == text) == (encoding == "utf-8")


@pytest.mark.parametrize("style", ["text", "json"])
def test_log_lines_are_in_the_encoding_of_stderr(
    style: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a terminal of latin-1, the bytes of UTF-8 could be control characters."""
    monkeypatch.setattr(sys, "stderr", stream_of("latin-1")[1])
    kept = logging.root.handlers[:], logging.root.level
    try:
        set_up_logging("runner", "info", "json" if style == "json" else "text")
        logging.getLogger("test").info("prompt %s", "中文")
    finally:
        logging.root.handlers[:], logging.root.level = kept
        logging.captureWarnings(capture=False)

    line = capfd.readouterr().err
    assert json.loads(line)["message"] == "prompt 中文" if style == "json" else line.endswith("prompt ????\n")
    assert line.isascii()


def test_a_stream_that_is_closed_or_no_file_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw, or in a test of another program."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    accept_all_text()

    assert encoding_of(sys.stdout) == encoding_of(sys.stderr) == "utf-8"


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (f"{'x' * 500}\udce9".encode, "is not UTF-8"),
        (lambda: "中.toml".encode("latin-1"), "cannot be a file's name in latin-1; set a UTF-8 locale"),
        (Path("a\nb\x1b[2J.toml").read_bytes, r"a\nb\x1b[2J.toml: No such file"),
    ],
)
def test_a_bad_name_is_told_in_one_short_harmless_line(
    raised: object, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever side of the file system it is on."""
    assert callable(raised)
    with pytest.raises(SystemExit), user_errors():
        raised()

    told = capsys.readouterr().err
    assert sentence in told
    assert len(told) < 250
    assert told.endswith("\n")
    assert told[:-1].isprintable()
