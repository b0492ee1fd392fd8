"""The command of the web page."""

import errno
import os
import secrets
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click
import uvicorn

from bus.cluster.access import Access
from bus.console.extras import needing
from bus.console.options import HostType, cluster_option, keys_option, learning_option, runner_option
from bus.console.process import announce, is_loopback, user_errors
from bus.protocol.validation import InvalidInputError
from bus.telemetry.logging import LogFormat, set_up_logging
from bus.transport.keys import Keys
from bus.transport.sockets import BindError
from variantbus.dashboard.app import make_app
from variantbus.dashboard.connection import Connection
from variantbus.dashboard.feed import Feed
from variantbus.dashboard.guard import Guard
from variantbus.dashboard.services import Services

if TYPE_CHECKING:  # what is imported with it is there only with an extra
    from variantbus.dashboard.cluster import Seen

PASSWORD_CHARACTERS: Final = 8
STOP_SECONDS: Final = 2  # for open pages, which reconnect automatically


class PageServer(uvicorn.Server):
    """A server that ends the streams of events when it stops, as they would not end by themselves."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        """Keep the feed, whose streams are to end."""
        super().__init__(config)
        self._feed = feed

    def end_with_signals(self) -> None:
        """End in good order also before and after `run`, which only then handles SIGTERM and SIGINT, and for SIGHUP."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as under `nohup`
                signal.signal(number, self._signalled)

    def _signalled(self, *_: object) -> None:
        self.should_exit = True  # uvicorn raises a signal once more after a clean stop, when this changes nothing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then the server."""
        self._feed.end()
        await super().shutdown(sockets)


@click.command("dashboard")
@click.option(
    "--host",
    type=HostType(),
    envvar="VARIANTBUS_DASHBOARD_HOST",
    default="127.0.0.1",
    show_default=True,
    show_envvar=True,
    help="IP address to listen on; on another one than 127.0.0.1 it needs --password-file.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    envvar="VARIANTBUS_DASHBOARD_PORT",
    default=5580,
    show_default=True,
    show_envvar=True,
    help="Port of the page; 0 picks a free one.",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="VARIANTBUS_DASHBOARD_PASSWORD_FILE",
    show_envvar=True,
    help="File whose first line is the password that the page asks for.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    envvar="VARIANTBUS_LOG_LEVEL",
    default="info",
    show_default=True,
    show_envvar=True,
    help="What is written to stderr.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    envvar="VARIANTBUS_LOG_FORMAT",
    default="text",
    show_default=True,
    show_envvar=True,
    help="How a line on stderr looks: for people, or one JSON object a line.",
)
@runner_option
@learning_option
@keys_option
@cluster_option
def main(  # noqa: PLR0913 - one parameter an option
    *,
    host: str,
    port: int,
    password_file: Path | None,
    log_level: str,
    log_format: LogFormat,
    runner: str,
    learning: str,
    keys: Keys | None,
    cluster: Access | None,
) -> None:
    """Serve the web page: watch experiments live, rate their pictures, and see the recommendation."""
    set_up_logging("dashboard", log_level, log_format)
    with user_errors():
        password = check_password(host, password_file)
        see_cluster = eyes_for(cluster)
        listener = listen(host, port)
        bound = listener.getsockname()[1]
        token = secrets.token_urlsafe(32)
        services = Services(runner, learning, keys)
        feed = Feed(services, keys)
        app = make_app(services, feed, token, see_cluster)
        hosts = names_of(bound) if is_loopback(host) else []
        guarded = Guard(app, hosts=hosts, token=token, password=password)
        config = uvicorn.Config(
            guarded,
            http=Connection,
            ws="none",
            log_config=None,
            log_level="warning",  # its four lines about starting and ending are no news beside ours
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="on",
            h11_max_incomplete_event_size=16 << 10,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        server = PageServer(config, feed)
        server.end_with_signals()
        shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
        announce("dashboard", http=f"http://{shown}:{bound}")
        server.run(sockets=[listener])
        leave()


def eyes_for(cluster: Access | None) -> "Callable[[], Seen | None]":
    """Return what tells how the cluster is, if one is named.

    Raises:
        ClusterRefusedError: credentials or certificates cannot be read.
    """
    if cluster is None:
        return lambda: None
    with needing("cluster"):
        from variantbus.dashboard.cluster import ClusterEyes  # noqa: PLC0415 - see above
    return ClusterEyes(cluster).see


def leave() -> NoReturn:
    """End at once: a thread that still asks a service, for up to a minute, has nobody left to answer."""
    os._exit(0)


def check_password(host: str, path: Path | None) -> str | None:
    """Return the password, which the loopback address does not need.

    Raises:
        UsageError: other machines could connect without one.
        InvalidInputError: it is too short.
    """
    if path is None:
        if not is_loopback(host):
            raise click.UsageError(f"--host {host} lets other machines in: give --password-file")
        return None
    password = path.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    if len(password) < PASSWORD_CHARACTERS:
        raise InvalidInputError(f"--password-file: the first line has fewer than {PASSWORD_CHARACTERS} characters")
    return password


def listen(host: str, port: int) -> socket.socket:
    """Bind the port.

    Raises:
        BindError: it is taken.
    """
    plain = host.strip("[]")
    family = socket.AF_INET6 if ":" in plain else socket.AF_INET
    try:
        return socket.create_server((plain, port), family=family, backlog=256)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise BindError(f"--host: this machine has no address {host}; choose one that it has") from None
        text = f"cannot bind port {port} for the dashboard: {error.strerror}; choose another one"
        raise BindError(text, port) from None


def names_of(port: int) -> list[str]:
    """Return the host names under which a browser on this machine may call us."""
    return [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
