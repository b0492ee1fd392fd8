"""Whatever a client sends to the dashboard is refused in one sentence, and leaves no traceback in its log."""

import contextlib
import json
import random
from typing import Final

import pytest

from tests.support.dashboard import Dashboard, Deployment

DEEP: Final = 100_000
BODIES: Final = {
    "nothing": b"",
    "no JSON": b"{",
    "two documents": b"{}{}",
    "NUL": b"\x00",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"definition": 1}'.encode("utf-16"),
    "no UTF-8 in a text": b'{"definition": "\xff\xfe"}',
    "no UTF-8 in a key": b'{"\xc3\x28": 1}',
    "half of a surrogate": b'{"definition": {"name": "\\ud800"}}',
    "half of a surrogate as UTF-8": b'{"definition": "\xed\xa0\x80"}',
    "deep lists": b"[" * DEEP,
    "deep lists that end": b"[" * DEEP + b"]" * DEEP,
    "deep maps": b'{"definition":' * DEEP + b"1" + b"}" * DEEP,
    "as deep as Python itself goes": b'{"definition":' + b"[" * 900 + b"]" * 900 + b"}",
    "somewhat deep": b'{"definition":' + b"[" * 300 + b"]" * 300 + b"}",
    "a key twice": b'{"definition": 1, "definition": {"name": 2}}',
    "an endless number": b'{"definition": 1e999}',
    "not a number": b'{"definition": NaN}',
    "infinity": b'{"definition": -Infinity}',
    "5000 digits": b'{"definition": ' + b"9" * 5000 + b"}",
    "65 bits": b'{"definition": {"name": 36893488147419103232}}',
    "65 bits below zero": b'{"stars": -36893488147419103232, "image": "abcd"}',
    "a list": b"[1]",
    "a number": b"1",
    "null": b"null",
    "an unknown key": b'{"definition": {"nam": "<script>"}}',
    "a text for a map": b'{"definition": "x"}',
    "a NUL in a text": b'{"definition": {"name": "\\u0000"}}',
    "much": b'{"definition": [' + b"{}," * 200_000 + b"{}]}",
}
CHANGES: Final = ("/api/plan", "/api/experiments", "/api/experiments/x/rate", "/api/experiments/x/extend")
TARGETS: Final = (
    "/static/%00",
    "/static/" + "a" * 5000,
    "/static/%ff%fe",
    "/static/a%00.js",
    "/api/experiments/%00",
    "/api/experiments/%ff%fe",
    "/api/experiments/%ED%A0%80",
    "/api/experiments/%",
    "/api/experiments/%zz/snapshot",
    "/api/experiments/" + "%41" * 3000,
    "/api/experiments/x/export.csv",
    "/api/experiments/[/job.toml",
    "/api/experiments/]/",
    "/api/experiments/%0d%0aset-cookie:a=b/report.html",
    "/api/experiments?order=%ff",
    "/api/experiments?search=" + "9" * 5000,
    "/api/experiments?state=failed&state=%00",
    "/api/overviews?id=%ff&id=",
    "/api/overviews?id=" + "9" * 5000,
    "/images/%ff?thumbnail=%ff",
    "/api/jobs/%ff",
    "/api/jobs/%00",
    "/api/jobs/" + "9" * 5000,
    "/preview?job=%ff&number=%ff",
    "/preview?job=" + "%41" * 3000,
    "/preview",
    "http://[/",
    "//[::1/",
    "/..%2f..%2f..%2fetc/passwd",
    "/" + "/" * 5000,
)
HEADERS: Final = (
    b"Cookie: " + b"[" * 8000,
    b"Accept: \xff\xfe\x80",
    b"Content-Type: application/json; charset=\xff",
    b"X-Token: \xff",
    b"Authorization: Basic \xff\xff",
    b"If-Modified-Since: \xff",
    b"If-None-Match: \xff",
    b"Range: bytes=" + b"0-1," * 2000,
    b"Range: bytes=-99999999999999999999999",
    b"Expect: 100-continue",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==",
    b"Upgrade: h2c\r\nConnection: Upgrade",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
)
LENGTHS: Final = (
    b"Content-Length: -1\r\n\r\n{}",
    b"Content-Length: +2\r\n\r\n{}",
    b"Content-Length: 0x2\r\n\r\n{}",
    b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    b"Content-Length: 99999999999999999999\r\n\r\n{}",
    b"Content-Length: \xb2\r\n\r\n{}",
    b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    b"Content-Length: 1\r\n\r\n{}garbage",
    b"Content-Length: 5\r\n\r\n{}",
    b"\r\n{}",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}garbage",
    b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
)


