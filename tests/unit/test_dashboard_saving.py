"""What a page asks to save: what is refused, and what is drawn."""

import io
from typing import Any

import pytest
from PIL import Image

from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from variantbus.dashboard import saving
from variantbus.dashboard.saving import Saver

HASH = "a" * 64


def wanted(**changes: object) -> dict[str, Any]:
    """Return what a page with two values of one seed asks for."""
    labels = [{"text": "1"}, {"text": "2", "small": "seed 7"}]
    body = {
        "form": "png",
        "title": "Sweep",
        "across": {"name": "cfg", "labels": labels},
        "down": {"name": "seed", "labels": [{"text": "7"}]},
        "pictures": [[0, 0, HASH, 64, 64]],
    }
    return {**body, **changes}


@pytest.fixture
def saver(monkeypatch: pytest.MonkeyPatch) -> Saver:
    """Return one whose runner has every picture, small and in full."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "#ff0000").save(out, "PNG")
    monkeypatch.setattr(saving, "fetch_picture", lambda *_: out.getvalue())
    monkeypatch.setattr(saving, "fetch_output", lambda *_: iter([out.getvalue()]))
    return Saver("runner", None)


@pytest.mark.parametrize("form", ["png", "gif", "webp"])
@pytest.mark.parametrize("whole", [True, False])
def test_the_pictures_are_drawn(saver: Saver, form: str, whole: bool) -> None:
    """In the form that was asked for."""
    data, media_type = saver.save(wanted(form=form, whole=whole))

    assert media_type == f"image/{form}"
    with Image.open(io.BytesIO(data)) as drawn:
        assert drawn.format == form.upper()
        assert (255, 0, 0) in [
            tuple(round(part / 255) * 255 for part in colour)  # type: ignore[union-attr]
            for _, colour in drawn.convert("RGB").getcolors(1 << 24) or []
        ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"form": "tiff"}, "form"),
        ({"more": 1}, "more"),
        ({"pictures": []}, "there is no picture to save yet"),
        ({"pictures": [[2, 0, HASH, 64, 64]]}, r"pictures\[0\]: is not on the axes"),
        ({"pictures": [[0, 1, HASH, 64, 64]]}, r"pictures\[0\]: is not on the axes"),
        ({"pictures": [[0, 0, "../../etc/passwd", 64, 64]]}, "pictures"),
        ({"pictures": [[0, 0, HASH, 0, 64]]}, "pictures"),
        ({"pictures": [[0, 0, HASH, 10**9, 64]]}, "pictures"),
        ({"across": {"name": "cfg", "labels": []}}, "labels"),
    ],
)
def test_what_cannot_be_drawn_is_refused(saver: Saver, changes: dict[str, object], told: str) -> None:
    """In a sentence that names the field."""
    with pytest.raises(InvalidInputError, match=told):
        saver.save(wanted(**changes))


def test_too_much_for_one_file_is_refused(saver: Saver) -> None:
    """As no program could show it."""
    labels = [{"text": str(at)} for at in range(9_999)]
    with pytest.raises(InvalidInputError, match="too many pictures for one file"):
        saver.save(wanted(across={"name": "cfg", "labels": labels}))


def test_a_picture_that_is_gone_leaves_its_place_empty(saver: Saver, monkeypatch: pytest.MonkeyPatch) -> None:
    """But a runner that does not answer is told."""

    def refuse(code: Any) -> Any:
        def fetch(*_: object) -> Any:
            raise ControlError(code, "no")

        return fetch

    monkeypatch.setattr(saving, "fetch_picture", lambda *_: None)
    monkeypatch.setattr(saving, "fetch_output", refuse("not_found"))
    assert saver.save(wanted())[1] == "image/png"
    assert saver.save(wanted(whole=True))[1] == "image/png"
    monkeypatch.setattr(saving, "fetch_output", refuse("unavailable"))
    with pytest.raises(ControlError):
        saver.save(wanted(whole=True))


def test_one_file_is_drawn_at_a_time(saver: Saver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long is told; afterwards all goes on, also after a refusal."""
    monkeypatch.setattr(saving, "BUSY_SECONDS", 0.01)
    told = []

    def fetch(*_: object) -> None:
        with pytest.raises(ControlError) as refused:
            saver.save(wanted())
        told.append(str(refused.value))

    monkeypatch.setattr(saving, "fetch_picture", fetch)
    saver.save(wanted())
    assert told == ["other files are being drawn; try again in a moment"]
    with pytest.raises(InvalidInputError):
        saver.save(wanted(across={"name": "cfg", "labels": [{"text": "1"}] * 999}))
    assert saver.save(wanted(whole=True))[1] == "image/png"
