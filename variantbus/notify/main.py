"""`variantbus notify`: the command."""

import logging
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from bus.console.options import configured_notify, data_dir_option, keys_option, learning_option
from bus.console.process import EXIT_REFUSED, EXIT_UNEXPECTED, fail, user_errors
from bus.contracts.topics import EXPERIMENT_STATUS
from bus.eventlog.files import take_lock
from bus.subscriber.delivery import Start
from bus.subscriber.sync import Subscriber
from bus.telemetry.logging import set_up_logging
from bus.transport.keys import Keys
from variantbus.notify.notifier import Notifier
from variantbus.notify.outbox import Outbox
from variantbus.notify.targets import LOCK, check_targets

LOOK_SECONDS: Final = 1.0
OUTBOX: Final = "notify.sqlite"  # not .db: these are the logs of services, which backup and verify take
logger = logging.getLogger(__name__)


@click.command("notify")
@data_dir_option
@learning_option
@keys_option
def main(*, data_dir: Path, learning: str, keys: Keys | None) -> None:
    """Tell you when an experiment has ended, a job has failed, or your stars are needed; part of `variantbus up`.

    Whom to tell stands in the table [notify] of the config file, for all experiments, or of an experiment's own file:
    urls = ["https://…", "ntfy://…"], and on = ["end", "failure", "stars"]; leave out what you do not want.
    """
    set_up_logging("notify", "info", "text")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under `nohup`
            signal.signal(number, lambda *_: sys.exit(0))
    with user_errors():
        for_all = configured_notify()
        if for_all:
            check_targets(for_all)
        folder = data_dir.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            take_lock(lock)  # which the end of the process gives back
        except BlockingIOError:
            fail(f"another `variantbus notify` runs for {folder}", EXIT_REFUSED)
        urls = len(for_all.urls) if for_all else 0
        logger.info("people are told of %s; %d addresses of the config file, and those of experiments", learning, urls)
        try:
            with closing(Outbox(folder / OUTBOX)) as outbox:
                _run(Notifier(folder, outbox, for_all, learning, keys), outbox, learning, keys)
        except sqlite3.Error as error:
            text = f"cannot be used ({error}); if it is damaged, remove it: what it has still to tell goes with it"
            fail(f"{folder / OUTBOX}: {text}", EXIT_UNEXPECTED)


def _run(notifier: Notifier, outbox: Outbox, learning: str, keys: Keys | None) -> None:
    """Read and send until a signal ends the process; what was not sent is sent at the next start."""
    with Subscriber(
        [learning], [EXPERIMENT_STATUS], start=Start.LATEST, positions=outbox.positions(), keys=keys
    ) as subscriber:
        was_sent = False
        while True:
            for event in subscriber.receive(0.0 if was_sent else LOOK_SECONDS):
                notifier.read(event)
            was_sent = notifier.send_due()