def statuses(answer: bytes) -> list[int]:
    """Return the statuses of the replies on a connection, without the one that says to go on."""
    lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    return [code for line in lines if (code := int(line.split()[1])) != 100]


def post(page: Dashboard, path: str, rest: bytes) -> list[int]:
    """Send a change of the page's own, whose last headers and body are given."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {page.address}\r\nOrigin: http://{page.address}\r\n"
        f"X-Token: {page.token}\r\nContent-Type: application/json\r\n"
    )
    return answered(page, head.encode() + rest)


def answered(page: Dashboard, request: bytes) -> list[int]:
    """Send bytes, and return the statuses of what is answered; a reset connection is no answer."""
    with contextlib.suppress(ConnectionError):
        return statuses(page.raw(request))
    return []


def is_refusal(codes: list[int]) -> bool:
    """Return whether all that was answered puts the fault at the client."""
    return all(400 <= code < 500 for code in codes)


@pytest.mark.fault(item="B66")
def test_bodies_that_make_no_sense_are_refused_in_one_sentence(deployment: Deployment) -> None:
    """Each at every kind of change: the status is the client's fault, and the sentence is JSON."""
    page = deployment[3]
    for path in CHANGES:
        for what, body in BODIES.items():
            status, text, _ = page.ask("POST", path, body)

            assert 400 <= status < 500, (path, what, text)
            assert json.loads(text)["error"], (path, what)
            assert len(text) < 500, (path, what)
    assert page.ask("POST", CHANGES[0], BODIES["deep lists"])[1] == '{"error":"input: nested too deeply"}'
    assert page.ask("GET", "/")[0] == 200
    assert "Traceback" not in page.process.errors()


@pytest.mark.fault(item="B67")
def test_requests_that_are_malformed_are_refused(deployment: Deployment) -> None:
    """Paths, queries, headers and lengths; what is answered, if anything, puts the fault at the client."""
    page = deployment[3]
    host = f"Host: {page.address}\r\n".encode()
    for target in TARGETS:
        assert is_refusal(answered(page, f"GET {target} HTTP/1.1\r\n".encode() + host + b"\r\n")), target
    for header in HEADERS:
        codes = answered(page, b"GET / HTTP/1.1\r\n" + host + header + b"\r\n\r\n")
        assert codes[:1] in ([200], [206]) or is_refusal(codes), (header, codes)
    for rest in LENGTHS:
        assert is_refusal(post(page, CHANGES[0], rest)), rest
    assert page.ask("GET", "/")[0] == 200
    assert "Traceback" not in page.process.errors()


@pytest.mark.fault(item="B68")
def test_requests_that_are_changed_at_random_end_in_no_traceback(deployment: Deployment) -> None:
    """Bytes are replaced, left out, repeated and put in; a fault of ours would be a 5xx."""
    page, chance = deployment[3], random.Random(14)  # noqa: S311 - it can be repeated
    body = b'{"definition": {"name": "x", "variable": {"name": "cfg_scale", "values": [1, 2.5]}, "config": {}}}'
    whole = (
        f"POST /api/plan HTTP/1.1\r\nHost: {page.address}\r\nOrigin: http://{page.address}\r\nX-Token: {page.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    for number in range(300):
        request = mutated(whole, chance)
        codes = answered(page, request)

        assert all(code < 500 for code in codes), (number, request, codes)
    assert page.ask("GET", "/")[0] == 200
    assert "Traceback" not in page.process.errors()


def mutated(request: bytes, chance: random.Random) -> bytes:
    """Return a request with one to four changes."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(request))
        end = min(len(request), start + chance.choice((0, 1, 1, 8, 64)))
        put = chance.choice((b"", b"\xff", b"\x00", b"\r\n", b"%", b"[" * 2000, b"9" * 400, request[start:end] * 3))
        request = request[:start] + put + request[end:]
    return request
