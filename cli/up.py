"""`variantbus up`: all services under one supervisor, which starts a process again that dies."""

import configparser
import os
import sys
from pathlib import Path
from typing import Final

import click

from bus.command import data_dir_option, user_errors

# The same processes as in the Procfile.
PROGRAMS: Final = {
    "runner": ("pipeline_runner",),
    "learning": ("learning_service",),
    "logger": ("bus", "tail", "variant.status"),
}
SETTLED_SECONDS: Final = 2  # a process that dies earlier is started again after 1, 2, 3 … seconds
STOP_SECONDS: Final = 6


@click.command()
@data_dir_option
def up(data_dir: Path) -> None:
    """Run the runner, the learning service and a logger until Ctrl-C; what dies is started again.

    Ports and other settings come from the environment, as each process's --help says.
    """
    with user_errors():
        folder = data_dir.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "supervisord.conf"
        with config.open("w", encoding="utf-8") as file:
            supervisor_config(folder).write(file)
        os.environ["VARIANTBUS_DATA_DIR"] = str(folder)
        sys.stdout.flush()
        arguments = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(config)]
        os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter; signals reach the supervisor itself


def supervisor_config(folder: Path) -> configparser.RawConfigParser:
    """Write what supervisord needs: everything goes to our own stdout and stderr, nothing listens."""
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": "/dev/null",
        "logfile_maxbytes": "0",
        "pidfile": _escaped(folder / "supervisord.pid"),
    }
    for priority, (name, module) in enumerate(PROGRAMS.items(), 1):
        config[f"program:{name}"] = {
            "command": _escaped(f'"{sys.executable}" -m {" ".join(module)}'),
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
    """Double the percent signs, which supervisord expands."""
    return str(text).replace("%", "%%")
