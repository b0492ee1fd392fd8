"""`variantbus up`: all services under one supervisor, which restarts a process that dies."""

import configparser
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from bus.console.options import data_dir_option, pass_on_config
from bus.console.process import check_exposure, user_errors
from bus.eventlog.files import LogFile
from bus.transport.sockets import BindError
from learning_service.__main__ import main as learning
from pipeline_runner.__main__ import main as runner
from variantbus.cli.processes import python_module
from variantbus.dashboard.__main__ import check_password
from variantbus.dashboard.__main__ import main as dashboard

# The same processes as in the Procfile.
PROGRAMS: Final = {
    "runner": ("pipeline_runner",),
    "learning": ("learning_service",),
    "dashboard": ("variantbus.dashboard",),
    "logger": ("bus", "tail", "variant.status"),
}
SETTLED_SECONDS: Final = 2  # a process that dies earlier is started again after 1, 2, 3 … seconds
STOP_SECONDS: Final = 6


@click.command()
@data_dir_option
def up(data_dir: Path) -> None:
    """Run the runner, the learning service, the dashboard and a logger until Ctrl-C; a process that dies is restarted.

    Ports and other settings come from the environment, as each process's --help says.
    """
    with user_errors():
        folder = data_dir.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["VARIANTBUS_DATA_DIR"] = str(folder)
        pass_on_config()
        check_first(folder)
        config = folder / "supervisord.conf"
        with config.open("w", encoding="utf-8") as file:
            supervisor_config(folder).write(file)
        click.echo(f"data and pictures in {folder}", err=True)
        sys.exit(_supervise(config))


def check_first(folder: Path) -> None:
    """Check for errors that no restart would cure: a wrong setting, a port in use, a second instance.

    Raises:
        UsageError, BindError, LogError: with what to do about it.
    """
    for name, command in (("runner", runner), ("learning", learning)):
        settings = command.make_context(name, []).params  # as the process itself will read them
        check_exposure(settings["host"], settings["keys"], insecure=settings["insecure"])
        LogFile(folder / f"{name}.db").close()
        for port in (settings["feed_port"], settings["control_port"]):
            _check_port(name, settings["host"], port)
    page = dashboard.make_context("dashboard", []).params
    check_password(page["host"], page["password_file"])
    _check_port("dashboard", page["host"], page["port"])


def _check_port(name: str, host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            text = f"cannot bind port {port} for the {name}: {error.strerror}; stop the other process"
            raise BindError(text) from None


def _supervise(config: Path) -> int:
    """Run the supervisor until it ends; any signal that ends us, also of a closed terminal, stops it cleanly."""
    arguments = python_module("supervisor.supervisord", "--configuration", str(config))
    process = subprocess.Popen(arguments, start_new_session=True)  # noqa: S603 - our own interpreter
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: process.terminate())
    return process.wait()


def supervisor_config(folder: Path) -> configparser.RawConfigParser:
    """Return the configuration of supervisord: all output goes to our own stdout and stderr, and nothing listens."""
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": "/dev/fd/2",
        "logfile_maxbytes": "0",
        "pidfile": _escaped(folder / "supervisord.pid"),
    }
    if os.geteuid() == 0:
        config["supervisord"]["user"] = "root"  # without it supervisord warns that it does not change its user
    for priority, (name, words) in enumerate(PROGRAMS.items(), 1):
        config[f"program:{name}"] = {
            "command": _escaped(shlex.join(python_module(*words))),
            "priority": str(priority),
            "autorestart": "true",
            "startsecs": str(SETTLED_SECONDS),
            "startretries": "1000000",
            "stopwaitsecs": str(STOP_SECONDS),
            "stdout_logfile": "/dev/fd/1",
            "stdout_logfile_maxbytes": "0",
            "stderr_logfile": "/dev/fd/2",
            "stderr_logfile_maxbytes": "0",
        }
    return config


def _escaped(text: object) -> str:
    """Return the text with its percent signs doubled, as supervisord expands them."""
    return str(text).replace("%", "%%")
