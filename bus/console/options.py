"""The options that the commands of all processes share, and the config file behind them.

Needs the extra `cli` (click, platformdirs).
"""

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import platformdirs

from bus.cluster.access import Access, parse_access
from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.config.settings import NotifySettings, defaults_for, read_settings
from bus.console.process import user_errors
from bus.protocol.addresses import AddressError, Advertised, parse_address
from bus.protocol.validation import InvalidInputError
from bus.transport.keys import Keys

F = TypeVar("F", bound=Callable[..., Any])
_CONFIG: Final = "variantbus.config"  # where a click context keeps path and content of the config file
LOOPBACK: Final = "127.0.0.1"
IPV6: Final = 6
CONTROL_PORTS: Final = {"runner": 5561, "learning": 5571}
RUNNER_CONTROL, LEARNING_CONTROL = (f"tcp://{LOOPBACK}:{port}" for port in CONTROL_PORTS.values())


class AddressType(click.ParamType[str]):
    """A `tcp://HOST:PORT` address."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; only connecting shows whether it is reachable."""
        try:
            parse_address(value)
        except AddressError as error:
            self.fail(str(error), param, ctx)
        return value


class HostType(click.ParamType[str]):
    """A host to bind, in the form that addresses have: IPv6 in brackets."""

    name = "host"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; only binding shows whether it belongs to this machine."""
        plain = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        if plain == "localhost" or plain in (name for _, name in socket.if_nameindex()):
            return plain
        try:
            return f"[{plain}]" if ip_address(plain).version == IPV6 else plain
        except ValueError:
            self.fail(f"{value!r} is no IP address; write one of this machine, or 0.0.0.0 for all", param, ctx)


class FeedType(click.ParamType[tuple[str, str]]):
    """The address of a feed, alone or behind the control address of its publisher: `CONTROL=FEED`."""

    name = "feed"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the control address, "" if there is none, and the feed."""
        if isinstance(value, tuple):
            return value
        control, equals, feed = value.rpartition("=")
        try:
            for one in (control, feed) if equals else (feed,):
                parse_address(one)
        except AddressError as error:
            self.fail(str(error), param, ctx)
        return control, feed


class AdvertiseType(click.ParamType[Advertised]):
    """The addresses that a service tells its clients."""

    name = "feed[,control]"

    def convert(self, value: str | Advertised, param: click.Parameter | None, ctx: click.Context | None) -> Advertised:
        """Check the form; who can reach them only the clients know."""
        try:
            return value if isinstance(value, Advertised) else Advertised.parse(value)
        except AddressError as error:
            self.fail(str(error), param, ctx)


class KeysType(click.ParamType[Keys]):
    """A folder that `variantbus keygen` made."""

    name = "folder"

    def convert(self, value: str | Keys, param: click.Parameter | None, ctx: click.Context | None) -> Keys:
        """Read the keys."""
        try:
            return value if isinstance(value, Keys) else Keys.load(value)
        except InvalidInputError as error:
            self.fail(str(error), param, ctx)


class ClusterType(click.ParamType[Access]):
    """The servers of a cluster."""

    name = "nats://host,host"

    def convert(self, value: str | Access, param: click.Parameter | None, ctx: click.Context | None) -> Access:
        """Read the addresses, or the file that has them."""
        try:
            return value if isinstance(value, Access) else parse_access(value)
        except InvalidInputError as error:
            self.fail(str(error), param, ctx)


def cluster_option(command: F) -> F:
    """Add `--cluster`."""
    return _with_config(
        click.option(
            "--cluster",
            type=ClusterType(),
            envvar="VARIANTBUS_CLUSTER",
            show_envvar=True,
            help="Share the work with other machines over these servers of NATS JetStream: their addresses, or a TOML "
            "file with `servers`, `credentials` and `ca`.",
        )(command)
    )


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
    """Read the config file before all other options, whose defaults it sets."""
    usual = platformdirs.user_config_path("variantbus") / "variantbus.toml"
    if path is None and not usual.exists():
        return
    completing = ctx.resilient_parsing  # the shell asks for ids, and shows no error
    with suppress(InvalidInputError, OSError) if completing else user_errors():
        settings = read_settings(path or usual)
        ctx.default_map = defaults_for(ctx.command.name or "", settings)
        ctx.meta[_CONFIG] = (path or usual).absolute(), settings


