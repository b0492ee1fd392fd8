"""The contact sheet: which picture is drawn into which cell."""

import pytest
from PIL import Image

from bus.contracts.archive import PictureRecord, Records
from bus.contracts.messages import ImageRef
from tests.support.factories import definition
from variantbus.reports.export import Exported
from variantbus.reports.sheet import CELL, GAP, SheetError, contact_sheet


def record(name: str, index: int, repeat: int, *, seed: int | None = None, width: int = 8) -> PictureRecord:
    """Return a result of a job; without a width it is no picture."""
    made = ImageRef(sha256=name, path=name, width=width, height=width, seed=seed)
    return PictureRecord(job_id=f"exp-1.{index}.{repeat}.0", variant_index=index, repeat_index=repeat, image=made)


def sheet_of(*pictures: PictureRecord) -> tuple[list[str], tuple[int, int]]:
    """Return the pictures that are drawn, in their order, and the size of the sheet."""
    exported = Exported(
        experiment_id="exp-1",
        created_at=1.0,
        definition=definition([2.0, 4.0]),
        values=[2.0, 4.0],
        records=Records(pictures=list(pictures)),
    )
    drawn: list[str] = []

    def load(image: ImageRef) -> Image.Image:
        drawn.append(image.sha256)
        return Image.new("RGB", (image.width, image.height), "#ff0000")

    return drawn, contact_sheet(exported, load).size


@pytest.mark.fault(item="F105")
def test_every_value_and_seed_has_its_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: a status lists 1,500 of a value, the records have all of them."""
    monkeypatch.setattr("variantbus.reports.sheet.CELL", 8)  # so many large ones take seconds
    drawn, _ = sheet_of(*(record(f"p{repeat}", 0, repeat, seed=repeat) for repeat in range(1600)))

    assert drawn == [f"p{repeat}" for repeat in range(1600)]


def test_another_result_of_the_job_does_not_take_the_place_of_its_picture() -> None:
    """Such as a text that a program writes beside it, before or after it."""
    drawn, _ = sheet_of(
        record("a", 0, 0, seed=7, width=0), record("b", 0, 0, seed=7), record("c", 0, 0, seed=7, width=0)
    )

    assert drawn == ["b"]


def test_a_picture_that_does_not_tell_its_seed_has_that_of_its_job() -> None:
    """As those of programs."""
    drawn, size = sheet_of(record("a", 0, 0), record("b", 1, 0), record("c", 0, 1), record("d", 1, 1))

    assert drawn == ["a", "c", "b", "d"]
    assert size[1] - sheet_of(record("a", 0, 0))[1][1] == CELL + GAP


def test_without_pictures_there_is_nothing_to_draw() -> None:
    """The sentence names the experiment."""
    with pytest.raises(SheetError, match="exp-1 has no pictures to draw"):
        sheet_of(record("a", 0, 0, width=0))
