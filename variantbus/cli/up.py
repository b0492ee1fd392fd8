"""`variantbus up` and `variantbus down`: all services of a data folder, and their end."""

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import click
import psutil

from bus.console.options import (
    LEARNING_CONTROL,
    RUNNER_CONTROL,
    data_dir_option,
    named_runners,
    pass_on_config,
    usual_data_dir,
)
from bus.console.process import EXIT_REFUSED, check_exposure, fail, user_errors
from bus.eventlog.errors import LogError
from bus.eventlog.files import LogFile, holder, is_locked
from bus.eventlog.mounts import require_local
from learning_service.main import main as learning
from pipeline_runner.main import main as runner
from variantbus.cli.leftovers import UP_LOCK, end_all, lock_folder, started_in
from variantbus.cli.processes import python_module
from variantbus.cli.supervisor import Program, Supervisor
from variantbus.cli.wiring import Wiring, wire
from variantbus.dashboard.main import check_password
from variantbus.dashboard.main import main as dashboard

# The same processes as in the Procfile.
PROGRAMS: Final = {
    "runner": ("pipeline_runner",),
    "learning": ("learning_service",),
    "dashboard": ("variantbus.dashboard",),
    "notify": ("variantbus.notify",),
    "logger": ("bus", "tail", "variant.status"),
}
SERVICES: Final = ("runner", "learning")


@click.command()
@data_dir_option
def up(data_dir: Path) -> None:
    """Run runner, learning service, dashboard, notifier and a logger until Ctrl-C; a process that dies is restarted.

    All of them end with this command, in whichever way it ends. Ports and other settings come from the environment, as
    each process's --help says; the processes find each other wherever they listen.
    """
    with user_errors():
        folder = data_dir.absolute()
        require_local(folder / "runner.db")
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["VARIANTBUS_DATA_DIR"] = str(folder)
        pass_on_config()
        lock = claim(folder)
        wiring = check_first(folder)
        click.echo(f"data and pictures in {folder}", err=True)
        if words := variables(folder, wiring):
            click.echo(f"for commands in other terminals: export {words}", err=True)
        programs = [Program(name, python_module(*words, *wiring.arguments[name])) for name, words in PROGRAMS.items()]
        Supervisor(folder, programs).run()
        os.close(lock)


@click.command()
@data_dir_option
def down(data_dir: Path) -> None:
    """End the `variantbus up` of the data folder, or what one that was killed has left there, and nothing else."""
    with user_errors():
        folder = data_dir.absolute()
        ended = end_all(folder) if folder.is_dir() else []
        for lock in (folder / UP_LOCK, *(folder / f"{name}.lock" for name in SERVICES)):
            if is_locked(lock):
                text = f"{lock} is held by {holder(lock)}, which was not started by `variantbus up`, or not here"
                fail(f"{text}: end it where it was started", EXIT_REFUSED)
        numbers = ", ".join(str(number) for number in ended)
        text = f"ended process {numbers}" if ended else f"nothing of `variantbus up` runs in {folder}"
        click.echo(text, err=True)


def check_first(folder: Path) -> Wiring:
    """Check for errors that no restart would cure: a wrong setting, a port in use, a second instance.

    Raises:
        UsageError, BindError, LogError: with what to do about it.
    """
    settings = {}
    for name, command in (("runner", runner), ("learning", learning)):
        settings[name] = command.make_context(name, []).params  # as the process itself will read them
        check_exposure(settings[name]["host"], settings[name]["keys"], insecure=settings[name]["insecure"])
        LogFile(folder / f"{name}.db").close()
    page = dashboard.make_context("dashboard", []).params
    check_password(page["host"], page["password_file"])
    return wire(settings["runner"], settings["learning"], page, named_runners())


def claim(folder: Path, name: str = "variantbus up") -> int:
    """Make this process the supervisor of a folder, if need be after what is there was ended; `name` is its command.

    Raises:
        LogError: another one runs there, or has left processes.
    """
    descriptor = -1
    with suppress(BlockingIOError):
        descriptor = lock_folder(folder)
    if descriptor >= 0 and not (left := list(started_in(folder))):
        return descriptor
    if descriptor >= 0:
        os.close(descriptor)
        found = f"a `{name}` that was killed has left processes in {folder}: {_numbers(left)}"
    else:
        found = f"`{name}` runs in {folder} already, as {holder(folder / UP_LOCK)}"
    if not (sys.stdin and sys.stdin.isatty() and click.confirm(f"{found}. End that and go on?", err=True)):
        raise LogError(f"{found}; `variantbus down --data-dir {shlex.quote(str(folder))}` ends that")
    end_all(folder)
    return claim(folder, name)


def _numbers(processes: list[psutil.Process]) -> str:
    return ", ".join(str(process.pid) for process in processes)


def variables(folder: Path, wiring: Wiring) -> str:
    """Return what tells commands where services, data and keys are, if they are not where commands look anyway."""
    usual = {
        "VARIANTBUS_DATA_DIR": (str(folder), str(usual_data_dir())),
        "VARIANTBUS_RUNNER": (wiring.runner, RUNNER_CONTROL),
        "VARIANTBUS_LEARNING": (wiring.learning, LEARNING_CONTROL),
        "VARIANTBUS_KEYS": (str(wiring.keys.absolute()) if wiring.keys else "", ""),
    }
    return " ".join(f"{name}={shlex.quote(value)}" for name, (value, default) in usual.items() if value != default)