def _with_config(command: F) -> F:
    """Add `--config`, once: every command with a setting also reads it from the config file."""
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
    """Return the bounds that the config file of the present command sets."""
    found = click.get_current_context().meta.get(_CONFIG)
    return found[1].limits if found else DEFAULT_LIMITS


def configured_notify() -> NotifySettings | None:
    """Return whom the config file of the present command wants to be told of every experiment."""
    found = click.get_current_context().meta.get(_CONFIG)
    return found[1].notify or None if found else None


def pass_on_config() -> None:
    """Pass the config file on to the processes that this command starts."""
    found = click.get_current_context().meta.get(_CONFIG)
    if found:
        os.environ["VARIANTBUS_CONFIG"] = str(found[0])


def usual_data_dir() -> Path:
    """Return the user's data folder, which commands take unless they are told another one."""
    return platformdirs.user_data_path("variantbus")


def data_dir_option(command: F) -> F:
    """Add `--data-dir`."""
    return _with_config(
        click.option(
            "--data-dir",
            type=click.Path(file_okay=False, path_type=Path),
            envvar="VARIANTBUS_DATA_DIR",
            default=usual_data_dir,
            show_default="the user's data folder",
            show_envvar=True,
            help="Folder of the databases and pictures.",
        )(command)
    )


def local_control(service: str) -> str:
    """Return where a service of this machine listens for requests: at the port that is set for it, or the usual one."""
    found = click.get_current_context().meta.get(_CONFIG)
    set_in_file = (found[1].runner if service == "runner" else found[1].learning).control_port if found else None
    set_here = os.environ.get(f"VARIANTBUS_{service.upper()}_CONTROL_PORT", "")
    port = int(set_here) if set_here.isascii() and set_here.isdigit() else set_in_file
    return f"tcp://{LOOPBACK}:{port or CONTROL_PORTS[service]}"


def named_runners() -> list[str]:
    """Return the runners that are named for the learning service besides that of this machine."""
    found = click.get_current_context().meta.get(_CONFIG)
    return os.environ.get("VARIANTBUS_RUNNERS", "").split() or list(found[1].learning.runners or () if found else ())


def _address_option(name: str, default: str, service: str) -> Callable[[F], F]:
    option = click.option(
        f"--{name}",
        type=AddressType(),
        envvar=f"VARIANTBUS_{name.upper()}",
        default=lambda: local_control(name),
        show_default=default,
        show_envvar=True,
        help=f"Control address of the {service}.",
    )
    return lambda command: _with_config(option(command))


runner_option = _address_option("runner", RUNNER_CONTROL, "runner")
learning_option = _address_option("learning", LEARNING_CONTROL, "learning service")


def feed_option(name: str, parameter: str, publisher: str, **settings: Any) -> Callable[[F], F]:
    """Add an option that names feeds; `named_feeds` makes of it what a subscriber takes."""
    return click.option(
        name,
        parameter,
        type=FeedType(),
        multiple=True,
        help=f"Address of the feed of {publisher}, where the one that it tells cannot be reached from here; "
        "of several, CONTROL=FEED, repeatable.",
        **settings,
    )


def named_feeds(given: Sequence[tuple[str, str]]) -> str | dict[str, str]:
    """Return the feeds that a user has named, as a subscriber takes them.

    Raises:
        InvalidInputError: there are several, and not each has its control address.
    """
    if any(not control for control, _ in given):
        if len(given) > 1:
            raise InvalidInputError("several feeds are named: write each as CONTROL=FEED")
        return given[0][1]
    return dict(given)


def service_options(name: str, feed_port: int) -> Callable[[F], F]:
    """Add the options of every service: data folder, host, ports, keys, durability, log level and format."""
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
            "--advertise",
            type=AdvertiseType(),
            envvar=f"{prefix}_ADVERTISE",
            show_envvar=True,
            help="Addresses that clients are told instead of the bound ones, behind NAT, Docker or a forwarded port.",
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
