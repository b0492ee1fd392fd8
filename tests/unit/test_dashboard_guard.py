"""Who may ask what: every refusal comes before anything is done, and echoes nothing."""

import asyncio
import base64
import json
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from variantbus.dashboard.guard import BODY_LIMIT, FILES, Guard

HOST = "127.0.0.1:5580"
TOKEN = "the token"  # noqa: S105 - of a test
PAGE = {"host": HOST}
CHANGE = {
    **PAGE,
    "origin": f"http://{HOST}",
    "x-token": TOKEN,
    "content-type": "application/json",
    "content-length": "2",
}


class Asked:
    """The application behind the guard: it remembers that it was asked, and how much it was given."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.methods: list[str] = []
        self.received = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body and answer."""
        self.methods.append(scope["method"])
        while (message := await receive())["type"] == "http.request":
            self.received += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await PlainTextResponse("ok")(scope, receive, send)


def ask(
    method: str,
    headers: dict[str, str] | list[tuple[str, str]],
    *,
    password: str | None = None,
    body: bytes = b"{}",
    path: str = "/<script>",
) -> tuple[int, dict[str, str], str, Asked]:
    """Send a request; give status, headers, body, and the application."""
    asked = Asked()
    guard = Guard(asked, hosts=[] if password else [HOST, "localhost:5580"], token=TOKEN, password=password)
    listed = headers.items() if isinstance(headers, dict) else headers
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in listed],
    }
    sent: list[Message] = []
    parts = [body[at : at + 65536] for at in range(0, len(body), 65536)] or [b""]

    async def receive() -> Message:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(one.get("body", b"") for one in sent[1:]).decode(), asked


@pytest.mark.parametrize("host", [HOST, "LOCALHOST:5580"])
def test_our_own_names_are_answered_with_headers_that_bind_the_browser(host: str) -> None:
    """No script but ours, no frame, no guess at types, nothing kept."""
    status, headers, text, _ = ask("GET", {"host": host})

    assert (status, text) == (200, "ok")
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.fault(item="B55")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "evil.example")],
        [("host", "evil.example:5580")],
        [("host", "127.0.0.1")],
        [("host", "127.0.0.1:80")],
        [("host", HOST), ("host", "evil.example")],
        [("host", HOST), ("host", HOST)],
    ],
)
def test_another_name_is_refused(headers: list[tuple[str, str]]) -> None:
    """A stranger's page may have its own name point to this machine."""
    status, _, _, asked = ask("GET", headers)

    assert (status, asked.methods) == (421, [])


@pytest.mark.fault(item="B56")
@pytest.mark.fault(item="B57")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:5581"},
        {"origin": f"http://{HOST}.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_sites_page_is_refused(method: str, headers: dict[str, str]) -> None:
    """Whatever it asks for: events too, which browsers do not keep from it."""
    status, _, _, asked = ask(method, {**CHANGE, **headers})

    assert (status, asked.methods) == (403, [])


@pytest.mark.fault(item="B56")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"origin": None}, 403),
        ({"x-token": None}, 403),
        ({"x-token": "another"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": None}, 415),
        ({"content-length": None}, 411),
        ({"content-length": "-1"}, 411),
        ({"content-length": str(BODY_LIMIT + 1)}, 413),
    ],
)
def test_a_change_needs_origin_token_and_json(changes: dict[str, str | None], status: int) -> None:
    """A form of another site has none of them."""
    headers = {name: value for name, value in {**CHANGE, **changes}.items() if value is not None}

    refused, _, text, asked = ask("POST", headers)

    assert (refused, asked.methods) == (status, [])
    told = json.loads(text)
    assert "error" in told
    assert (told.get("code") == "old_token") is ("x-token" in changes)  # for which the page waits for the new one
    assert ask("POST", CHANGE)[0] == 200
    assert (
        ask("POST", {**CHANGE, "origin": "", "sec-fetch-site": "same-origin"} | {"origin": f"http://{HOST}"})[0] == 200
    )


@pytest.mark.fault(item="B61")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X"])
def test_other_methods_are_refused(method: str) -> None:
    """Without an echo of what was asked."""
    status, _, text, asked = ask(method, CHANGE)

    assert (status, asked.methods) == (405, [])
    assert "script" not in text


@pytest.mark.fault(item="B58")
def test_a_body_that_is_longer_than_it_said_is_not_taken() -> None:
    """The application sees its client leave."""
    *_, asked = ask("POST", CHANGE, body=b"x" * (2 * BODY_LIMIT))

    assert asked.received <= BODY_LIMIT


def test_the_password_is_asked_for_where_there_is_one() -> None:
    """Any name will do; nothing else is a password."""

    def basic(text: str) -> dict[str, str]:
        return {**PAGE, "authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}

    assert ask("GET", basic("me:open sesame"), password="open sesame")[0] == 200  # noqa: S106 - of a test
    for headers in (
        PAGE,
        basic("me:open"),
        basic("open sesame"),
        {**PAGE, "authorization": "Basic ###"},
        {**PAGE, "authorization": "Bearer x"},
    ):
        status, told, _, asked = ask("GET", headers, password="open sesame")  # noqa: S106 - of a test
        assert (status, asked.methods) == (401, [])
        assert told["www-authenticate"].startswith("Basic ")


FOLLOWED = {**PAGE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.fault(item="B72")
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/share/TOKEN", PAGE, 200),
        ("/share/TOKEN", FOLLOWED, 200),
        ("/share/TOKEN/api/events", PAGE, 200),
        ("/static/share.js", PAGE, 200),
        ("/share/TOKEN", {**FOLLOWED, "sec-fetch-dest": "iframe"}, 403),
        ("/share/TOKEN", {**FOLLOWED, "sec-fetch-mode": "no-cors"}, 403),
        ("/share/TOKEN/images/x", FOLLOWED, 403),
        ("/static/share.js", FOLLOWED, 403),
        ("/share", PAGE, 401),
        ("/shared/x", PAGE, 401),
        ("/static", PAGE, 401),
        ("/api/share/x", PAGE, 401),
        ("/", FOLLOWED, 401),
        ("/share/TOKEN", {}, 421),
    ],
)
def test_a_link_needs_no_password(path: str, headers: dict[str, str], status: int) -> None:
    """It has a token of its own, and may be followed from a chat; all else of it is asked by its own page."""
    found, _, _, asked = ask("GET", headers, password="open sesame", path=path)  # noqa: S106 - of a test

    assert found == status
    assert bool(asked.methods) == (status == 200)


@pytest.mark.fault(item="B72")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_by_a_link_nothing_is_changed(method: str) -> None:
    """Not even with the token of the page."""
    status, _, _, asked = ask(method, CHANGE, path="/share/TOKEN/api/experiments/x/rate")

    assert (status, asked.methods) == (405, [])


def test_a_file_is_sent_as_it_is_where_files_are_read() -> None:
    """Nowhere else, and up to a larger limit; all other checks are the same."""
    file = {**CHANGE, "content-type": "application/octet-stream", "content-length": str(2 * BODY_LIMIT)}
    body = b"x" * (2 * BODY_LIMIT)
    (path, limit), *_ = FILES.items()

    status, *_, asked = ask("POST", file, body=body, path=path)
    assert (status, asked.received) == (200, len(body))
    assert ask("POST", file, body=body)[0] == 415
    assert ask("POST", CHANGE, path=path)[0] == 415
    assert ask("POST", {**file, "content-length": str(limit + 1)}, path=path)[0] == 413
    assert ask("POST", {**file, "x-token": "another"}, path=path)[0] == 403
