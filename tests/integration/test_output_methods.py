"""The runner's methods `output` and `output.find`: bytes by hash, over the control socket."""

import hashlib
import io
import os
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from bus.contracts.jobs import JobListReply
from bus.contracts.messages import ImageRef
from bus.contracts.outputs import OutputFindReply, OutputUsageReply
from bus.eventlog.log import Log
from bus.protocol.control import PAGE_BYTES, ControlError
from bus.transport.client import request
from pipeline_runner.outputs.files import thumbnail_path
from tests.support.factories import context
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.painting_runner import PaintingRunner, picture
from variantbus.client.outputs import fetch_output, fetch_picture

PART: int = PAGE_BYTES


def test_what_a_message_names_is_served_at_once(painting_runner: PaintingRunner) -> None:
    """Whoever hears of a picture can fetch it."""
    image = painting_runner.paint(mark=context(3, 6.5))

    reply = painting_runner.output(image.sha256)

    assert (reply.sha256, reply.media_type, reply.offset) == (image.sha256, "image/png", 0)
    assert (reply.size, reply.data) == (len(picture()), picture())


@pytest.mark.parametrize("more", [-1, 0, 1, PART], ids=["below a part", "a part", "a byte over", "two parts"])
def test_a_result_comes_in_parts_of_a_page(painting_runner: PaintingRunner, more: int) -> None:
    """No reply is larger than a page, and the parts are the whole."""
    painting_runner.painter.data = [os.urandom(PART + more)]
    image = painting_runner.paint()

    parts = list(fetch_output(painting_runner.address, image.sha256, None))

    assert b"".join(parts) == painting_runner.painter.data[0]
    assert [len(part) for part in parts] == (
        [PART] * (1 + more // PART) if more % PART == 0 else [PART + more] if more < 0 else [PART, more]
    )
    assert painting_runner.output(image.sha256, offset=PART + more).data == b""
    assert painting_runner.output(image.sha256, offset=2**62).data == b""


def test_a_result_without_bytes_is_served(painting_runner: PaintingRunner) -> None:
    """A program may write an empty file."""
    painting_runner.painter.data = [b""]

    assert list(fetch_output(painting_runner.address, painting_runner.paint().sha256, None)) == [b""]


def test_a_thumbnail_is_served_by_the_hash_of_its_picture(painting_runner: PaintingRunner) -> None:
    """It is a small WebP."""
    image = painting_runner.paint()

    reply = painting_runner.output(image.sha256, thumbnail=True)

    assert (reply.sha256, reply.media_type, reply.size) == (image.sha256, "image/webp", len(reply.data))
    with Image.open(io.BytesIO(reply.data)) as small:
        assert (small.format, small.size) == ("WEBP", (384, 307))


def test_a_small_picture_is_its_own_thumbnail(painting_runner: PaintingRunner) -> None:
    """The original comes."""
    painting_runner.painter.data = [picture((64, 48))]

    reply = painting_runner.output(painting_runner.paint().sha256, thumbnail=True)

    assert (reply.media_type, reply.data) == ("image/png", picture((64, 48)))


def test_what_is_no_picture_has_no_thumbnail_but_is_served(painting_runner: PaintingRunner) -> None:
    """Whatever it is called; and a screen falls back to the whole."""
    painting_runner.painter.data = [b"no picture"]
    image = painting_runner.paint()

    code, text = painting_runner.refusal("output", sha256=image.sha256, thumbnail=True)

    assert code == "not_found"
    assert text == f"{image.sha256}: has no thumbnail, as it is no PNG, JPEG or WebP picture that could be read"
    assert painting_runner.output(image.sha256).data == b"no picture"
    assert fetch_picture(painting_runner.address, image.sha256, None) == b"no picture"


def test_an_unknown_hash_is_not_found(painting_runner: PaintingRunner) -> None:
    """The sentence says where to look."""
    code, text = painting_runner.refusal("output", sha256="0" * 64)

    assert code == "not_found"
    assert text == f"no job of this runner has made {'0' * 64}; see `variantbus job list`"
    assert fetch_picture(painting_runner.address, "0" * 64, None) is None


@pytest.mark.parametrize(
    "sha256",
    ["", "abc", "0" * 63, "0" * 65, "A" * 64, "../" * 21 + "x", "/etc/passwd", "g" * 64, "0" * 64 + "\n", 7, None],
    ids=repr,
)
def test_what_is_no_hash_is_refused_by_its_type(painting_runner: PaintingRunner, sha256: object) -> None:
    """A path, a prefix or another spelling is never looked for."""
    painting_runner.paint()

    code, text = painting_runner.refusal("output", sha256=sha256)

    assert code == "invalid_request"
    assert text.startswith("sha256: ")


@pytest.mark.parametrize("params", [{"offset": -1}, {"offset": 2**63}, {"thumbnail": 1}, {"path": "x"}], ids=repr)
def test_other_parameters_are_refused(painting_runner: PaintingRunner, params: dict[str, Any]) -> None:
    """One sentence names the field."""
    code, text = painting_runner.refusal("output", sha256="0" * 64, **params)

    assert code == "invalid_request"
    assert text.startswith(next(iter(params)))


def test_a_file_that_somebody_removed_is_not_found(painting_runner: PaintingRunner) -> None:
    """The sentence tells it from a hash that nobody knows."""
    image = painting_runner.paint()
    (painting_runner.root / image.path).unlink()

    code, text = painting_runner.refusal("output", sha256=image.sha256)

    assert code == "not_found"
    assert text == f"{image.sha256}: its file was removed or replaced (No such file or directory)"


def test_another_copy_is_served_where_one_is_gone(painting_runner: PaintingRunner) -> None:
    """The same picture of two jobs is there twice."""
    gone, left = painting_runner.paint("job-1"), painting_runner.paint("job-2")
    assert gone.sha256 == left.sha256

    for one, other in ((gone, left), (left, gone)):
        (painting_runner.root / one.path).rename(painting_runner.root / f"{one.path}.away")
        assert (painting_runner.root / other.path).exists()
        assert painting_runner.output(one.sha256).data == picture()
        (painting_runner.root / f"{one.path}.away").rename(painting_runner.root / one.path)


def test_no_link_is_followed(painting_runner: PaintingRunner, tmp_path: Path) -> None:
    """Not in place of the file, of its folder, or of the thumbnail; nor is anything else that is no regular file."""
    image = painting_runner.paint(mark=context())
    file, secret = painting_runner.root / image.path, tmp_path / "secret"
    secret.mkdir()
    (secret / file.name).write_bytes(b"secret")
    whole = file.read_bytes()

    def refused() -> bool:
        return painting_runner.refusal("output", sha256=image.sha256)[0] == "not_found"

    file.unlink()
    file.symlink_to(secret / file.name)
    assert refused()
    file.unlink()
    os.mkfifo(file)
    assert refused(), "a pipe would be waited for"
    file.unlink()
    file.mkdir()
    assert refused()
    file.rmdir()
    file.write_bytes(whole)
    file.parent.rename(tmp_path / "away")
    file.parent.symlink_to(secret)
    assert refused()
    small = painting_runner.root / thumbnail_path(image.sha256)
    small.unlink()
    small.symlink_to(secret / file.name)
    assert painting_runner.refusal("output", sha256=image.sha256, thumbnail=True)[0] == "not_found"


def test_the_output_folder_itself_may_be_a_link(painting_runner: PaintingRunner, tmp_path: Path) -> None:
    """A person may have moved it to a larger disk."""
    image = painting_runner.paint()
    painting_runner.root.rename(tmp_path / "larger")
    painting_runner.root.symlink_to(tmp_path / "larger")

    assert painting_runner.output(image.sha256).data == picture()


STRANGE = [
    "../../x",
    "/abs",
    "a\0b",
    "..",
    ".",
    "/" * 128,
    "a/b",
    "con\nnul",
    "%2E%2E",
    ".work",
    ".thumbnails",
    "🎨" * 25,
]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda text: f"{text[:8]!a}")
def test_whatever_the_ids_contain_a_result_is_served(painting_runner: PaintingRunner, strange: str) -> None:
    """Dots, slashes and NUL in ids lead nowhere else, and hinder nobody."""
    marks = [None, context(0, strange, variable=strange)]
    if len(strange.encode()) < 60:
        marks.append(context(experiment=strange))
    for number, mark in enumerate(marks):
        image = painting_runner.paint(f"{strange[:100]}{number}", mark)
        assert painting_runner.output(image.sha256).data == picture()
        assert painting_runner.ask("output.find", {"prefix": image.sha256}, OutputFindReply).outputs


