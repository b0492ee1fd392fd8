"""What programs write, however much: the runner's memory stays as it is, and there is a limit."""

import hashlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.outputs.looks import PICTURE_BYTES
from pipeline_runner.pipelines import Setup
from pipeline_runner.pipelines.command.pipeline import CommandPipeline
from tests.support.factories import Reports, context, record_of
from tests.support.odd_pictures import SIZE, plain

MIB = 1 << 20
SPARSE = "import os, sys; f = open(sys.argv[1] + '/' + sys.argv[2], 'ab'); f.truncate(int(sys.argv[3]))"


def run(root: Path, script: str, *arguments: object, most: int = 1 << 30) -> JobResult:
    """Run a program to its end; no working folder and no unfinished file is left behind."""
    pipeline = CommandPipeline(Setup(outputs=Outputs(root), output_bytes=most))
    config: Config = {"command": [sys.executable, "-c", script, *map(str, arguments)]}
    result = pipeline.run(record_of(config=config, mark=context()), Reports(), lambda: False)
    assert list((root / ".work").iterdir()) == []
    assert not [path for path in root.rglob(".*") if path.is_file()]
    return result


def growth_during(work: Callable[[], object]) -> int:
    """Return by how many bytes the memory of this process grows at most while something is done."""
    process, stop = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not stop.wait(0.002):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        stop.set()
        watcher.join()
    return most - before


@pytest.mark.fault(item="F64")
@pytest.mark.parametrize("name", ["film.bin", "huge.png"])
def test_a_large_file_is_not_read_into_memory(tmp_path: Path, name: str) -> None:
    """It is copied and hashed a part at a time; a picture of this size has no thumbnail."""
    size = 100 * MIB
    made: list[JobResult] = []

    growth = growth_during(lambda: made.append(run(tmp_path, SPARSE, "{output_dir}", name, size)))

    (image,) = made[0].images
    assert (tmp_path / image.path).stat().st_size == size
    digest = hashlib.sha256()
    for _ in range(100):
        digest.update(bytes(MIB))
    assert image.sha256 == digest.hexdigest()
    assert growth < 24 * MIB


def test_a_large_picture_has_the_size_of_its_header(tmp_path: Path) -> None:
    """Its first bytes are read."""
    start = tmp_path / "start.png"
    start.write_bytes(plain())
    script = "import shutil, sys; shutil.copy(sys.argv[4], sys.argv[1] + '/' + sys.argv[2]);" + SPARSE

    result = run(tmp_path / "outputs", script, "{output_dir}", "a.png", PICTURE_BYTES + 1, start)

    (image,) = result.images
    assert (image.width, image.height) == SIZE


@pytest.mark.fault(item="F64")
@pytest.mark.parametrize(
    "script",
    [
        SPARSE,
        "import sys; [open(f'{sys.argv[1]}/{number}', 'wb').write(bytes(1 << 20)) for number in range(5)]",
        "import sys; sys.stdout.write('x' * int(sys.argv[3]))",
        "import sys, time; sys.stderr.write('x' * int(sys.argv[3])); sys.stderr.flush(); time.sleep(60)",
    ],
    ids=["one file", "several files", "what it prints", "while it runs"],
)
def test_a_program_that_writes_too_much_has_failed(tmp_path: Path, script: str) -> None:
    """The sentence names the limit; one that goes on writing is ended."""
    result = run(tmp_path, script, "{output_dir}", "a.bin", 4 * MIB + 1, most=4 * MIB)

    assert result.error
    assert result.error.kind == "too_large"
    assert "more than 4194304 bytes" in result.error.message
    assert "output_bytes in [limits]" in result.error.message
