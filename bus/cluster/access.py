"""How the servers of a cluster are reached: what a person gives as `--cluster`."""

import tomllib
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct
from msgspec.structs import replace

from bus.protocol.validation import InvalidInputError, convert

SCHEMES: Final = ("nats", "tls")
PORT: Final = 4222
INBOX: Final = "_INBOX"
Url = Annotated[str, Meta(min_length=1, max_length=300)]


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    servers: Annotated[tuple[Url, ...], Meta(min_length=1)]
    credentials: str = ""
    ca: str = ""
    inbox: Annotated[str, Meta(pattern=r"^\w+$", max_length=100)] = INBOX


class Access(Struct, frozen=True, kw_only=True):
    """The servers, and what they want to see of a client.

    `credentials` is a file with a user's credentials or the seed of an nkey, `ca` a file with the certificates of those
    who have signed those of the servers, and `inbox` the beginning of the subjects on which it may hear answers.
    """

    servers: tuple[str, ...]
    credentials: Path | None = None
    ca: Path | None = None
    inbox: str = INBOX


def parse_access(text: str) -> Access:
    """Return what `nats://a,b,c` or the path of a file with such settings stands for.

    Raises:
        InvalidInputError: it is neither, or a file that it names cannot be read.
    """
    if not text or "://" in text:
        scheme, _, hosts = text.partition("://")
        return _checked(Access(servers=tuple(_with_scheme(scheme, host) for host in hosts.split(","))))
    return _read(Path(text))


def _read(path: Path) -> Access:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        text = f"cluster: {str(path)!r} cannot be read: {error.strerror}; give nats://HOST,HOST or a file of settings"
        raise InvalidInputError(text) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"cluster: {path} is no TOML file: {error}") from None
    try:
        settings = convert(found, _File)
    except InvalidInputError as error:
        raise InvalidInputError(f"cluster: {path}: {error}") from None
    files = {name: path.absolute().parent / one for name in ("credentials", "ca") if (one := getattr(settings, name))}
    for name, one in files.items():
        if not one.is_file():
            raise InvalidInputError(f"cluster: {path}: {name}: there is no file {one}")
    return _checked(Access(servers=settings.servers, inbox=settings.inbox, **files))


def _with_scheme(scheme: str, host: str) -> str:
    return host if "://" in host else f"{scheme}://{host}"


def _checked(access: Access) -> Access:
    """Return access with a port in each address."""
    return replace(access, servers=tuple(_whole(server) for server in access.servers))


def _whole(server: str) -> str:
    """Return the address of a server with its port."""
    try:
        parts = urlsplit(server)
        host, port = parts.hostname or "", PORT if parts.port is None else parts.port
    except ValueError:
        raise _no_address(server) from None
    if parts.username or parts.password:
        text = "cluster: an address has a user or a password, which others could read"
        raise InvalidInputError(f"{text}; put credentials into a file, and name it in a file of settings")
    if parts.scheme not in SCHEMES or not host or " " in host or not port or parts.path or parts.query:
        raise _no_address(server)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _no_address(server: str) -> InvalidInputError:
    return InvalidInputError(f"cluster: {server!r} is no address of a server; write nats://HOST:PORT")
