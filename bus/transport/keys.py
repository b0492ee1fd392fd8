"""The keys of one machine: a folder with its CURVE key pair, and a file that lists its peers.

    secret.key   for its owner alone (mode 0600)
    public.key   for the other machines
    peers        a line a key: ROLE NAME KEY

Keys are written as Z85, 40 characters, as everywhere around ZeroMQ.
"""

import logging
import os
import re
import stat
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import zmq
from zmq.utils import z85

from bus.protocol.addresses import parse_address
from bus.protocol.control import Role
from bus.protocol.validation import InvalidInputError
from bus.transport.sockets import CurveClient

SECRET: Final = "secret.key"  # noqa: S105 - the name of a file
PUBLIC: Final = "public.key"
PEERS: Final = "peers"
SERVER: Final = "server"
ROLES: Final[dict[str, Role]] = {"read": "read", "command": "command"}
LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")
PEERS_LIMIT: Final = 1 << 20  # bytes
WORDS: Final = 3
_KEY: Final = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,255}", re.ASCII)
_FIRST_PEERS: Final = """\
# Who may connect to the services that use this folder, and which services we connect to: one line a key,
# read again whenever it changes. The key of this folder itself may always command.
#
#   read     NAME  KEY    may subscribe and look
#   command  NAME  KEY    may also submit and cancel
#   server   HOST  KEY    the service at HOST, as it stands in its address
"""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """Who may connect to us; the name is for the log."""

    role: Role
    name: str


@dataclass(frozen=True, slots=True)
class Peers:
    """The content of a `peers` file: clients by their key, keys of servers by their host."""

    clients: dict[str, Client]
    servers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Keys:
    """The key pair of a folder. `repr` hides the secret."""

    folder: Path
    public: str
    secret: str = field(repr=False)
    peers: "PeersFile" = field(repr=False)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a folder that `variantbus keygen` made.

        Raises:
            InvalidInputError: a file is missing, open to others, or no key; the text says what to do.
        """
        folder = Path(folder)
        check_curve()
        if not folder.is_dir():
            raise InvalidInputError(f"{folder}: is no folder; make one with `variantbus keygen {folder}`")
        _check_mode(folder, folder.stat().st_mode, stat.S_IWGRP | stat.S_IWOTH)
        secret_path, public_path = folder / SECRET, folder / PUBLIC
        secret = check_key(_read(secret_path, stat.S_IRWXG | stat.S_IRWXO), str(secret_path))
        public = check_key(_read(public_path, stat.S_IWGRP | stat.S_IWOTH), str(public_path))
        if zmq.curve_public(secret.encode()).decode() != public:
            other = "it holds the public key" if secret == public else f"it does not belong to {PUBLIC}"
            raise InvalidInputError(f"{secret_path}: {other}; restore it, or make a new pair with `variantbus keygen`")
        return cls(folder, public, secret, PeersFile(folder / PEERS))

    @classmethod
    def generate(cls, folder: Path) -> Self:
        """Create a new pair in a folder that only its owner can read.

        Raises:
            InvalidInputError: it has keys already, or is open to others.
        """
        check_curve()
        folder.mkdir(0o700, parents=True, exist_ok=True)
        _check_mode(folder, folder.stat().st_mode, stat.S_IRWXG | stat.S_IRWXO)
        for name in (SECRET, PUBLIC):
            if (folder / name).exists():
                raise InvalidInputError(f"{folder}: has keys already; choose another folder, or remove them")
        public, secret = (key.decode() for key in zmq.curve_keypair())
        _write_new(folder / SECRET, secret + "\n", 0o600)
        _write_new(folder / PUBLIC, public + "\n", 0o644)
        if not (folder / PEERS).exists():
            _write_new(folder / PEERS, _FIRST_PEERS, 0o600)
        return cls(folder, public, secret, PeersFile(folder / PEERS))

    def role_of(self, public: str) -> Role | None:
        """Return the present role of a client's key; None if it is not listed. Our own key may command."""
        client = self.peers.now().clients.get(public)
        if client:
            return client.role
        return "command" if public == self.public else None

    def curve_for(self, address: str) -> CurveClient:
        """Return the CURVE settings of a socket that connects to an address. A service on this machine has our own key.

        Raises:
            InvalidInputError: nothing says which key the service there has.
        """
        host = parse_address(address).host
        server = self.peers.now().servers.get(host)
        if server is None and host in LOOPBACK_HOSTS:
            server = self.public
        if server is None:
            what = f"has no key for {host}; add the line `{SERVER} {host} KEY` with the public key of that machine"
            raise InvalidInputError(f"{self.folder / PEERS}: {what}")
        return CurveClient(public=self.public.encode(), secret=self.secret.encode(), server=server.encode())


