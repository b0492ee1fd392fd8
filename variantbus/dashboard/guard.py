"""The checks of each request: host name, origin, token and password; and the security headers of each reply."""

import asyncio
import base64
import binascii
import secrets
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT: Final = 1 << 20  # bytes of a request
FILES: Final = {"/api/read": 64 << 20}  # where a file is sent as it is, and how large it may be
READS: Final = ("GET", "HEAD")
TOKEN: Final = "x-token"  # noqa: S105 - the name of a header
OLD_TOKEN: Final = "old_token"  # noqa: S105 - a word for the page, which then waits for the new one
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    text: str
    code: str = ""  # for a page that knows what to do


class Guard:
    """Middleware before the application. A refused request has changed nothing, and its reply does not echo it."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], token: str, password: str | None = None) -> None:
        """`hosts`: the allowed host names, with the port; empty allows any, if there is a `password`."""
        self._app, self._hosts = app, frozenset(hosts)
        self._token, self._password = token, password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse a request.

        One that waits for a service while the server stops is cancelled by it; that is no fault, and is told.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        reply = _Reply(send)
        if refusal is None:
            try:
                await self._app(scope, _limited(receive, FILES.get(scope["path"], BODY_LIMIT)), reply)
            except asyncio.CancelledError:
                refusal = STOPPING
            if refusal is None or reply.has_begun:
                return
        told = {"error": refusal.text, "code": refusal.code} if refusal.code else {"error": refusal.text}
        response = JSONResponse(told, refusal.status)
        if refusal.status == UNAUTHORIZED:
            response.headers["www-authenticate"] = 'Basic realm="variantbus", charset="UTF-8"'
        await response(scope, receive, reply)

    def _refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        path = str(scope["path"])
        if refusal := check_host(headers.getlist("host"), self._hosts) or self._check_person(path, headers):
            return refusal
        if scope["method"] in READS:
            return None
        if scope["method"] != "POST" or path.startswith(SHARED):
            return Refusal(405, "only GET, HEAD and POST are answered, and by a link nothing can be changed")
        return self._check_change(path, headers)

    def _check_person(self, path: str, headers: Headers) -> Refusal | None:
        """Refuse who has no password, and pages of other sites.

        Files of the page tell nothing, and a link has a token of its own. One may be followed from anywhere.
        """
        if not path.startswith((SHARED, STATIC)) and (refusal := self._check_password(headers)):
            return refusal
        is_link = path.startswith(SHARED) and "/" not in path.removeprefix(SHARED)
        return None if is_link and is_followed(headers) else check_origin(headers)

    def _check_password(self, headers: Headers) -> Refusal | None:
        if self._password is None or is_password(headers.get("authorization", ""), self._password):
            return None
        return Refusal(UNAUTHORIZED, "give the password of the dashboard; any name will do")

    def _check_change(self, path: str, headers: Headers) -> Refusal | None:
        """Refuse a change that does not come from our own page; no other page can make a browser send one."""
        if "origin" not in headers and headers.get("sec-fetch-site") != "same-origin":
            return Refusal(403, "only the dashboard's own page may change something")
        if not secrets.compare_digest(headers.get(TOKEN, "").encode(), self._token.encode()):
            text = "the page is of an earlier start of the dashboard; load it again"
            return Refusal(403, text, OLD_TOKEN)
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if kind != ("application/octet-stream" if path in FILES else "application/json"):
            return Refusal(415, "send the file as application/octet-stream" if path in FILES else "send JSON")
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return Refusal(411, "say how long the request is")
        limit = FILES.get(path, BODY_LIMIT)
        return Refusal(413, f"more than {limit} bytes") if int(length) > limit else None


SHARED: Final = "/share/"
STATIC: Final = "/static/"
UNAUTHORIZED: Final = 401
STOPPING: Final = Refusal(503, "the dashboard is stopping")


def check_host(named: list[str], hosts: frozenset[str]) -> Refusal | None:
    """Refuse a request that was made to another name: a foreign page may let its name point to us."""
    if len(named) == 1 and (not hosts or named[0].lower() in hosts):
        return None
    return Refusal(421, "this is not a name of the dashboard; see its `listening` line")


def check_origin(headers: Headers) -> Refusal | None:
    """Refuse the requests of another site's page; programs send neither header."""
    host = headers.get("host", "")
    if any(origin not in (f"http://{host}", f"https://{host}") for origin in headers.getlist("origin")):
        return Refusal(403, "another site's page asks")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return Refusal(403, "another site's page asks")
    return None


def is_followed(headers: Headers) -> bool:
    """Return whether a person has followed a link, as in a chat: the page is in no page of another site."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def is_password(authorization: str, password: str) -> bool:
    """Return whether this is a header `Authorization: Basic …` with the password."""
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return False
    return secrets.compare_digest(given, password.encode())


def reply_bytes(status: int, text: str) -> bytes:
    """Return a whole reply that closes the connection, for what is refused before it is a request."""
    body = msgspec.json.encode({"error": text})
    told = {**HEADERS, "content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Reply:
    """Sends a reply with the security headers, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        """Begin with nothing sent."""
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        """Send a part of the reply."""
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await self._send(message)


def _limited(receive: Receive, limit: int) -> Receive:
    """Return a receiver that disconnects once a body is over the limit, whatever length was declared."""
    left = limit

    async def receiving() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return receiving


MakeGuard = Callable[[ASGIApp], Guard]
