"""Key files: what keygen makes, and what is refused before anything is opened."""

import logging
import os
from pathlib import Path

import pytest
import zmq

from bus.protocol.validation import InvalidInputError
from bus.transport.keys import PEERS, PUBLIC, SECRET, Keys, curve_for
from tests.support.key_folders import enrol, write_peers

HOST = "10.0.0.5"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Make a folder of keys."""
    return Keys.generate(tmp_path / "keys")


def mode(path: Path) -> int:
    """Return the permission bits."""
    return path.stat().st_mode & 0o777


def test_new_keys_are_a_pair_that_nobody_else_can_read(keys: Keys) -> None:
    """The folder and the secret are the owner's alone; what was made can be loaded."""
    assert mode(keys.folder) == 0o700
    assert mode(keys.folder / SECRET) == 0o600
    assert zmq.curve_public(keys.secret.encode()).decode() == keys.public
    assert Keys.load(keys.folder).secret == keys.secret


def test_the_secret_is_not_shown(keys: Keys) -> None:
    """Neither keys nor what sockets are given can slip into a log or a traceback with it."""
    curve = keys.curve_for("tcp://127.0.0.1:1")

    assert keys.secret not in repr(keys) + repr(curve)


def test_keys_are_never_overwritten(keys: Keys) -> None:
    """Half a pair is a reason to stop, too."""
    (keys.folder / PUBLIC).unlink()

    with pytest.raises(InvalidInputError, match="has keys already; choose another folder"):
        Keys.generate(keys.folder)
    assert (keys.folder / SECRET).read_text().strip() == keys.secret


def test_a_folder_that_others_can_enter_gets_no_keys(tmp_path: Path) -> None:
    """Say so instead of changing what somebody has set."""
    tmp_path.chmod(0o755)

    with pytest.raises(InvalidInputError, match=r"others can read it \(mode 0755\); do `chmod"):
        Keys.generate(tmp_path)


@pytest.mark.parametrize(
    ("name", "bits", "what"),
    [
        (SECRET, 0o640, r"others can read it \(mode 0640\); do `chmod u=rwX,go= "),
        (SECRET, 0o604, "others can read it"),
        (PUBLIC, 0o664, r"others can change it \(mode 0664\); do `chmod go-w "),
        (PEERS, 0o602, "others can change it"),
        (".", 0o770, "others can change it"),
    ],
)
def test_files_that_are_open_to_others_are_refused(keys: Keys, name: str, bits: int, what: str) -> None:
    """Who can write to the list can enrol himself."""
    (keys.folder / name).chmod(bits)

    with pytest.raises(InvalidInputError, match=what):
        Keys.load(keys.folder)


def test_a_public_key_in_place_of_the_secret_is_noticed(keys: Keys) -> None:
    """It would do for libzmq, and fail without a word."""
    (keys.folder / SECRET).write_text(keys.public)

    with pytest.raises(InvalidInputError, match="it holds the public key"):
        Keys.load(keys.folder)


def test_two_keys_that_are_no_pair_are_noticed(keys: Keys, tmp_path: Path) -> None:
    """As after a copy of only one of the files."""
    other = Keys.generate(tmp_path / "other")
    (keys.folder / SECRET).write_text(other.secret)

    with pytest.raises(InvalidInputError, match=r"it does not belong to public\.key") as caught:
        Keys.load(keys.folder)
    assert other.secret not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x" * 39, b"\xff" * 40, b"x" * 2000, b"\0" * 40])
def test_a_file_without_a_key_is_refused(keys: Keys, content: bytes) -> None:
    """Empty, cut off, binary, far too large."""
    (keys.folder / SECRET).write_bytes(content)

    with pytest.raises(InvalidInputError, match=SECRET):
        Keys.load(keys.folder)


def test_what_is_missing_is_named_with_what_to_do(keys: Keys, tmp_path: Path) -> None:
    """The folder, or a file of it; a pipe is no file, and is not waited for."""
    with pytest.raises(InvalidInputError, match="is no folder; make one with `variantbus keygen"):
        Keys.load(tmp_path / "nowhere")
    (keys.folder / SECRET).unlink()
    with pytest.raises(InvalidInputError, match="is missing; make a pair"):
        Keys.load(keys.folder)
    os.mkfifo(keys.folder / SECRET, 0o600)
    with pytest.raises(InvalidInputError, match="is no such file"):
        Keys.load(keys.folder)


def test_the_list_is_what_the_file_says_now(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    """Lines come and go while a service runs; while the file makes no sense, the last good one counts."""
    stranger = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    assert keys.role_of(stranger) is None
    enrol(keys, "read", stranger)
    assert keys.role_of(stranger) == "read"
    write_peers(keys, "red laptop x")
    assert keys.role_of(stranger) == "read"
    assert keys.role_of(stranger) == "read"
    write_peers(keys, "")
    assert keys.role_of(stranger) is None
    enrol(keys, "command", stranger)
    (keys.folder / PEERS).unlink()
    assert keys.role_of(stranger) is None

    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    (error,) = errors
    assert error.startswith(f"{keys.folder / PEERS} line 1: is no key (1 characters)")
    assert error.endswith("; the list stays as it was")


def test_a_folders_own_key_may_command_unless_a_line_says_otherwise(keys: Keys) -> None:
    """The services and commands of one machine need no line."""
    assert keys.role_of(keys.public) == "command"
    enrol(keys, "read", keys.public)
    assert keys.role_of(keys.public) == "read"


def test_a_server_has_the_key_of_its_line_and_one_on_this_machine_ours(keys: Keys, tmp_path: Path) -> None:
    """An unknown host is an error before anything is sent: its key cannot be guessed."""
    there = Keys.generate(tmp_path / "there")
    write_peers(keys, f"server {HOST} {there.public}")

    assert keys.curve_for(f"tcp://{HOST}:5561").server == there.public.encode()
    assert [keys.curve_for(f"tcp://{host}:1").server for host in ("127.0.0.1", "localhost", "[::1]")] == [
        keys.public.encode()
    ] * 3
    assert curve_for(None, f"tcp://{HOST}:5561") is None
    with pytest.raises(InvalidInputError, match=r"has no key for 10\.0\.0\.6; add the line `server 10\.0\.0\.6 KEY`"):
        keys.curve_for("tcp://10.0.0.6:5561")
