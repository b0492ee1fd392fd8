"""What the commands of all processes share: options, exit codes, and the frame around a service.

Needs the extra `cli` (click, platformdirs); nothing else in `bus` does.
"""

import gc
import ipaddress
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click
import platformdirs

from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.config.settings import defaults_for, read_settings
from bus.eventlog.files import LogError
from bus.protocol.addresses import AddressError, parse_address
from bus.protocol.control import ControlError
from bus.protocol.topics import TopicError
from bus.protocol.validation import InvalidInputError
from bus.transport.keys import Keys
from bus.transport.loop import Loop
from bus.transport.sockets import BindError

# Messages form no cycles; a batch of some thousand objects must not be searched for them many times over.
GC_ALLOCATIONS: Final = 50_000
F = TypeVar("F", bound=Callable[..., Any])

EXIT_UNEXPECTED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_CONNECTION: Final = 3
EXIT_REFUSED: Final = 4  # by a service, or a job failed
EXIT_TIMEOUT: Final = 5
EXIT_SIGNAL: Final = 128  # plus the signal's number

_CONFIG: Final = "variantbus.config"  # where a click context keeps path and content of the config file
FEW_DESCRIPTORS: Final = 1024  # what systems allow at least unless they were told otherwise
LOOPBACK: Final = "127.0.0.1"
RUNNER_CONTROL: Final = f"tcp://{LOOPBACK}:5561"
LEARNING_CONTROL: Final = f"tcp://{LOOPBACK}:5571"


logger = logging.getLogger(__name__)


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


class HostType(click.ParamType[str]):
    """A host to bind, in the form that addresses have: IPv6 in brackets."""

    name = "host"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; whether it is ours only binding can tell."""
        host = f"[{value}]" if ":" in value and not value.startswith("[") else value
        try:
            return parse_address(f"tcp://{host}:0").host
        except AddressError:
            self.fail(f"{value!r} is no host; write an IP address of this machine, or 0.0.0.0 for all", param, ctx)


class KeysType(click.ParamType[Keys]):
    """A folder that `variantbus keygen` made."""

    name = "folder"

    def convert(self, value: str | Keys, param: click.Parameter | None, ctx: click.Context | None) -> Keys:
        """Read the keys."""
        try:
            return value if isinstance(value, Keys) else Keys.load(value)
        except InvalidInputError as error:
            self.fail(str(error), param, ctx)


def keys_option(command: F) -> F:
    """Add `--keys`."""
    return _with_config(
        click.option(
            "--keys",
            type=KeysType(),
            envvar="VARIANTBUS_KEYS",
            show_envvar=True,
            help="Folder of keys, made by keygen: with it, everything is encrypted and only listed keys come in.",
        )(command)
    )


def _load_config(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    """Read the config file before any other option, whose default it may give."""
    if ctx.resilient_parsing:
        return
    usual = platformdirs.user_config_path("variantbus") / "variantbus.toml"
    if path is None and not usual.exists():
        return
    with user_errors():
        settings = read_settings(path or usual)
    ctx.default_map = defaults_for(ctx.command.name or "", settings)
    ctx.meta[_CONFIG] = (path or usual).absolute(), settings


def _with_config(command: F) -> F:
    """Add `--config`, once: whatever takes a setting takes it from the config file too."""
    if any(one.name == "config" for one in getattr(command, "__click_params__", ())):
        return command
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="VARIANTBUS_CONFIG",
        show_default="variantbus.toml in the user's config folder, if it is there",
        show_envvar=True,
        is_eager=True,
        expose_value=False,
        callback=_load_config,
        help="TOML file with settings; flags and environment variables count before it.",
    )(command)


def configured_limits() -> Limits:
    """Give the bounds that the config file of the present command sets."""
    found = click.get_current_context().meta.get(_CONFIG)
    return found[1].limits if found else DEFAULT_LIMITS


def pass_on_config() -> None:
    """Have the processes that this command starts read the same config file."""
    found = click.get_current_context().meta.get(_CONFIG)
    if found:
        os.environ["VARIANTBUS_CONFIG"] = str(found[0])


def data_dir_option(command: F) -> F:
    """Add `--data-dir`."""
    return _with_config(
        click.option(
            "--data-dir",
            type=click.Path(file_okay=False, path_type=Path),
            envvar="VARIANTBUS_DATA_DIR",
            default=lambda: platformdirs.user_data_path("variantbus"),
            show_default="the user's data folder",
            show_envvar=True,
            help="Folder of the databases and pictures.",
        )(command)
    )


def _address_option(name: str, default: str, service: str) -> Callable[[F], F]:
    option = click.option(
        f"--{name}",
        type=AddressType(),
        envvar=f"VARIANTBUS_{name.upper()}",
        default=default,
        show_default=True,
        show_envvar=True,
        help=f"Control address of the {service}.",
    )
    return lambda command: _with_config(option(command))


runner_option = _address_option("runner", RUNNER_CONTROL, "runner")
learning_option = _address_option("learning", LEARNING_CONTROL, "learning service")


def service_options(name: str, feed_port: int) -> Callable[[F], F]:
    """Add what every service takes: data folder, host, ports, keys, durability, log level and format."""
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
            "--log-format",
            type=click.Choice(["text", "json"]),
            envvar="VARIANTBUS_LOG_FORMAT",
            default="text",
            show_default=True,
            show_envvar=True,
            help="How a line on stderr looks: for people, or one JSON object a line.",
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
                help=f"Port of the {kind} socket; 0 picks a free one.",
            )(command)
        command = click.option(
            "--insecure",
            is_flag=True,
            envvar="VARIANTBUS_INSECURE",
            show_envvar=True,
            help="Allow a --host that other machines reach without --keys: whoever reaches it may do everything.",
        )(keys_option(command))
        command = click.option(
            "--host",
            type=HostType(),
            envvar="VARIANTBUS_HOST",
            default=LOOPBACK,
            show_default=True,
            show_envvar=True,
            help="IP address to listen on; 0.0.0.0 is every one of this machine.",
        )(command)
        return data_dir_option(command)

    return decorate


def check_exposure(host: str, keys: Keys | None, *, insecure: bool) -> None:
    """Check that other machines reach a service only with keys, or because somebody said so.

    Raises:
        UsageError: they would without.
    """
    if keys is None and not insecure and not is_loopback(host):
        text = f"--host {host} lets other machines in: give --keys (see `variantbus keygen`), or --insecure if all may"
        raise click.UsageError(text)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a host; of a name we cannot be sure."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def announce(service: str, **addresses: object) -> None:
    """Print the one line that says that a process is ready, and where it listens."""
    parts = " ".join(f"{name}={address}" for name, address in addresses.items())
    try:
        click.echo(f"listening service={service} {parts}")  # which flushes
    except OSError:  # whoever read it has gone, or its disk is full: a service goes on all the same
        discard_stdout()


def discard_stdout() -> None:
    """Leave nothing that the interpreter would try to write at its end: nobody takes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def service_loop() -> Iterator[Loop]:
    """Make the loop of a service; SIGTERM and SIGINT end it in good order."""
    gc.freeze()  # what is there now stays
    gc.set_threshold(GC_ALLOCATIONS)
    loop = Loop()
    try:
        loop.handle_signals()
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed < FEW_DESCRIPTORS:
            logger.warning("only %d files may be open, of which each client takes two; raise `ulimit -n`", allowed)
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
        discard_stdout()
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


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong on stderr, and end."""
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
