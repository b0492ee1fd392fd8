"""`variantbus demo`: the whole chain once, on a fresh set of processes."""

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from bus.console.extras import missing_text
from bus.console.options import data_dir_option, keys_option, pass_on_config
from bus.console.printable import harmless
from bus.console.process import EXIT_SIGNAL, EXIT_UNEXPECTED, EXIT_USAGE, fail, user_errors
from bus.protocol.control import ControlError, InfoReply
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.follow import follow
from variantbus.cli.processes import Children, StartError
from variantbus.cli.run import end_with
from variantbus.cli.sheet import write_sheet
from variantbus.cli.view import summary_line
from variantbus.client.examples import demo_definition
from variantbus.client.experiments import ask_recommendation, shown
from variantbus.client.outputs import outputs_of
from variantbus.client.planning import create
from variantbus.client.records import export_of
from variantbus.reports.sheet import Sheet

SERVICES_NEED: Final = ("numpy", "psutil", "urllib3", "websockets")
ANY_PORT: Final = ("--feed-port", "0", "--control-port", "0")
WRITTEN_SECONDS: Final = 10.0  # for the logger to write what there is
LOOK_SECONDS: Final = 0.05


@click.command()
@click.option("--keep", is_flag=True, help="Start the dashboard too, and leave all running until Ctrl-C.")
@data_dir_option
@keys_option
def demo(*, keep: bool, data_dir: Path, keys: Keys | None) -> None:
    """Run the example experiment from start to end, and show where everything is.

    Starts a runner, a learning service and a logger on free ports, in the folder `demo` of the data folder, and stops
    them at the end.
    """
    for module in SERVICES_NEED if not keep else (*SERVICES_NEED, "uvicorn"):
        if find_spec(module) is None:
            fail(missing_text("all", module), EXIT_USAGE)
    folder = data_dir.absolute() / "demo"
    pass_on_config()
    ending = _Ending()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under `nohup`
            signal.signal(number, ending.begin)
    try:
        with user_errors(), Children(folder, ending.go_on) as children, _interrupts_explained(keep=keep):
            _run(children, folder, keys, keep=keep)
    except StartError as error:
        fail(str(error), EXIT_UNEXPECTED)


class _Ending:
    """The end by a signal, whose exception may be swallowed by what runs at that moment, and is raised again then."""

    status = 0

    def begin(self, received: int, _frame: object) -> None:
        """End the demo with the status of a signal."""
        self.status = EXIT_SIGNAL + received
        self.go_on()

    def go_on(self) -> None:
        """End the demo, if a signal has come."""
        if self.status:
            sys.exit(self.status)


@contextmanager
def _interrupts_explained(*, keep: bool) -> Iterator[None]:
    """Say what Ctrl-C has done: with the demo end its services, and with them the experiment, for now."""
    try:
        yield
    except KeyboardInterrupt:
        if not keep:
            click.echo(
                "stopped, with its services; the next `variantbus demo` runs the jobs that are left, too", err=True
            )
        raise


def _run(children: Children, folder: Path, keys: Keys | None, *, keep: bool) -> None:
    began = datetime.now(UTC).isoformat()
    locked = ("--keys", str(keys.folder)) if keys else ()
    options = ("--data-dir", str(folder), *ANY_PORT, *locked)
    runner = children.start("runner", "pipeline_runner", *options)["control"]
    learning = children.start("learning", "learning_service", *options, "--runner", runner)["control"]
    sources = ("--from", runner, "--from", learning)
    # since the beginning: the first events may come before the logger has started
    events = children.start_logger("events", "bus", "tail", "--json", "--since", began, *sources, *locked)
    page = ""
    if keep:
        own = ("--port", "0", "--runner", runner, "--learning", learning, *locked)
        page = children.start("dashboard", "variantbus.dashboard", *own)["http"]
        click.echo(f"dashboard      {page}")
    experiment_id = create(learning, demo_definition(), keys).experiment_id
    screen = follow(learning, runner, experiment_id, json_lines=False, keys=keys)
    view = shown(learning, experiment_id, keys)
    outputs = outputs_of(runner, keys)
    folder_of = next((image.path.partition("/")[0] for one in view.variants for image in one.images), experiment_id)
    pictures = outputs / folder_of  # of an earlier experiment, if it has made them already
    sheet = pictures / "contact-sheet.png"
    write_sheet(Sheet(export_of(learning, experiment_id, keys)), runner, sheet, keys)
    click.echo()
    for variant in view.variants:
        click.echo(summary_line(variant))
    click.echo(f"\n{harmless(answer(learning, experiment_id, keys))}")
    click.echo(f"\npictures       {pictures}")
    click.echo(f"contact sheet  {sheet}")
    wait_for_events(events, (runner, learning), keys)
    click.echo(f"all events     {events}")
    if keep:
        click.echo(f"dashboard      {page}/#/e/{experiment_id}/grid\n\nCtrl-C ends all processes.")
        threading.Event().wait()
    end_with(screen)


def wait_for_events(file: Path, services: tuple[str, ...], keys: Keys | None) -> None:
    """Wait until the logger has written all that the services have published by now."""
    heads = {one: request(one, "info", {}, InfoReply, keys=keys).head for one in services}
    deadline = time.monotonic() + WRITTEN_SECONDS
    while time.monotonic() < deadline:
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # without one that is being written
        written = {(one["source"], one["offset"]) for one in map(json.loads, lines)}
        if written.issuperset(heads.items()):
            return
        time.sleep(LOOK_SECONDS)


def answer(learning: str, experiment_id: str, keys: Keys | None) -> str:
    """Return the recommendation, or why there is none: the pictures are worth looking at without it."""
    try:
        return ask_recommendation(learning, experiment_id, keys).sentence
    except ControlError as error:
        return f"no recommendation: {error.message}"