def test_a_plug_in_that_names_files_of_others_does_not_have_them_served(
    painting_runner: PaintingRunner, tmp_path: Path
) -> None:
    """Only what lies in the output folder, under the name of its hash, is known by it."""
    (tmp_path / "secret").write_bytes(b"secret")
    digest = hashlib.sha256(b"secret").hexdigest()
    painting_runner.root.mkdir(parents=True)
    (tmp_path / f"{digest}.txt").write_bytes(b"secret")
    (painting_runner.root / f"{digest}.link").symlink_to(tmp_path / "secret")
    (painting_runner.root / "other.txt").write_bytes(b"secret")
    paths = ["../secret", f"../{digest}.txt", str(tmp_path / f"{digest}.txt"), f"x/../../{digest}.txt"]
    paths += [f"{digest}.link", "other.txt", f"\0/{digest}", f"{digest}", "", "🎨" * 300 + digest, f"./{digest}"]
    refs = [ImageRef(sha256=digest, path=path, width=1, height=1) for path in paths]
    refs.append(ImageRef(sha256="../x", path="../x", width=1, height=1))
    painting_runner.painter.named = tuple(refs)

    painting_runner.paint()

    assert painting_runner.refusal("output", sha256=digest)[0] == "not_found"


def test_readers_and_writers_at_once_see_whole_results(painting_runner: PaintingRunner) -> None:
    """While jobs write the same picture again and again, whoever reads it gets all of it."""
    painting_runner.painter.data = [picture((1000, 1000)) + os.urandom(3 * PART)]
    image = painting_runner.paint("job-0", context())
    done = threading.Event()
    broken: list[Exception] = []

    def read() -> None:
        while not done.is_set():
            try:
                list(fetch_output(painting_runner.address, image.sha256, None))
            except ControlError as error:
                broken.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 8):
            painting_runner.paint(f"job-{number}", context())
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert broken == []


