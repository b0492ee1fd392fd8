"""Results from a machine that has no access to the runner's folder, and making room there."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.acceptance.checker import check_picture, outputs_of
from tests.acceptance.experiments import pictures, services
from tests.acceptance.harness import (
    COMMAND_SECONDS,
    ROOT,
    VARIANTBUS,
    Finished,
    House,
    ServiceProcess,
    steady_ports,
    view_of,
)
from tests.acceptance.in_process import run_in_process
from tests.acceptance.test_bad_input import sentence_of
from tests.support.helpers import TIME_FACTOR
from variantbus.reports.sheet import CELL, GAP, HEADING, SIDE, TITLE


@pytest.fixture
def elsewhere(no_leaks: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:  # noqa: ARG001 - it looks after us
    """Give a second machine: another folder, and nothing of the first one but the addresses of its services."""
    other = House(tmp_path_factory.mktemp("elsewhere"))
    yield other
    other.close()


def tell(house: House, other: House) -> None:
    """Tell the other machine where the services are."""
    addresses = {key: value for key, value in house.environment.items() if key.startswith("VARIANTBUS_")}
    other.environment |= {
        key: addresses[key] for key in ("VARIANTBUS_RUNNER", "VARIANTBUS_LEARNING") if key in addresses
    }


def files_of(runner: ServiceProcess) -> list[str]:
    """Give the files of the runner's output folder."""
    outputs = outputs_of(runner)
    return sorted(str(path.relative_to(outputs)) for path in outputs.rglob("*") if path.is_file())


def run_experiment(house: House, text: str = "") -> str:
    """Run an experiment with pictures to its end, and give its id."""
    file = house.write("experiment.toml", text or pictures(values=3, jobs=2))
    return house.run("experiment", "run", file, "--follow").err.split()[0]


def run_job(house: House) -> dict[str, str]:
    """Run a job of no experiment to its end, and give its picture."""
    image: dict[str, str] = house.run("job", "submit", ROOT / "examples" / "job.toml", "--wait", "--json").json[
        "result"
    ]["images"][0]
    return image


def test_a_contact_sheet_is_drawn_on_another_machine(house: House, elsewhere: House) -> None:
    """`experiment sheet` has the pictures from the runner, and needs no file of it."""
    services(house)
    experiment_id = run_experiment(house)
    tell(house, elsewhere)

    written = elsewhere.run("experiment", "sheet", experiment_id).out.strip()

    check_picture(elsewhere.folder / written, (SIDE + 3 * (CELL + GAP) + GAP, TITLE + HEADING + 2 * (CELL + GAP) + GAP))
    with Image.open(elsewhere.folder / written) as sheet:
        assert len(sheet.getcolors(sheet.width * sheet.height) or []) > 10, "the cells are empty"
    assert sorted(path.name for path in elsewhere.folder.glob("*.png")) == [f"{experiment_id}.png"]


def test_a_contact_sheet_has_empty_cells_where_pictures_are_gone(house: House, elsewhere: House) -> None:
    """It is drawn all the same."""
    runner, learning = services(house)
    experiment_id = run_experiment(house)
    tell(house, elsewhere)
    for variant in view_of(learning, experiment_id).variants:
        (outputs_of(runner) / variant.images[0].path).unlink()

    written = elsewhere.run("experiment", "sheet", experiment_id).out.strip()

    check_picture(elsewhere.folder / written)


def test_a_result_is_fetched_on_another_machine(house: House, elsewhere: House) -> None:
    """`job output`: by the whole hash or its beginning, to a file or to stdout, whole or small."""
    house.runner()
    image = run_job(house)
    sha256 = image["sha256"]
    tell(house, elsewhere)

    assert elsewhere.run("job", "output", sha256, "-o", "whole.png").out == "whole.png\n"
    elsewhere.run("job", "output", sha256[:8].upper(), "-o", "again.png")
    elsewhere.run("job", "output", sha256, "--thumbnail", "-o", "small.png")
    piped = elsewhere.command("job", "output", sha256[:12])
    assert piped.wait() == 0, piped.errors()

    for data in ((elsewhere.folder / "whole.png").read_bytes(), piped.out.read_bytes()):
        assert hashlib.sha256(data).hexdigest() == sha256
    assert (elsewhere.folder / "again.png").read_bytes() == (elsewhere.folder / "whole.png").read_bytes()
    check_picture(elsewhere.folder / "small.png")
    assert not list(elsewhere.folder.glob(".*.png*")), "an unfinished file was left"


def test_a_result_that_is_damaged_at_the_runner_is_not_taken(house: House, elsewhere: House) -> None:
    """What came is compared with the hash; nothing is left of it, and the status is 1."""
    runner = house.runner()
    image = run_job(house)
    tell(house, elsewhere)
    path = outputs_of(runner) / image["path"]
    path.write_bytes(path.read_bytes()[:-1] + b"!")

    finished = elsewhere.run("job", "output", image["sha256"], "-o", "picture.png", code=1)

    assert sentence_of(finished) == (
        f"{image['sha256']}: what came is not what its hash says; look at the runner's disk"
    )
    assert not [path for path in elsewhere.folder.iterdir() if "picture" in path.name]


BAD = {
    "too short": ("abcdef0", 2, "HASH: 'abcdef0' must be 8 to 64 digits of a SHA-256, 0-9 and a-f"),
    "too long": ("0" * 65, 2, f"HASH: '{'0' * 65}' must be 8 to 64 digits of a SHA-256, 0-9 and a-f"),
    "no digits": ("../../etc", 2, "HASH: '../../etc' must be 8 to 64 digits of a SHA-256, 0-9 and a-f"),
    "unknown": (
        "0" * 64,
        4,
        f"no job of this runner has made a result whose hash begins with {'0' * 64}; see `variantbus job list`",
    ),
    "an unknown beginning": (
        "00000000",
        4,
        "no job of this runner has made a result whose hash begins with 00000000; see `variantbus job list`",
    ),
}


