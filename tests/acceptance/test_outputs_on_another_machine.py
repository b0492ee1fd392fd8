"""Results from a machine that has no access to the runner's folder, and making room there."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support.checker import check_picture, outputs_of
from tests.support.experiment_files import pictures, services
from tests.support.helpers import TIME_FACTOR
from tests.support.in_process import run_in_process
from tests.support.workspace import (
    COMMAND_SECONDS,
    ROOT,
    VARIANTBUS,
    Finished,
    ServiceProcess,
    Workspace,
    sentence_of,
    steady_ports,
    view_of,
)


@pytest.fixture
def other_machine(no_leaks: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:  # noqa: ARG001 - it looks after us
    """Yield a second machine: another folder, and nothing of the first one but the addresses of its services."""
    other = Workspace(tmp_path_factory.mktemp("other_machine"))
    yield other
    other.close()


def tell(workspace: Workspace, other: Workspace) -> None:
    """Set the addresses of the services on the other machine."""
    addresses = {key: value for key, value in workspace.environment.items() if key.startswith("VARIANTBUS_")}
    other.environment |= {
        key: addresses[key] for key in ("VARIANTBUS_RUNNER", "VARIANTBUS_LEARNING") if key in addresses
    }


def files_of(runner: ServiceProcess) -> list[str]:
    """Return the files of the runner's output folder."""
    outputs = outputs_of(runner)
    return sorted(str(path.relative_to(outputs)) for path in outputs.rglob("*") if path.is_file())


def run_experiment(workspace: Workspace, text: str = "") -> str:
    """Run an experiment with pictures to its end and return its id."""
    file = workspace.write("experiment.toml", text or pictures(values=3, jobs=2))
    return workspace.run("experiment", "run", file, "--follow").out.split()[0]


def run_job(workspace: Workspace) -> dict[str, str]:
    """Run a job of no experiment to its end and return its picture."""
    image: dict[str, str] = workspace.run("job", "submit", ROOT / "examples" / "job.toml", "--wait", "--json").json[
        "result"
    ]["images"][0]
    return image


def test_a_contact_sheet_is_drawn_on_another_machine(workspace: Workspace, other_machine: Workspace) -> None:
    """`experiment sheet` has the pictures from the runner, and needs no file of it."""
    services(workspace)
    experiment_id = run_experiment(workspace)
    tell(workspace, other_machine)

    written = other_machine.run("experiment", "sheet", experiment_id).out.strip()

    check_picture(other_machine.folder / written)
    with Image.open(other_machine.folder / written) as sheet:
        assert len(sheet.getcolors(sheet.width * sheet.height) or []) > 10, "the cells are empty"
    assert sorted(path.name for path in other_machine.folder.glob("*.png")) == [f"{experiment_id}.png"]


def test_a_contact_sheet_has_empty_cells_where_pictures_are_gone(
    workspace: Workspace, other_machine: Workspace
) -> None:
    """It is drawn all the same, and says so on stderr."""
    runner, learning = services(workspace)
    experiment_id = run_experiment(workspace)
    tell(workspace, other_machine)
    for variant in view_of(learning, experiment_id).variants:
        (outputs_of(runner) / variant.images[0].path).unlink()

    drawn = other_machine.run("experiment", "sheet", experiment_id)

    check_picture(other_machine.folder / drawn.out.strip())
    assert "pictures could not be read, empty cells stand for them" in drawn.err


def test_a_result_is_fetched_on_another_machine(workspace: Workspace, other_machine: Workspace) -> None:
    """`job output`: by the whole hash or its beginning, to a file or to stdout, whole or small."""
    workspace.runner()
    image = run_job(workspace)
    sha256 = image["sha256"]
    tell(workspace, other_machine)

    assert other_machine.run("job", "output", sha256, "-o", "whole.png").out == "whole.png\n"
    other_machine.run("job", "output", sha256[:8].upper(), "-o", "again.png")
    other_machine.run("job", "output", sha256, "--thumbnail", "-o", "small.png")
    piped = other_machine.command("job", "output", sha256[:12])
    assert piped.wait() == 0, piped.errors()

    for data in ((other_machine.folder / "whole.png").read_bytes(), piped.out.read_bytes()):
        assert hashlib.sha256(data).hexdigest() == sha256
    assert (other_machine.folder / "again.png").read_bytes() == (other_machine.folder / "whole.png").read_bytes()
    check_picture(other_machine.folder / "small.png")
    assert not list(other_machine.folder.glob(".*.png*")), "an unfinished file was left"


def test_a_result_that_is_damaged_at_the_runner_is_not_taken(workspace: Workspace, other_machine: Workspace) -> None:
    """The runner compares it with its hash and says so; nothing is left of it, and the status is 4."""
    runner = workspace.runner()
    image = run_job(workspace)
    tell(workspace, other_machine)
    path = outputs_of(runner) / image["path"]
    path.write_bytes(path.read_bytes()[:-1] + b"!")

    finished = other_machine.run("job", "output", image["sha256"], "-o", "picture.png", code=4)

    assert "its file is damaged: its content does not match its hash" in sentence_of(finished)
    assert not [path for path in other_machine.folder.iterdir() if "picture" in path.name]


