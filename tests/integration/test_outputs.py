"""The output folder: whole files or none, named by content, whatever the ids contain."""

import hashlib
import io
import json
import logging
import os
from pathlib import Path

import pytest
from PIL import Image

from bus.contracts.messages import ImageRef, LearningContext
from pipeline_runner.outputs.files import MOST_WARNINGS, Outputs, job_folder, thumbnail_path, write_atomically
from pipeline_runner.outputs.images import read_kind
from pipeline_runner.queue.jobs import NormalizedJobRecord
from tests.support.factories import context, record_of

DATA = b"\x89PNG and so on"
SHA256 = hashlib.sha256(DATA).hexdigest()
STRANGE = [
    "../../x",
    "/abs",
    "a\0b",
    "..",
    ".",
    "x" * 300,
    "/" * 128,
    "ü" * 128,
    "a/b",
    "a\\b",
    "con\nnul",
    "%2E%2E",
    "~",
    "🎨" * 128,
]


def save(
    outputs: Outputs, job: NormalizedJobRecord, data: bytes = DATA, *, suffix: str = ".png", seed: int | None = 7
) -> ImageRef:
    """Save a picture."""
    return outputs.save(job, data, suffix=suffix, media_type="image/png", size=(64, 48), seed=seed)


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_named_by_its_content(tmp_path: Path) -> None:
    """The reference that travels in messages leads to the bytes, with size, seed and media type."""
    saved = save(Outputs(tmp_path), record_of(mark=context(3, 6.5)))

    path = f"exp-1/variant-03_cfg_scale-6.5/{SHA256}.png"
    assert saved == ImageRef(sha256=SHA256, path=path, width=64, height=48, seed=7, media_type="image/png")
    assert (tmp_path / saved.path).read_bytes() == DATA


def test_the_same_bytes_have_the_same_name(tmp_path: Path) -> None:
    """A job that runs again after a crash adds no second file."""
    outputs = Outputs(tmp_path)

    first = save(outputs, record_of(mark=context()))
    before = sorted(files(tmp_path))
    again = save(outputs, record_of(mark=context()))

    assert again == first
    assert sorted(files(tmp_path)) == before


def test_other_bytes_have_another_name(tmp_path: Path) -> None:
    """Nothing is ever overwritten by another picture."""
    outputs = Outputs(tmp_path)

    paths = {save(outputs, record_of(mark=context()), data).path for data in (b"one", b"two")}

    assert len(paths) == 2
    assert {(tmp_path / path).read_bytes() for path in paths} == {b"one", b"two"}


def test_a_sidecar_tells_where_a_file_comes_from(tmp_path: Path) -> None:
    """Beside each file there is its whole story as JSON, in readable characters."""
    job = record_of("exp-1.3.0.0", config={"prompt": "ein grüner Stern", "steps": 4}, mark=context(3, 6.5))

    save(Outputs(tmp_path), job)

    text = (tmp_path / f"exp-1/variant-03_cfg_scale-6.5/{SHA256}.exp-1.3.0.0.json").read_text(encoding="utf-8")
    assert "grüner" in text
    content = json.loads(text)
    assert content["image"]["sha256"] == SHA256
    assert (content["job_id"], content["attempt"]) == ("exp-1.3.0.0", 1)
    assert (content["pipeline"], content["stage"]) == ("embedded", "txt2img")
    assert content["config"] == {"prompt": "ein grüner Stern", "steps": 4}
    assert content["learning_context"]["variant_index"] == 3
    assert content["learning_context"]["variant_value"] == 6.5


def test_only_our_own_unfinished_files_are_discarded(tmp_path: Path) -> None:
    """What a killed runner was writing goes; a person's folder or file beside it stays, whatever its name."""
    outputs = Outputs(tmp_path)
    job = record_of("job-1")
    folder = (tmp_path / save(outputs, job).path).parent
    torn = folder / f".{SHA256}.png.0a1b2c3d"
    kept = [folder / ".ipynb_checkpoints", folder / ".note"]
    kept[0].mkdir()
    for path in (torn, kept[1]):
        path.write_bytes(b"")

    outputs.discard_unfinished(job)

    assert not torn.exists()
    assert all(path.exists() for path in kept)


