"""The pages of shared experiments, under `/share/TOKEN`: what a token opens, and nothing else; it changes nothing."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from variantbus.dashboard.compression import packed
from variantbus.dashboard.feed import Feed
from variantbus.dashboard.others import snapshot_for_others, value_for_others
from variantbus.dashboard.services import Services

T = TypeVar("T")
PREFIX: Final = "/share/"
CHECK_SECONDS: Final = 5.0  # in which an open stream ends after its link is revoked
THREADS: Final = 16  # of 40: a token that is none is looked up, too, which takes seconds while a service is away
STREAMS: Final = 200  # of all links; the others are for those with an account
KEPT: Final = "private, max-age=300"  # of a picture: not for longer than a link may hold, and in no shared cache
GONE: Final = "this link is no longer valid, or never was"
AWAY: Final = "the experiment cannot be shown now; try again in a moment"
NOWHERE: Final = "there is nothing here"
_RESULT: Final = re.compile(r"/(?:images|media|files|api/files)/([0-9a-f]{64})")
_PLAIN: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>variantbus</title>"
    '<meta name=viewport content="width=device-width, initial-scale=1"><meta name=color-scheme content="light dark">'
    '<link rel=stylesheet href="/static/styles/base.css"><main><p class=empty>'
)


class SharedPages:
    """Stands before the application: requests of others are checked here, and only results are fetched behind it."""

    def __init__(self, app: ASGIApp, services: Services, feed: Feed, page: Callable[[], bytes]) -> None:
        """`page` returns the page that shows an experiment, with `{base}` and `{experiment}` in it."""
        self._app, self._services, self._feed, self._page = app, services, feed, page
        self._streams = 0
        self._threads = asyncio.Semaphore(THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is asked under `/share/`, and pass all else on."""
        if scope["type"] != "http" or not str(scope["path"]).startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        token, slash, rest = str(scope["path"]).removeprefix(PREFIX).partition("/")
        is_page = not slash
        try:
            experiment_id = await self._in_thread(self._services.links.experiment, token)
            answer = await self._answer(scope, token, experiment_id, slash + rest)
        except (ControlError, InvalidInputError) as error:
            is_gone = isinstance(error, ControlError) and error.code == "not_found"
            answer = _refusal(404, GONE, as_page=is_page) if is_gone else _refusal(503, AWAY, as_page=is_page)
        if answer is None:  # a result of this experiment
            await self._app(
                {**scope, "path": slash + rest, "raw_path": (slash + rest).encode()}, receive, _Result(send)
            )
        else:
            await answer(scope, receive, send)

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Call a function in a thread; strangers take only some of those that there are for all."""
        async with self._threads:
            return await run_in_threadpool(work, *args)

    async def _answer(self, scope: Scope, token: str, experiment_id: str, path: str) -> Response | None:
        """Return the answer to a request, None where the application has it."""
        one = f"/api/experiments/{experiment_id}"
        ask = self._services
        answers: dict[str, Callable[[], Any]] = {
            "/api/experiments": lambda: {"experiments": [], "before": None},
            f"{one}/snapshot": lambda: snapshot_for_others(msgspec.to_builtins(ask.snapshot(experiment_id))),
            f"{one}/recommendation": lambda: value_for_others(msgspec.to_builtins(ask.recommendation(experiment_id))),
        }
        if path == "/api/events":
            return self._events(token, experiment_id)
        if not path:
            return await self._in_thread(self._shown, token, experiment_id)
        if make := answers.get(path):
            accepted = Headers(scope=scope).get("accept-encoding", "")
            return await self._in_thread(lambda: _json(make(), accepted))
        if await self._in_thread(self._is_part, scope, token, experiment_id, path):
            return None
        return _refusal(404, NOWHERE)

    def _is_part(self, scope: Scope, token: str, experiment_id: str, path: str) -> bool:
        """Return whether a path is that of a result of the experiment, or of what one of its jobs has made so far."""
        links = self._services.links
        if path == "/preview":
            return links.has_job(experiment_id, QueryParams(scope["query_string"]).get("job", ""))
        result = _RESULT.fullmatch(path)
        return result is not None and links.has_image(token, result[1])

    def _shown(self, token: str, experiment_id: str) -> Response:
        page = (
            self._page().decode().replace("{base}", PREFIX + token).replace("{experiment}", html.escape(experiment_id))
        )
        return Response(page, media_type="text/html")

    def _events(self, token: str, experiment_id: str) -> Response:
        if self._feed.is_full or self._streams >= STREAMS:
            return _refusal(503, "too many pages are open; try again later")
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(self._stream(token, experiment_id), media_type="text/event-stream", headers=headers)

    async def _stream(self, token: str, experiment_id: str) -> AsyncIterator[bytes]:
        """Yield the events of the experiment as long as the link holds."""
        self._streams += 1
        loop = asyncio.get_running_loop()
        try:
            checked = loop.time()
            async for part in self._feed.events_for_others(experiment_id):
                if loop.time() - checked >= CHECK_SECONDS:
                    if not await self._in_thread(self._holds, token):
                        return
                    checked = loop.time()
                yield part
        finally:
            self._streams -= 1

    def _holds(self, token: str) -> bool:
        """Return whether a link holds, as far as that is known: who does not answer has revoked nothing."""
        try:
            self._services.links.experiment(token)
        except ControlError as error:
            return error.code != "not_found"
        return True


class _Result:
    """Sends a result; what goes wrong is told without a word of where it is."""

    def __init__(self, send: Send) -> None:
        """Begin with nothing sent."""
        self._send = send
        self._is_refused = False

    async def __call__(self, message: Message) -> None:
        """Send a part of the reply."""
        if message["type"] == "http.response.start":
            status = message["status"]
            self._is_refused = status >= 400 and status != 416  # noqa: PLR2004 - 416: there is no such part of it
            headers = MutableHeaders(scope=message)
            headers["cache-control"] = "no-store" if self._is_refused else KEPT
            if self._is_refused:
                body = msgspec.json.encode({"error": "this result cannot be shown now"})
                headers["content-length"], headers["content-type"] = str(len(body)), "application/json"
                await self._send(message)
                await self._send({"type": "http.response.body", "body": body})
                return
        if not self._is_refused:
            await self._send(message)


def _json(found: Any, accepted: str) -> Response:
    data, headers = packed(msgspec.json.encode(found), accepted)
    return Response(data, 200, headers, "application/json")


def _refusal(status: int, text: str, *, as_page: bool = False) -> Response:
    if as_page:
        return Response(f"{_PLAIN}{text[0].upper()}{text[1:]}.", status, media_type="text/html")
    return JSONResponse({"error": text}, status)
