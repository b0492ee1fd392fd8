"""Asking a server over HTTP: one answer, or one `ServerFault` of the right kind, and no thread that stays."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines import ServerAddress, http_client
from pipeline_runner.pipelines.http_client import (
    AbandonedError,
    AnswerTooLarge,
    HttpClient,
    NoAnswer,
    Reply,
    ServerFault,
)
from tests.servers.webui import FakeWebui
from tests.servers.webui_site import API
from tests.support.helpers import PATIENCE, wait_until

Fake = Callable[..., FakeWebui]


def client_of(url: str, auth_file: Path | None = None) -> HttpClient:
    """Make a client."""
    return HttpClient(ServerAddress(url=url, auth_file=auth_file))


def kind_of(ask: Callable[[], object]) -> str:
    """Return the kind of the fault with which a request ends."""
    with pytest.raises(ServerFault) as fault:
        ask()
    return fault.value.kind


@contextmanager
def saying(*answers: bytes) -> Iterator[str]:
    """Yield the URL of a server that says these bytes, one a connection, whatever it is asked, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(PATIENCE)


@contextmanager
def dripping(head: bytes) -> Iterator[str]:
    """Yield the URL of a server that says these bytes, and then one after the other until the client has gone."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(head)
                while not gone.wait(0.02):
                    connection.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        gone.set()
        thread.join(PATIENCE)


def refused_url() -> str:
    """Return an address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_an_answer_is_unpacked_and_read(fake_webui: Fake) -> None:
    """Large ones come compressed."""
    server = fake_webui()
    server.options["long"] = "x" * 5000
    client = client_of(server.url + "/")
    reply = client.get(f"{API}/options")

    assert reply.ok
    assert reply.json()["long"] == "x" * 5000


def test_a_query_and_a_body_arrive_as_they_are(fake_webui: Fake) -> None:
    """The server sees what was asked."""
    server = fake_webui()
    client = client_of(server.url)
    client.get(f"{API}/progress", {"skip_current_image": "true"})
    client.post(f"{API}/interrupt", {"ä": [1, None]})

    assert [(one.path, one.query, one.body) for one in server.requests] == [
        (f"{API}/progress", {"skip_current_image": "true"}, None),
        (f"{API}/interrupt", {}, {"ä": [1, None]}),
    ]


def test_a_page_in_place_of_json_is_a_fault_of_the_server(fake_webui: Fake) -> None:
    """Its beginning is shown."""
    server = fake_webui()
    server.canned[f"{API}/options"] = (502, b"<html>Bad Gateway")
    client = client_of(server.url)
    with pytest.raises(ServerFault, match=r"502 .*Bad Gateway"):
        client.get(f"{API}/options").json()


@pytest.mark.parametrize("ask", ["get", "post", "long_post"])
def test_a_server_that_is_not_there_is_unreachable(no_leaks: None, ask: str) -> None:  # noqa: ARG001
    """For all ways of asking."""
    client = client_of(refused_url())
    ways: dict[str, Callable[[], object]] = {
        "get": lambda: client.get("/x"),
        "post": lambda: client.post("/x", {}),
        "long_post": lambda: client.long_post("/x", {}).reply(),
    }
    assert kind_of(ways[ask]) == "unreachable"


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"],
    ids=["hung up", "no HTTP", "cut"],
)
def test_a_connection_that_breaks_is_unreachable(no_leaks: None, answer: bytes) -> None:  # noqa: ARG001
    """A post is sent once only: nobody knows what became of it."""
    with saying(answer, answer) as url:
        client = client_of(url)
        assert kind_of(lambda: client.post("/x", {})) == "unreachable"
        assert kind_of(lambda: client.long_post("/x", {}).reply()) == "unreachable"


def test_an_answer_that_does_not_come_in_time_is_a_timeout(fake_webui: Fake) -> None:
    """The connection is there, so the server is not away."""
    server = fake_webui()
    server.hold()
    client = client_of(server.url)
    assert kind_of(lambda: client.post(f"{API}/txt2img", {}, seconds=0.05)) == "timeout"


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
def test_an_answer_that_drips_is_a_timeout(no_leaks: None, head: bytes) -> None:  # noqa: ARG001
    """The time is for the whole answer, its head included: one byte after the other could take forever."""
    with dripping(head) as url:
        client = client_of(url)
        assert kind_of(lambda: client.get("/x", seconds=0.3)) == "timeout"


def test_an_answer_of_endless_size_is_refused(fake_webui: Fake) -> None:
    """It would fill the memory, compressed to little or not."""
    server = fake_webui()
    server.options["long"] = "x" * 5_000_000
    client = client_of(server.url)
    assert client.get(f"{API}/options").ok
    assert kind_of(lambda: client.get(f"{API}/options", most=4096)) == "server_error"


