"""Being told, where the other side behaves oddly, or the notifier's own files are damaged."""

import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from msgspec import Raw

from bus.console.process import EXIT_UNEXPECTED
from bus.subscriber.delivery import Delivery
from tests.support.helpers import REPLY_SECONDS, TIME_FACTOR
from variantbus.notify import sending
from variantbus.notify.news import KINDS, Message, Told
from variantbus.notify.outbox import Outbox
from variantbus.notify.sending import send

MESSAGE = Message(title="t", text="x", data={})


class Server:
    """Answers the first request with some bytes, and then says nothing more, but does not hang up."""

    def __init__(self, answer: bytes) -> None:
        """Listen."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/hook"
        self._answer = answer
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            client, _ = self._socket.accept()
        except OSError:
            return
        with client:
            client.recv(65536)
            client.sendall(self._answer)
            while client.recv(65536):
                pass

    def close(self) -> None:
        """Stop."""
        self._socket.close()
        self._thread.join()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n", "status 301"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "status 500"),
        (b"HTTP/1.1 200 OK\r\n\r\nand so on", ""),
    ],
)
def test_the_status_of_a_webhook_decides(monkeypatch: pytest.MonkeyPatch, answer: bytes, told: str) -> None:
    """A redirection has taken nothing; and of what took the message, no more is waited for, which may have no end."""
    monkeypatch.setattr(sending, "SECONDS", 5 * TIME_FACTOR)
    with closing(Server(answer)) as server:
        began = time.monotonic()
        found = send(server.url, MESSAGE)
        assert time.monotonic() - began < 4 * TIME_FACTOR
    assert found.endswith(told)
    assert bool(found) == bool(told)


def test_a_webhook_that_never_ends_its_answer_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte that it sends would begin the time limit of a socket anew."""
    monkeypatch.setattr(sending, "SECONDS", 1)
    monkeypatch.setattr(sending, "LONGEST_SECONDS", 0.2)
    with closing(Server(b"HTTP/1.1 200 OK\r\nX: ")) as server:
        assert send(server.url, MESSAGE) == "no whole answer within 0.2 s"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """Return an outbox with one message that waits."""
    with closing(Outbox(tmp_path / "notify.sqlite")) as made:
        at = Delivery("tcp://127.0.0.1:1", "experiment.status", 1, 7, "experiment.status.a", 0, Raw())
        made.note(at, "a", Told(kinds=("end",)), ("end",), ["target"], 0.0)
        yield made


def test_damaged_rows_cost_no_message(outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who was told may be told again; and of a message without its kinds, all that is true is told."""
    with closing(sqlite3.connect(tmp_path / "notify.sqlite")) as db, db:
        db.execute("UPDATE told SET told = x'c1'")
        db.execute("UPDATE waiting SET kinds = 7")

    assert outbox.told("a") is None
    waiting = outbox.due(1.0)

    assert waiting is not None
    assert (waiting.experiment_id, waiting.kinds, waiting.target) == ("a", KINDS, "target")
    assert "cannot be read" in caplog.text


def test_a_damaged_outbox_is_named(tmp_path: Path) -> None:
    """In one sentence that says what to do."""
    (tmp_path / "notify.sqlite").write_bytes(b"no database " * 1000)

    ended = subprocess.run(
        [sys.executable, "-m", "variantbus.notify", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=REPLY_SECONDS,
        check=False,
    )

    assert ended.returncode == EXIT_UNEXPECTED
    assert (
        f"{tmp_path / 'notify.sqlite'}: cannot be used (file is not a database); if it is damaged, remove it"
        in ended.stderr
    )
    assert "Traceback" not in ended.stderr
