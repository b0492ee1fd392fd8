"""Fonts of this machine, as the contact sheet finds them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from variantbus.reports.fonts import NO_CHARACTER, OWN, Face, Fonts, has, installed


@pytest.mark.parametrize("has_fontconfig", [True, False])
@pytest.mark.fault(item="F159")
def test_what_is_found_has_what_it_is_said_to_have(has_fontconfig: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By fontconfig where it is installed, else by the usual names; a machine may have none."""
    if not has_fontconfig:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    there = installed({"é"})
    fonts = Fonts(["a é"])

    assert fonts.missing == (set() if any(has(face, "é") for face in there) else {"é"})
    if not fonts.missing:
        (part,) = fonts.runs("a é", 20)
        assert part[0] == "a é"


@pytest.mark.fault(item="F159")
def test_without_any_other_font_the_letters_are_known() -> None:
    """Pillow's own has those of English."""
    assert has(OWN, "a")
    assert not has(OWN, "中")
    assert not has(OWN, NO_CHARACTER)
    assert Fonts(["a中"], lambda _: []).missing == {"中"}


@pytest.mark.fault(item="F159")
@pytest.mark.parametrize("fault", ["hangs", "cannot start", "says nonsense"])
def test_a_fontconfig_that_fails_costs_the_letters_and_nothing_else(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it names may be no font either."""
    nonsense = tmp_path / "font.ttf"
    nonsense.write_bytes(b"no font")
    asked = tmp_path / "fc-match"
    asked.write_text(f"#!/bin/sh\nprintf '{nonsense}\\t0\\n/none.ttf\\t0\\nx\\ty\\n\\377\\n'\n")
    asked.chmod(0o755)
    if fault == "cannot start":
        asked.write_bytes(b"\x7fELF")
    monkeypatch.setattr(shutil, "which", lambda _: str(asked))
    if fault == "hangs":
        monkeypatch.setattr(subprocess, "run", hang)

    assert installed({"中"}) == []
    assert Fonts(["中"]).missing == {"中"}
    assert Fonts(["中"]).runs("中", 20)[0][0] == "中"
    assert Face("x") != OWN


def hang(command: list[str], **_options: object) -> None:
    """Be a program that does not answer in time."""
    raise subprocess.TimeoutExpired(command, 10)