def test_results_are_found_by_the_beginning_of_their_hash(painting_runner: PaintingRunner) -> None:
    """With what they are and who made them last, and without a path."""
    first, again = painting_runner.paint("job-1"), painting_runner.paint("exp-1.0.0.0", context())

    (found,) = painting_runner.ask("output.find", {"prefix": first.sha256[:8]}, OutputFindReply).outputs

    assert msgspec.to_builtins(found) == {
        "sha256": again.sha256,
        "media_type": "image/png",
        "size": len(picture()),
        "job_id": "exp-1.0.0.0",
        "experiment_id": "exp-1",
    }
    assert painting_runner.ask("output.find", {"prefix": "0" * 8}, OutputFindReply).outputs == []


@pytest.mark.parametrize("prefix", ["", "abcdefa", "ABCDEFAB", "abcdefg0", "%" * 8, "_" * 8, "0" * 65])
def test_a_prefix_that_is_too_short_or_no_hash_is_refused(painting_runner: PaintingRunner, prefix: str) -> None:
    """Its type says so."""
    code, text = painting_runner.refusal("output.find", prefix=prefix)

    assert (code, text.partition(":")[0]) == ("invalid_request", "prefix")


def test_at_most_ten_results_are_found(painting_runner: PaintingRunner) -> None:
    """A prefix of 8 digits is hardly ever that of two; the answer is bounded all the same."""
    values = "?1, 'p', 'j', NULL, 'm', 1, 1.0"
    row = f"INSERT INTO outputs VALUES ({values}, row_crc('outputs', {values}))"  # noqa: S608 - no input
    log = painting_runner.runner.log
    for number in range(12):
        painting_runner.runner.call(partial(log.query, row, (f"abcdefab{number:056}",)))

    found = painting_runner.ask("output.find", {"prefix": "abcdefab"}, OutputFindReply).outputs

    assert len(found) == 10
    assert [one.sha256 for one in found] == sorted(one.sha256 for one in found)