def test_an_unfinished_file_that_cannot_be_removed_does_not_stop_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and a sweep finds it later."""
    outputs, job = Outputs(tmp_path), record_of()
    torn = (tmp_path / save(outputs, job).path).with_name(f".{'0' * 64}.png.0123abcd")
    torn.write_bytes(b"")

    def refuse(_path: Path, *, missing_ok: bool) -> None:
        raise PermissionError(13, "not yours", str(missing_ok))

    monkeypatch.setattr(Path, "unlink", refuse)
    outputs.discard_unfinished(job)

    assert torn.exists()
    assert "not yours" in caplog.text


def test_two_jobs_that_make_the_same_file_keep_a_sidecar_each(tmp_path: Path) -> None:
    """The file is there once, and where it comes from is not overwritten."""
    outputs = Outputs(tmp_path)
    jobs = [record_of(f"exp-1.3.{repeat}.0", mark=context(3, 6.5)) for repeat in range(2)]

    paths = {save(outputs, job).path for job in jobs}

    assert len(paths) == 1
    told = [json.loads(path.read_text(encoding="utf-8"))["job_id"] for path in sorted(tmp_path.rglob("*.json"))]
    assert told == ["exp-1.3.0.0", "exp-1.3.1.0"]


def picture(size: tuple[int, int] = (500, 400), kind: str = "PNG") -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "suffix", "media_type"), [("PNG", ".png", "image/png"), ("JPEG", ".jpg", "image/jpeg")]
)
def test_a_picture_of_a_server_is_saved_as_what_it_is(tmp_path: Path, kind: str, suffix: str, media_type: str) -> None:
    """Type, suffix and size are read from its bytes; only a PNG gets the parameters."""
    data = picture(kind=kind)

    saved = Outputs(tmp_path).save_image(record_of(), data, read_kind(data), seed=7, parameters="a blue star")

    assert (saved.path.endswith(suffix), saved.media_type, saved.width, saved.height) == (True, media_type, 500, 400)
    written = (tmp_path / saved.path).read_bytes()
    assert hashlib.sha256(written).hexdigest() == saved.sha256
    with Image.open(io.BytesIO(written)) as image:
        assert image.info.get("parameters") == ("a blue star" if kind == "PNG" else None)


def test_a_picture_has_a_thumbnail_beside_the_pictures(tmp_path: Path) -> None:
    """It is written with the picture, once, and named by the picture's hash."""
    outputs = Outputs(tmp_path)
    saved = [save(outputs, record_of(name), picture()) for name in ("job-1", "job-2")]

    (small,) = tmp_path.rglob("*.webp")
    assert small == tmp_path / ".thumbnails" / saved[0].sha256[:2] / f"{saved[1].sha256}.webp"
    with Image.open(small) as image:
        assert image.size == (384, 307)
    assert not [path for path in small.parent.iterdir() if path != small], "unfinished files were left"


def test_a_small_picture_is_noted_as_its_own_thumbnail(tmp_path: Path) -> None:
    """The file of the thumbnail is empty."""
    saved = save(Outputs(tmp_path), record_of(), picture((64, 64)))

    assert (tmp_path / thumbnail_path(saved.sha256)).read_bytes() == b""


def test_what_is_no_picture_has_no_thumbnail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A program may call anything a picture; that is no failure, and no warning."""
    outputs = Outputs(tmp_path)
    with caplog.at_level(logging.WARNING):
        save(outputs, record_of("job-1"), b"no picture")
        outputs.save(record_of("job-2"), picture(), suffix=".txt", media_type="text/plain", size=(0, 0), seed=None)

    assert not (tmp_path / ".thumbnails").exists()
    assert not caplog.records


def test_a_thumbnail_that_cannot_be_written_does_not_fail_the_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The picture is what counts; the log says why."""
    (tmp_path / ".thumbnails").write_text("in the way")

    saved = save(Outputs(tmp_path), record_of(), picture())

    assert (tmp_path / saved.path).read_bytes() == picture()
    assert f"no thumbnail of {saved.sha256}" in caplog.text


