"""What the commands of all processes share: options, exit codes, and the frame around a service.

Needs the extra `cli` (click, platformdirs); nothing else in `bus` does.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import platformdirs

from bus.logfile import LogError
from bus.loop import Loop
from bus.sockets import Address, AddressError, BindError, parse_address
from bus.topics import TopicError
from bus.validate import InvalidInputError
from bus.wire import ControlError

F = TypeVar("F", bound=Callable[..., Any])

EXIT_UNEXPECTED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_CONNECTION: Final = 3
EXIT_REFUSED: Final = 4  # by a service, or a job failed
EXIT_TIMEOUT: Final = 5
EXIT_SIGNAL: Final = 128  # plus the signal's number

LOOPBACK: Final = "127.0.0.1"
RUNNER_CONTROL: Final = f"tcp://{LOOPBACK}:5561"
LEARNING_CONTROL: Final = f"tcp://{LOOPBACK}:5571"


class AddressType(click.ParamType[str]):
    """A `tcp://HOST:PORT` address."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; the rest only connecting can tell."""
        try:
            parse_address(value)
        except AddressError as error:
            self.fail(str(error), param, ctx)
        return value


def data_dir_option(command: F) -> F:
    """Add `--data-dir`."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="VARIANTBUS_DATA_DIR",
        default=lambda: platformdirs.user_data_path("variantbus"),
        show_default="the user's data folder",
        show_envvar=True,
        help="Folder of the databases and pictures.",
    )(command)


def _address_option(name: str, default: str, service: str) -> Callable[[F], F]:
    return click.option(
        f"--{name}",
        type=AddressType(),
        envvar=f"VARIANTBUS_{name.upper()}",
        default=default,
        show_default=True,
        show_envvar=True,
        help=f"Control address of the {service}.",
    )


runner_option = _address_option("runner", RUNNER_CONTROL, "runner")
learning_option = _address_option("learning", LEARNING_CONTROL, "learning service")


def service_options(name: str, feed_port: int) -> Callable[[F], F]:
    """Add what every service takes: ports, data folder, durability, log level."""
    port = click.IntRange(0, 65_535)
    prefix = f"VARIANTBUS_{name.upper()}"

    def decorate(command: F) -> F:
        command = click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            envvar="VARIANTBUS_LOG_LEVEL",
            default="info",
            show_default=True,
            show_envvar=True,
            help="What is written to stderr.",
        )(command)
        command = click.option(
            "--durability",
            type=click.Choice(["normal", "full"]),
            envvar="VARIANTBUS_DURABILITY",
            default="normal",
            show_default=True,
            show_envvar=True,
            help="What a commit survives: normal, the death of the process; full, a power cut too (slower). "
            "What a person typed is always written as with full.",
        )(command)
        for kind, number in (("control", feed_port + 1), ("feed", feed_port)):
            command = click.option(
                f"--{kind}-port",
                type=port,
                envvar=f"{prefix}_{kind.upper()}_PORT",
                default=number,
                show_default=True,
                show_envvar=True,
                help=f"Port of the {kind} socket on {LOOPBACK}; 0 picks a free one.",
            )(command)
        return data_dir_option(command)

    return decorate


def loopback(port: int) -> Address:
    """Give the address of a port on this machine."""
    return Address(LOOPBACK, port)


def announce(service: str, **addresses: object) -> None:
    """Print the one line that says that a process is ready, and where it listens."""
    parts = " ".join(f"{name}={address}" for name, address in addresses.items())
    click.echo(f"listening service={service} {parts}")
    sys.stdout.flush()


def set_up_logging(service: str, level: str) -> None:
    """Write log lines to stderr, one line an event."""
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format=f"%(asctime)s {service} %(levelname)s %(message)s",
        force=True,
    )


@contextmanager
def service_loop() -> Iterator[Loop]:
    """Make the loop of a service; SIGTERM and SIGINT end it in good order."""
    loop = Loop()
    try:
        loop.handle_signals()
        yield loop
    finally:
        loop.close()


@contextmanager
def user_errors() -> Iterator[None]:
    """End the process with one sentence and the right exit status for whatever a user can cause."""
    try:
        yield
    except (InvalidInputError, AddressError, TopicError) as error:
        fail(str(error), EXIT_USAGE)
    except UnicodeEncodeError as error:  # what a command line held that is no text
        fail(f"{error.object!a}: is not UTF-8", EXIT_USAGE)
    except BindError as error:
        fail(str(error), EXIT_USAGE)
    except LogError as error:
        fail(str(error), EXIT_REFUSED)
    except ControlError as error:
        fail(error.message, exit_code_of(error))
    except KeyboardInterrupt:
        sys.exit(EXIT_SIGNAL + signal.SIGINT)
    except BrokenPipeError:
        # whoever read our output is gone; leave nothing for the interpreter to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_SIGNAL + signal.SIGPIPE)
    except OSError as error:
        fail(f"{error.filename or 'file'}: {error.strerror}", EXIT_REFUSED)


def exit_code_of(error: ControlError) -> int:
    """Give the exit status that an error reply stands for."""
    match error.code:
        case "invalid_request":
            return EXIT_USAGE
        case "unavailable":
            return EXIT_NO_CONNECTION
        case "internal":
            return EXIT_UNEXPECTED
        case _:
            return EXIT_REFUSED


def fail(message: str, code: int) -> None:
    """Say what is wrong on stderr, and end."""
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