BAD = {
    "too short": ("abcdef0", 2, "HASH: 'abcdef0' must be 8 to 64 hexadecimal digits of a SHA-256"),
    "too long": ("0" * 65, 2, f"HASH: '{'0' * 65}' must be 8 to 64 hexadecimal digits of a SHA-256"),
    "no digits": ("../../etc", 2, "HASH: '../../etc' must be 8 to 64 hexadecimal digits of a SHA-256"),
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


def test_a_bad_hash_is_one_sentence(workspace: Workspace) -> None:
    """With status 2 for what is no hash, 4 for one that is unknown, 2 for a file that cannot be, 3 without a runner."""
    runner = workspace.runner(ports=steady_ports())

    for word, code, sentence in BAD.values():
        assert sentence_of(run_in_process(workspace, "job", "output", word, code=code)) == sentence
    nowhere = run_in_process(workspace, "job", "output", "0" * 64, "-o", "no/where.png", code=2)
    assert sentence_of(nowhere) == "--output: no/where.png must be in a folder that exists"
    runner.kill()
    assert "no answer from" in sentence_of(workspace.run("job", "output", "0" * 64, code=3))


def test_a_thumbnail_that_is_not_there_is_one_sentence(workspace: Workspace) -> None:
    """A result that is no picture has none; the status is 4."""
    workspace.runner()
    text = 'pipeline = "command"\nstage = "run"\n[config]\ncommand = ["sh", "-c", "echo x > {output_dir}/x.png"]\n'
    ended = workspace.run("job", "submit", workspace.write("job.toml", text), "--wait", "--json").json
    sha256 = ended["result"]["images"][0]["sha256"]

    assert "has no thumbnail" in sentence_of(workspace.run("job", "output", sha256, "--thumbnail", code=4))
    assert workspace.run("job", "output", sha256).out == "x\n"


def test_a_terminal_is_not_filled_with_bytes(workspace: Workspace) -> None:
    """`job output` wants a file then, before anybody is asked."""
    primary, terminal = os.openpty()
    try:
        done = subprocess.run(
            [VARIANTBUS, "job", "output", "0" * 64],
            stdout=terminal,
            stderr=subprocess.PIPE,
            env=workspace.environment,
            timeout=COMMAND_SECONDS * TIME_FACTOR,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(primary)

    assert done.returncode == 2
    assert done.stderr == b"Error: --output: missing; name a file, as a terminal cannot show a result\n"


def gc(workspace: Workspace, *options: str, code: int = 0) -> Finished:
    """Run `job gc` on all that has ended."""
    return workspace.run("job", "gc", "--older-than", "0s", *options, code=code)


def test_gc_removes_what_no_experiment_refers_to(workspace: Workspace, other_machine: Workspace) -> None:
    """Jobs outside any experiment go, on another machine's word; experiments stay, and are served."""
    runner, learning = services(workspace)
    experiment_id = run_experiment(workspace)
    image = run_job(workspace)
    tell(workspace, other_machine)
    before = files_of(runner)

    shown = gc(other_machine, "--dry-run").out
    assert files_of(runner) == before
    gone = gc(other_machine).out
    again = gc(other_machine).out

    assert shown.splitlines()[1].split()[:3] == ["(none)", "1", "1"]
    assert shown.endswith("0 files (0.0 MB) that no job refers to\n")
    assert gone.startswith("removed 1 file (")
    assert gone.endswith("with 1 job, and 0 files (0.0 MB) of no job\n")
    assert again == "removed 0 files (0.0 MB) with 0 jobs, and 0 files (0.0 MB) of no job\n"
    assert not (outputs_of(runner) / image["path"]).parent.exists()
    assert "was not found" in workspace.run("job", "show", Path(image["path"]).parts[1], code=4).err
    for variant in view_of(learning, experiment_id).variants:
        for one in variant.images:
            other_machine.run("job", "output", one.sha256, "-o", "x.png")


def test_gc_keeps_what_is_new(workspace: Workspace) -> None:
    """Seven days unless said otherwise; and nothing is as old as an endless age."""
    runner = workspace.runner()
    workspace.learning(runner)
    image = run_job(workspace)

    for options in ((), ("--older-than", "1h30m"), ("--older-than", "9" * 30 + "w")):
        assert workspace.run("job", "gc", *options).out.startswith("removed 0 files")

    assert (outputs_of(runner) / image["path"]).exists()


def test_gc_asks_every_learning_service_that_it_is_told_of(workspace: Workspace) -> None:
    """An experiment that none of them knows goes; that of the second one stays if it is named."""
    runner, first = services(workspace)
    experiment_id = run_experiment(workspace)
    second = ServiceProcess(workspace, "learning_service", ("--runner", runner.control, "--data-dir", "second"), (0, 0))

    gc(workspace, "--learning", second.control, "--learning", first.control)
    assert len(list((outputs_of(runner) / experiment_id).rglob("*.png"))) == 6
    shown = gc(workspace, "--learning", second.control, "--dry-run").out
    gone = gc(workspace, "--learning", second.control).out

    assert shown.splitlines()[1].split()[:3] == [experiment_id, "6", "6"]
    assert gone.startswith("removed 6 files (")
    assert not (outputs_of(runner) / experiment_id).exists()


def test_gc_removes_nothing_while_a_learning_service_is_away(workspace: Workspace) -> None:
    """The status is 3, and the sentence says who does not answer."""
    runner = workspace.runner()
    learning = workspace.learning(runner, ports=steady_ports())
    image = run_job(workspace)
    learning.kill()

    assert learning.control in sentence_of(gc(workspace, code=3))

    assert (outputs_of(runner) / image["path"]).exists()


def test_a_bad_age_is_one_sentence(workspace: Workspace) -> None:
    """Before anybody is asked."""
    for word in ("soon", "7", "-1d"):
        sentence = sentence_of(run_in_process(workspace, "job", "gc", "--older-than", word, code=2))
        assert f"{word!r} is no duration; write for example 7d, 12h or 1h30m" in sentence