def curve_for(keys: Keys | None, address: str) -> CurveClient | None:
    """Return the CURVE settings of a socket that connects to an address: None without keys."""
    return keys.curve_for(address) if keys else None


class _UnreadableError(InvalidInputError):
    """A file of keys cannot be opened."""


class PeersFile:
    """The present content of a `peers` file: a removed line loses its effect at once."""

    def __init__(self, path: Path) -> None:
        """Read the file; where there is none, it is empty.

        Raises:
            InvalidInputError: a line makes no sense, or others may write to the file.
        """
        self._path = path
        self._seen = self._state()
        self._peers = self._read()

    def now(self) -> Peers:
        """Return the list; while the file is invalid, the last valid one."""
        state = self._state()
        if state != self._seen:
            try:
                self._peers = self._read()
            except _UnreadableError as error:  # perhaps only now: the next question reads again
                logger.error("%s; the list stays as it was", error)  # noqa: TRY400 - no bug of ours
                return self._peers
            except InvalidInputError as error:
                logger.error("%s; the list stays as it was", error)  # noqa: TRY400 - no bug of ours
            self._seen = state
        return self._peers

    def _read(self) -> Peers:
        try:
            text = _read(self._path, stat.S_IWGRP | stat.S_IWOTH, PEERS_LIMIT)
        except FileNotFoundError:
            text = ""
        return parse_peers(text, str(self._path))

    def _state(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def parse_peers(text: str, where: str = PEERS) -> Peers:
    """Read the lines `ROLE NAME KEY`; empty ones and those that begin with `#` are ignored.

    Raises:
        InvalidInputError: with the number of the line.
    """
    clients: dict[str, Client] = {}
    servers: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        here = f"{where} line {number}"
        if len(words) != WORDS:
            raise InvalidInputError(f"{here}: has {len(words)} words instead of three; write ROLE NAME KEY")
        role, name, key = words
        check_key(key, here)
        if not _NAME.fullmatch(name):
            raise InvalidInputError(f"{here}: the name must be of letters, digits and . _ - : [ ]")
        if role == SERVER:
            if name in servers:
                raise InvalidInputError(f"{here}: {name} has a line already; a host has one key")
            servers[name] = key
        elif role in ROLES:
            if key in clients:
                raise InvalidInputError(f"{here}: this key has a line already, as {clients[key].name}; keep one")
            clients[key] = Client(ROLES[role], name)
        else:
            raise InvalidInputError(f"{here}: there is no role {role[:20]!r}; write read, command or server")
    return Peers(clients, servers)


def check_key(text: str, where: str) -> str:
    """Check that a text is a key, and return it without white space around it; the text itself is never repeated.

    Raises:
        InvalidInputError: it is not 40 characters of Z85.
    """
    key = text.strip()
    if not _is_key(key):
        raise InvalidInputError(f"{where}: is no key ({len(key)} characters); a key is 40 characters, as in {PUBLIC}")
    return key


def _is_key(text: str) -> bool:
    if not _KEY.fullmatch(text):
        return False
    try:
        z85.decode(text)
    except struct.error:  # five characters stand for more than 32 bits
        return False
    return True


def check_curve() -> None:
    """Check that this libzmq can encrypt.

    Raises:
        InvalidInputError: it cannot.
    """
    if not zmq.has("curve"):
        raise InvalidInputError("keys: this libzmq was built without CURVE; install pyzmq from PyPI")


def _read(path: Path, forbidden: int, limit: int = 1000) -> str:
    """Return the content of a small file that others must not access; the opened file itself is checked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe would wait without end
    except FileNotFoundError:
        if path.name == PEERS:
            raise
        text = f"{path}: is missing; make a pair with `variantbus keygen {path.parent}`"
        raise InvalidInputError(text) from None
    except OSError as error:
        raise _UnreadableError(f"{path}: cannot be read ({error.strerror}); check its owner and mode") from None
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise InvalidInputError(f"{path}: is no such file as `variantbus keygen` makes; restore it")
        _check_mode(path, found.st_mode, forbidden)
        try:
            return file.read(limit).decode()
        except UnicodeDecodeError:
            raise InvalidInputError(f"{path}: is not UTF-8; restore it") from None


def _check_mode(path: Path, mode: int, forbidden: int) -> None:
    if mode & forbidden:
        right = "u=rwX,go=" if forbidden & stat.S_IROTH else "go-w"
        what = "read" if forbidden & stat.S_IROTH else "change"
        raise InvalidInputError(f"{path}: others can {what} it (mode {mode & 0o777:04o}); do `chmod {right} {path}`")


def _write_new(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(text)