def test_a_thumbnail_that_is_there_counts_as_new_again(tmp_path: Path) -> None:
    """So it is not removed as an old one while the second job that made the picture has not ended."""
    outputs = Outputs(tmp_path)
    small = tmp_path / thumbnail_path(save(outputs, record_of("job-1"), picture()).sha256)
    os.utime(small, (1, 1))

    save(outputs, record_of("job-2"), picture())

    assert small.stat().st_mtime > 1


def test_a_job_outside_any_experiment_has_its_own_folder(tmp_path: Path) -> None:
    """Its sidecar has no context."""
    saved = save(Outputs(tmp_path), record_of("job-1"))

    assert saved.path == f"jobs/job-1/{SHA256}.png"
    assert json.loads((tmp_path / f"jobs/job-1/{SHA256}.job-1.json").read_text())["learning_context"] is None


def marks(strange: str) -> list[LearningContext | None]:
    """Return contexts with a strange text in each place that a folder is made of."""
    return [
        None,
        context(experiment=strange),
        context(variable=strange),
        context(0, strange),
        context(0, {strange: strange}),
        context(-1, strange),
    ]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda text: f"{text[:8]!a}")
def test_whatever_the_ids_contain_files_stay_inside_the_folder(tmp_path: Path, strange: str) -> None:
    """Dots, slashes, NUL, and ids that are too long for a file name are saved, and inside."""
    root = tmp_path / "outputs"
    for mark in marks(strange):
        saved = save(Outputs(root), record_of(strange, mark=mark))

        written = (root / saved.path).resolve()
        assert written.is_relative_to(root.resolve())
        assert written.read_bytes() == DATA

    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_long_ids_that_differ_at_their_end_have_different_folders() -> None:
    """Shortening does not mix the results of two jobs."""
    one, other = (job_folder(record_of("🎨" * 120 + end)) for end in "ab")

    assert one != other


@pytest.mark.parametrize("suffix", ["", "." + "x" * 300, ".p\0g", "./../../x", ".ü"], ids=lambda text: f"{text[:8]!a}")
def test_a_strange_suffix_does_no_harm(tmp_path: Path, suffix: str) -> None:
    """What a program calls its results does not decide where they are."""
    root = tmp_path / "outputs"

    saved = save(Outputs(root), record_of(), suffix=suffix)

    assert (root / saved.path).resolve().parent == (root / "jobs" / "job-1").resolve()
    assert (root / saved.path).read_bytes() == DATA


def test_an_atomic_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    """After it there is the one file, with the new content."""
    target = tmp_path / "a.png"
    target.write_bytes(b"old")

    write_atomically(target, b"new")

    assert files(tmp_path) == {"a.png": b"new"}


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk refuses to sync, the old file is whole and nothing else is there."""
    target = tmp_path / "a.png"
    target.write_bytes(b"old")

    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)

    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, b"new")

    assert files(tmp_path) == {"a.png": b"old"}


def test_a_write_that_cannot_rename_cleans_up(tmp_path: Path) -> None:
    """Where a folder stands in the way, the temporary file is taken away again."""
    target = tmp_path / "a.png"
    (target / "inside").mkdir(parents=True)

    with pytest.raises(OSError, match=r"a\.png"):
        write_atomically(target, b"new")

    assert files(tmp_path) == {}


def test_the_warnings_of_a_job_are_few_whatever_it_makes(tmp_path: Path) -> None:
    """A thousand broken pictures do not make the event of the job's end too large."""
    outputs, job = Outputs(tmp_path), record_of()
    for number in range(MOST_WARNINGS + 5):
        save(outputs, job, b"no picture %d" % number)
    save(outputs, job, b"no picture 0")

    warnings = outputs.take_warnings(job.job_id)

    assert len(warnings) == MOST_WARNINGS + 1
    assert warnings[-1] == "5 more files are like these"
    assert outputs.take_warnings(job.job_id) == ()