def test_a_list_may_not_be_as_large_as_a_picture(fake_webui: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for names has no use for hundreds of MB."""
    server = fake_webui()
    monkeypatch.setattr(http_client, "PICTURE_BYTES", 10)
    client = client_of(server.url)
    assert kind_of(lambda: client.long_post(f"{API}/txt2img", {"steps": 2}).reply()) == "server_error"
    assert client.get(f"{API}/options").ok


def test_a_large_answer_goes_into_a_file(tmp_path: Path) -> None:
    """A refusal is no file; too many bytes, and a disk that takes none, are told apart."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"
    target = tmp_path / "file"
    with saying(ok, gone, ok, ok) as url:
        client = client_of(url)

        def fetch(path: Path, most: int) -> Reply:
            query = {"filename": "a b"}
            return client.get_file("/view", query, path, seconds=PATIENCE, most=most, cancelled=lambda: False)

        assert fetch(target, 5000) == Reply(200, b"")
        assert target.read_bytes() == b"x" * 5000
        assert fetch(tmp_path / "none", 5000) == Reply(404, b"gone")
        assert not (tmp_path / "none").exists()
        with pytest.raises(AnswerTooLarge):
            fetch(target, 4999)
        with pytest.raises(FileNotFoundError):
            fetch(tmp_path / "no" / "folder", 5000)


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_file_that_drips_is_given_up(tmp_path: Path, is_cancelled: bool) -> None:
    """At once where nobody wants it any more, else when its time is over."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with dripping(head) as url, pytest.raises(AbandonedError if is_cancelled else NoAnswer):
        client_of(url).get_file(
            "/x",
            {},
            tmp_path / "x",
            seconds=PATIENCE if is_cancelled else 0.3,
            most=1 << 20,
            cancelled=lambda: is_cancelled,
        )


def test_half_a_surrogate_becomes_a_question_mark(fake_webui: Fake) -> None:
    """A server lists a file so whose name is no text, and no message could hold it; whole characters stay."""
    server = fake_webui()
    server.canned[f"{API}/options"] = (200, rb'{"a\udcff": "\ud83d\ude00 \uDCFF"}')
    assert client_of(server.url).get(f"{API}/options").json() == {"a?": "\U0001f600 ?"}


def test_a_redirection_is_an_answer_and_not_followed(fake_webui: Fake) -> None:
    """A password would travel with it."""
    other = fake_webui()
    moved = f"HTTP/1.1 302 Found\r\nLocation: {other.url}{API}/options\r\nContent-Length: 0\r\n\r\n".encode()
    with saying(moved, moved) as url:
        client = client_of(url)
        assert client.get("/x").status == 302
        assert client.post("/x", {}).status == 302
    assert other.requests == []


def test_no_request_goes_over_a_kept_connection(fake_webui: Fake) -> None:
    """The server may close it at that very moment, and nobody would know whether it has read the request."""
    server = fake_webui()
    client = client_of(server.url)
    for _ in range(2):
        client.get(f"{API}/options")
        client.post(f"{API}/interrupt", {})
    assert server.connections == 4


def test_a_long_post_is_waited_for_in_pieces(fake_webui: Fake) -> None:
    """Whoever waits can do something else meanwhile."""
    server = fake_webui()
    server.hold()
    client = client_of(server.url)
    with client.long_post(f"{API}/txt2img", {"steps": 2}) as post:
        assert not post.wait(0.01)
        server.release()
        assert post.reply().status == 200
        assert post.done


def test_a_long_post_has_no_time_limit(fake_webui: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of connecting does not count for the answer."""
    monkeypatch.setattr(http_client, "CONNECT_SECONDS", 0.2)
    server = fake_webui()
    server.hold()
    client = client_of(server.url)
    with client.long_post(f"{API}/txt2img", {"steps": 2}) as post:
        assert not post.wait(0.5)
        server.release()
        assert post.reply().ok


def test_a_long_post_that_is_closed_leaves_no_thread(fake_webui: Fake) -> None:
    """Its connection is cut, whatever the server does."""
    server = fake_webui()
    server.hold()
    before = time.monotonic()
    client = client_of(server.url)
    with client.long_post(f"{API}/txt2img", {"steps": 2}) as post:
        wait_until(server.sent, what="the request")
    assert post.done
    assert kind_of(post.reply) == "unreachable"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("POST")]
    assert time.monotonic() - before < PATIENCE


def test_a_long_post_that_is_closed_at_once_leaves_no_thread(fake_webui: Fake) -> None:
    """Whether it is connected yet or not."""
    server = fake_webui()
    server.hold()
    client = client_of(server.url)
    for _ in range(20):
        client.long_post(f"{API}/txt2img", {}).close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("POST")]


def test_the_password_of_a_file_is_sent(fake_webui: Fake, tmp_path: Path) -> None:
    """With every request."""
    server = fake_webui(password="me:secret")  # noqa: S106 - of a test
    file = tmp_path / "auth"
    file.write_text("me:secret\n", encoding="utf-8")
    file.chmod(0o600)
    client = client_of(server.url, file)
    assert client.get(f"{API}/options").ok
    assert client.long_post(f"{API}/txt2img", {"steps": 2}).reply().ok
    client = client_of(server.url)
    assert client.get(f"{API}/options").status == 401


def test_a_password_may_have_any_character(fake_webui: Fake, tmp_path: Path) -> None:
    """It is sent as UTF-8, as servers and browsers do."""
    server = fake_webui(password="me:żółw-密")  # noqa: S106 - of a test
    file = tmp_path / "auth"
    file.write_text("me:żółw-密\n", encoding="utf-8")
    file.chmod(0o600)
    assert client_of(server.url, file).get(f"{API}/options").ok


@pytest.mark.parametrize("url", ["", "host:1", "ftp://host", "http://", "http://host:99999", "http://[::1", "//x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """With what to write."""
    with pytest.raises(InvalidInputError, match="write http://HOST:PORT"):
        client_of(url)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    """Others can read arguments and environments."""
    with pytest.raises(InvalidInputError) as refused:
        client_of("http://me:secret@host")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "no colon", "a:b\nc:d"])
def test_a_password_file_that_holds_something_else_is_refused(tmp_path: Path, text: str) -> None:
    """Its content is not shown."""
    file = tmp_path / "auth"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match="must hold one line user:password"):
        client_of("http://host", file)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        client_of("http://host", tmp_path / "none")
