"""The files of a contact sheet: each whole or not there, and named in the order of the pages."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

from bus.contracts.archive import PictureRecord, Records
from bus.contracts.messages import ImageRef
from bus.protocol.validation import InvalidInputError
from tests.support.factories import definition
from variantbus.cli import sheet as command
from variantbus.cli.sheet import write_sheet
from variantbus.reports import sheet
from variantbus.reports.export import Exported
from variantbus.reports.sheet import Sheet

SIDE = 1000  # pixels of the largest page in these tests


def exported(seeds: int) -> Exported:
    """Return an experiment with a picture for each of two values and some seeds."""
    picture = ImageRef(sha256="ab", path="x.png", width=64, height=64)
    pictures = [
        PictureRecord(job_id=f"exp-1.{at}.{seed}.0", variant_index=at, repeat_index=seed, image=picture)
        for at in range(2)
        for seed in range(seeds)
    ]
    return Exported(
        experiment_id="exp-1",
        created_at=1.0,
        definition=definition(),
        values=[2.0, 4.0],
        records=Records(pictures=pictures),
    )


@pytest.fixture(autouse=True)
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no picture be there, and pages be small."""
    monkeypatch.setattr(command, "fetch_picture", lambda *_, **__: None)
    monkeypatch.setattr(sheet, "MAX_SIDE", SIDE)


@pytest.mark.fault(item="F158")
def test_further_pages_are_further_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each can be read; stderr says how many pictures are missing on all of them."""
    paths = write_sheet(Sheet(exported(12)), "tcp://127.0.0.1:1", tmp_path / "a.b.png")

    assert [path.name for path in paths] == ["a.b.png", "a.b-2.png", "a.b-3.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    for path in paths:
        with Image.open(path) as page:
            assert max(page.size) <= SIDE
    assert "24 pictures could not be read" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    """In the way is a folder of the same name."""
    target = tmp_path / "sheet.png"
    target.mkdir()

    with pytest.raises(InvalidInputError, match=r"sheet\.png: cannot be written \(Is a directory\)"):
        write_sheet(Sheet(exported(1)), "tcp://127.0.0.1:1", target)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.fault(item="F158")
def test_a_shorter_sheet_leaves_no_page_of_a_longer_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be taken for one of the new sheet; files that are of no sheet, or of another experiment's, stay."""
    target = tmp_path / "sheet.png"
    write_sheet(Sheet(exported(12)), "tcp://127.0.0.1:1", target)
    Image.new("RGB", (8, 8)).save(tmp_path / "sheet-4.png")

    assert write_sheet(Sheet(exported(1)), "tcp://127.0.0.1:1", target) == [target]

    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet-4.png", "sheet.png"]
    assert "sheet-2.png was removed: it was a page of an earlier, longer sheet" in capsys.readouterr().err
    write_sheet(Sheet(exported(12)), "tcp://127.0.0.1:1", target)
    write_sheet(Sheet(replace(exported(1), experiment_id="exp-2")), "tcp://127.0.0.1:1", target)
    assert (tmp_path / "sheet-2.png").exists()