def test_the_index_is_written_with_the_end_of_the_job(painting_runner: PaintingRunner) -> None:
    """Where it cannot be written, the job has not ended and no message says so: the next start runs it again."""
    refuse = "CREATE TEMP TRIGGER no BEFORE INSERT ON ended_jobs BEGIN SELECT raise(ABORT, 'refused'); END"
    painting_runner.runner.call(lambda: painting_runner.runner.log.query(refuse))
    painting_runner.submit("job-1")

    painting_runner.runner.thread.join(PATIENCE * TIME_FACTOR)

    with pytest.raises(sqlite3.IntegrityError, match="refused"):
        painting_runner.runner.stop()
    log = Log(painting_runner.runner.log.path)
    try:
        assert log.query("SELECT state FROM jobs") == [("running",)]
        assert log.query("SELECT * FROM outputs") == []
        assert log.newest("job.completed.") == 0
    finally:
        log.close()


def test_jobs_that_make_nothing_are_no_trouble(painting_runner: PaintingRunner) -> None:
    """They have an end, and no results."""
    painting_runner.painter.data = []
    painting_runner.submit("job-1")

    wait_until(lambda: painting_runner.ask("job.list", {"state": "completed"}, JobListReply).jobs, what="the end")

    assert painting_runner.runner.call(lambda: painting_runner.runner.log.query("SELECT count(*) FROM outputs")) == [
        (0,)
    ]


@pytest.mark.fault(item="F67")
def test_a_damaged_file_is_refused_and_named(painting_runner: PaintingRunner, caplog: pytest.LogCaptureFixture) -> None:
    """What has not the content of its hash is never served under it; another file with that content is."""
    image = painting_runner.paint()
    path = painting_runner.root / image.path
    path.write_bytes(picture()[:-1] + b"x")

    with pytest.raises(ControlError, match="is damaged: its content does not match its hash") as caught:
        painting_runner.output(image.sha256)

    assert caught.value.code == "not_found"
    assert f"{image.path} is damaged" in caplog.text
    other = painting_runner.paint("job-2", mark=context(3, 6.5))
    assert other.sha256 == image.sha256
    assert painting_runner.output(image.sha256).data == picture()
    path.write_bytes(picture())
    (painting_runner.root / other.path).unlink()
    assert painting_runner.output(image.sha256).data == picture()


@pytest.mark.fault(item="F67")
def test_a_damaged_thumbnail_is_made_anew(painting_runner: PaintingRunner, caplog: pytest.LogCaptureFixture) -> None:
    """As well as one of an earlier version, which has no checksum; without the picture there is none."""
    image = painting_runner.paint()
    small = painting_runner.root / thumbnail_path(image.sha256)
    whole = small.read_bytes()
    served = painting_runner.output(image.sha256, thumbnail=True).data
    assert whole.startswith(served)
    with Image.open(small) as opened:
        assert opened.size == Image.open(io.BytesIO(served)).size

    for damaged in (whole[:60] + bytes([whole[60] ^ 1]) + whole[61:], served, whole[:-1], b"RIFF"):
        small.write_bytes(damaged)
        assert painting_runner.output(image.sha256, thumbnail=True).data == served
        assert small.read_bytes() == whole
    assert "is damaged, and made anew" in caplog.text

    small.write_bytes(served)
    (painting_runner.root / image.path).unlink()
    with pytest.raises(ControlError, match="has no thumbnail"):
        painting_runner.output(image.sha256, thumbnail=True)


def test_what_all_results_take(painting_runner: PaintingRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file counts once; two with one content are in the folders of two jobs."""
    monkeypatch.setattr("pipeline_runner.outputs.index.USAGE_AT_ONCE", 2)
    for number, data in enumerate((b"one", b"two!", b"three", b"one")):
        painting_runner.painter.data = [data]
        painting_runner.paint(f"job-{number}")

    found = request(painting_runner.address, "output.usage", {}, OutputUsageReply)

    assert (found.files, found.bytes) == (4, 15)
    assert 0 < found.disk_free < found.disk_total