def test_a_bad_hash_is_one_sentence(house: House) -> None:
    """With status 2 for what is no hash, 4 for one that is unknown, 2 for a file that cannot be, 3 without a runner."""
    runner = house.runner(ports=steady_ports())

    for word, code, sentence in BAD.values():
        assert sentence_of(run_in_process(house, "job", "output", word, code=code)) == sentence
    nowhere = run_in_process(house, "job", "output", "0" * 64, "-o", "no/where.png", code=2)
    assert sentence_of(nowhere) == "--output: no/where.png must be in a folder that exists"
    runner.kill()
    assert "no answer from" in sentence_of(house.run("job", "output", "0" * 64, code=3))


def test_a_thumbnail_that_is_not_there_is_one_sentence(house: House) -> None:
    """A result that is no picture has none; the status is 4."""
    house.runner()
    text = 'pipeline = "command"\nstage = "run"\n[config]\ncommand = ["sh", "-c", "echo x > {output_dir}/x.png"]\n'
    ended = house.run("job", "submit", house.write("job.toml", text), "--wait", "--json").json
    sha256 = ended["result"]["images"][0]["sha256"]

    assert "has no thumbnail" in sentence_of(house.run("job", "output", sha256, "--thumbnail", code=4))
    assert house.run("job", "output", sha256).out == "x\n"


def test_a_terminal_is_not_filled_with_bytes(house: House) -> None:
    """`job output` wants a file then, before anybody is asked."""
    primary, terminal = os.openpty()
    try:
        done = subprocess.run(
            [VARIANTBUS, "job", "output", "0" * 64],
            stdout=terminal,
            stderr=subprocess.PIPE,
            env=house.environment,
            timeout=COMMAND_SECONDS * TIME_FACTOR,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(primary)

    assert done.returncode == 2
    assert done.stderr == b"Error: --output: missing; name a file, as a terminal cannot show a result\n"


def gc(house: House, *options: str, code: int = 0) -> Finished:
    """Run `job gc` on all that has ended."""
    return house.run("job", "gc", "--older-than", "0s", *options, code=code)


def test_gc_removes_what_no_experiment_refers_to(house: House, elsewhere: House) -> None:
    """Jobs outside any experiment go, on another machine's word; experiments stay, and are served."""
    runner, learning = services(house)
    experiment_id = run_experiment(house)
    image = run_job(house)
    tell(house, elsewhere)
    before = files_of(runner)

    shown = gc(elsewhere, "--dry-run").out
    assert files_of(runner) == before
    gone = gc(elsewhere).out
    again = gc(elsewhere).out

    assert shown.splitlines()[1].split()[:3] == ["(none)", "1", "1"]
    assert shown.endswith("0 files (0.0 MB) that no job refers to\n")
    assert gone.startswith("removed 1 file (")
    assert gone.endswith("with 1 job, and 0 files (0.0 MB) of no job\n")
    assert again == "removed 0 files (0.0 MB) with 0 jobs, and 0 files (0.0 MB) of no job\n"
    assert not (outputs_of(runner) / image["path"]).parent.exists()
    assert "is unknown" in house.run("job", "show", Path(image["path"]).parts[1], code=4).err
    for variant in view_of(learning, experiment_id).variants:
        for one in variant.images:
            elsewhere.run("job", "output", one.sha256, "-o", "x.png")


def test_gc_keeps_what_is_new(house: House) -> None:
    """Seven days unless said otherwise; and nothing is as old as an endless age."""
    runner = house.runner()
    house.learning(runner)
    image = run_job(house)

    for options in ((), ("--older-than", "1h30m"), ("--older-than", "9" * 30 + "w")):
        assert house.run("job", "gc", *options).out.startswith("removed 0 files")

    assert (outputs_of(runner) / image["path"]).exists()


def test_gc_asks_every_learning_service_that_it_is_told_of(house: House) -> None:
    """An experiment that none of them knows goes; that of the second one stays if it is named."""
    runner, first = services(house)
    experiment_id = run_experiment(house)
    second = ServiceProcess(house, "learning_service", ("--runner", runner.control, "--data-dir", "second"), (0, 0))

    gc(house, "--learning", second.control, "--learning", first.control)
    assert len(list((outputs_of(runner) / experiment_id).rglob("*.png"))) == 6
    shown = gc(house, "--learning", second.control, "--dry-run").out
    gone = gc(house, "--learning", second.control).out

    assert shown.splitlines()[1].split()[:3] == [experiment_id, "6", "6"]
    assert gone.startswith("removed 6 files (")
    assert not (outputs_of(runner) / experiment_id).exists()


def test_gc_removes_nothing_while_a_learning_service_is_away(house: House) -> None:
    """The status is 3, and the sentence says who does not answer."""
    runner = house.runner()
    learning = house.learning(runner, ports=steady_ports())
    image = run_job(house)
    learning.kill()

    assert learning.control in sentence_of(gc(house, code=3))

    assert (outputs_of(runner) / image["path"]).exists()


def test_a_bad_age_is_one_sentence(house: House) -> None:
    """Before anybody is asked."""
    for word in ("soon", "7", "-1d"):
        sentence = sentence_of(run_in_process(house, "job", "gc", "--older-than", word, code=2))
        assert f"{word!r} is no duration; write for example 7d, 12h or 1h30m" in sentence
