"""The routes of the pages and their requests, and the replies to errors."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from bus.protocol.control import ControlError
from bus.protocol.doors import take
from bus.protocol.json_values import from_json
from bus.protocol.validation import InvalidInputError
from variantbus.client.examples import demo_definition
from variantbus.dashboard.assets import FOR_ITS_OWNER, Assets, Found
from variantbus.dashboard.compression import packed, takes_gzip
from variantbus.dashboard.feed import Feed
from variantbus.dashboard.opening import opened
from variantbus.dashboard.ranges import UnsatisfiableError
from variantbus.dashboard.services import CHANGES, Services
from variantbus.dashboard.shared import SharedPages
from variantbus.dashboard.system import System

OWN_PAGE: Final = "index.html"
SHARED_PAGE: Final = "share.html"
STATIC: Final = Path(__file__).parent / "static"
HASH: Final = re.compile(r"[0-9a-f]{64}")
# no SVG: it may hold scripts
PICTURES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
STATUS: Final = {"invalid_request": 400, "unauthorized": 403, "not_found": 404, "conflict": 409, "too_large": 413}
AWAY: Final = 503
STREAMED: Final = 1000  # experiments in one stream
Handler = Callable[[Request, Any], Any]
See = Callable[[], Any]


class Pages:
    """Answers the requests of browsers by asking the services in threads of their own."""

    def __init__(self, services: Services, feed: Feed, token: str, see_cluster: See) -> None:
        """Wire the parts; `token` is what a page needs to change something."""
        self._services, self._feed, self._token, self._see_cluster = services, feed, token, see_cluster
        self._assets = Assets(STATIC)

    def routes(self) -> list[Route]:
        """Return all routes."""
        ask, system = self._services, self._services.system
        one = "/api/experiments/{experiment_id}"
        changes = [Route(f"{one}/{what}", _json(partial(_change, ask, what)), methods=["POST"]) for what in CHANGES]
        return [
            Route("/", self._page),
            Route("/static/{path:path}", self._static),
            Route("/api/events", self._events),
            Route("/api/streams/{stream}", self._show, methods=["POST"]),
            Route("/api/experiments", _json(partial(_index, ask))),
            Route("/api/experiments", _json(lambda _, body: ask.create(body), status=201), methods=["POST"]),
            Route("/api/names", _json(lambda request, _: ask.names(request.query_params.get("search", "")))),
            Route("/api/plan", _json(lambda _, body: ask.plan(body)), methods=["POST"]),
            Route("/api/system", _json(lambda *_: system.view())),
            Route("/api/system/cluster", _json(lambda *_: self._see_cluster())),
            Route("/api/system/rejected", _json(lambda *_: system.rejected())),
            *(
                Route(f"/api/system/{what}", _json(partial(_change_system, system, what)), methods=["POST"])
                for what in system.changes
            ),
            Route("/api/read", _read, methods=["POST"]),
            Route("/api/overviews", _json(lambda request, _: ask.overviews(request.query_params.getlist("id")))),
            Route("/api/example", _json(lambda *_: demo_definition())),
            Route("/api/sheet", self._sheet, methods=["POST"]),
            Route("/api/pipelines", _json(lambda *_: ask.pipelines())),
            Route(one, _json(lambda request, _: ask.experiment(_id(request)))),
            Route(f"{one}/snapshot", _json(lambda request, _: ask.snapshot(_id(request)))),
            Route(f"{one}/recommendation", _json(lambda request, _: ask.recommendation(_id(request)))),
            Route(f"{one}/pair", _json(lambda request, _: ask.pair(_id(request), _passed(request)))),
            Route(f"{one}/next", _json(lambda request, _: ask.next_picture(_id(request), _passed(request)))),
            Route(f"{one}/shares", _json(lambda request, _: ask.links.all(_id(request)))),
            Route(f"{one}/share", _json(lambda request, body: ask.links.make(_id(request), body)), methods=["POST"]),
            Route(
                f"{one}/unshare", _json(lambda request, body: ask.links.revoke(_id(request), body)), methods=["POST"]
            ),
            *changes,
            Route(f"{one}/export.json", _file(lambda name: ask.export(name, "json"), "application/json")),
            Route(f"{one}/export.csv", _file(lambda name: ask.export(name, "csv"), "text/csv")),
            Route(f"{one}/report.html", _file(ask.report, "text/html")),
            Route(f"{one}/job.toml", _file(ask.recommended_job, "application/toml")),
            Route("/api/jobs/{job_id}", _json(lambda request, _: ask.job(str(request.path_params["job_id"])))),
            Route("/images/{sha256}", self._picture),
            Route("/preview", self._preview),
            Route("/media/{sha256}", self._media),
            Route("/files/{sha256}", self._file),
            Route("/api/files/{sha256}", _json(lambda request, _: ask.beginning(_hash(request)))),
        ]

    async def _page(self, _request: Request) -> Response:
        return Response(await run_in_threadpool(self._assets.page, OWN_PAGE), media_type="text/html")

    def shared_page(self) -> bytes:
        """Return the page that shows an experiment to others."""
        return self._assets.page(SHARED_PAGE)

    async def _static(self, request: Request) -> Response:
        found = await run_in_threadpool(self._assets.find, request.path_params["path"])
        return _error(404, "there is nothing here") if found is None else _asset(request, found)

    async def _events(self, request: Request) -> Response:
        """Answer with the events of the experiments that the query names; `_show` changes which ones."""
        if self._feed.is_full:
            return _error(AWAY, "too many pages are open; close some")
        events = self._feed.events(request.query_params.getlist("experiment"), self._token)
        return StreamingResponse(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _show(self, request: Request) -> Response:
        """Let a stream carry other experiments. What is asked for after the answer misses none of their events."""
        try:
            shown = take(from_json(await request.body()), Shown)
        except InvalidInputError as error:
            return _error(400, str(error))
        if not self._feed.show(request.path_params["stream"], shown.experiments):
            return _error(404, "there is no such stream any more; open another one")
        return Response(b"{}", media_type="application/json")

    async def _picture(self, request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        if not HASH.fullmatch(sha256):
            return _error(404, "there is no such picture")
        thumbnail = request.query_params.get("thumbnail") == "1"
        return await _shown(
            lambda: self._services.picture(sha256, thumbnail=thumbnail), {"cache-control": FOR_ITS_OWNER}
        )

    async def _file(self, request: Request) -> Response:
        """Answer with a result that a browser saves, whatever it is, and never shows as a page of ours."""
        try:
            parts = self._services.file(_hash(request))
            first = await run_in_threadpool(lambda: next(parts))
        except (ControlError, InvalidInputError) as error:
            return _error(STATUS.get(getattr(error, "code", "invalid_request"), AWAY), str(error))
        headers = {"content-disposition": "attachment", "cache-control": FOR_ITS_OWNER}
        return StreamingResponse(chain([first], parts), media_type="application/octet-stream", headers=headers)

    async def _sheet(self, request: Request) -> Response:
        """Answer with the pictures of a page in one file."""
        try:
            body = from_json(await request.body())
            return await _shown(lambda: self._services.saver.save(body))
        except InvalidInputError as error:
            return _error(400, str(error))

    async def _media(self, request: Request) -> Response:
        """Answer a player with a video or a sound, or with the part of it that it asks for."""
        try:
            sha256, wanted = _hash(request), request.headers.get("range", "")
            found = await run_in_threadpool(lambda: self._services.media(sha256, wanted))
        except ControlError as error:
            return _error(STATUS.get(error.code, AWAY), error.message)
        except UnsatisfiableError:
            return _error(416, "there is no such part")
        headers = {"accept-ranges": "bytes", "cache-control": FOR_ITS_OWNER, "content-length": str(found.size)}
        if found.span:
            start, end = found.span
            headers |= {"content-range": f"bytes {start}-{end - 1}/{found.size}", "content-length": str(end - start)}
        return StreamingResponse(found.parts, 206 if found.span else 200, headers, found.media_type)

    async def _preview(self, request: Request) -> Response:
        job_id = request.query_params.get("job", "")
        return await _shown(lambda: self._services.preview(job_id))


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The experiments whose events a stream carries."""

    experiments: Annotated[list[str], msgspec.Meta(max_length=STREAMED)]


def make_app(services: Services, feed: Feed, token: str, see_cluster: See) -> ASGIApp:
    """Return the application, which follows the bus as long as it runs; `see_cluster` tells how the cluster is."""

    def lifespan(_app: Starlette) -> AbstractAsyncContextManager[None]:
        return feed.running()

    handlers: dict[Any, Any] = {HTTPException: _refused, ClientDisconnect: _refused}
    pages = Pages(services, feed, token, see_cluster)
    app = Starlette(routes=pages.routes(), lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False  # a redirection would repeat the path that was asked for
    return SharedPages(app, services, feed, pages.shared_page)


async def _shown(fetch: Callable[[], tuple[bytes, str]], headers: dict[str, str] | None = None) -> Response:
    """Answer with the bytes and the media type of a picture, if it is one that may be shown."""
    try:
        data, kind = await run_in_threadpool(fetch)
    except ControlError as error:
        text = (
            "there is no such picture" if error.code == "not_found" else error.message
        )  # which has what was asked for
        return _error(STATUS.get(error.code, AWAY), text)
    if kind not in PICTURES:
        return _error(404, "there is no such picture")
    return Response(data, media_type=kind, headers=headers)


async def _read(request: Request) -> Response:
    """Answer with what stands in a file that is opened in the form; nothing of it is kept."""
    data = await request.body()
    try:
        found = await run_in_threadpool(opened, data)
    except InvalidInputError as error:
        return _error(400, str(error))
    return Response(msgspec.json.encode(found), media_type="application/json")


def _json(answer: Handler, status: int = 200) -> Callable[[Request], Any]:
    """Return an endpoint that answers in JSON; a refusal of a service becomes a sentence with a fitting status."""

    async def endpoint(request: Request) -> Response:
        try:
            body = from_json(await request.body()) if request.method == "POST" else None
            found = await run_in_threadpool(answer, request, body)
        except InvalidInputError as error:
            return _error(400, str(error))
        except ControlError as error:
            return _error(STATUS.get(error.code, AWAY), error.message)
        data, headers = await run_in_threadpool(_packed, found, request)
        return Response(data, status, headers, "application/json")

    return endpoint


def _packed(found: Any, request: Request) -> tuple[bytes, dict[str, str]]:
    return packed(msgspec.json.encode(found), request.headers.get("accept-encoding", ""))


def _asset(request: Request, found: Found) -> Response:
    """Answer with a file of the page, or that it is still as the browser has it."""
    asset, caching = found
    headers = {"cache-control": caching, "etag": asset.tag, "vary": "accept-encoding"}
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if not takes_gzip(request.headers.get("accept-encoding", "")) or asset.gzipped is asset.data:
        return Response(asset.data, 200, headers, asset.media_type)
    return Response(asset.gzipped, 200, {**headers, "content-encoding": "gzip"}, asset.media_type)


def _file(make: Callable[[str], str], media_type: str) -> Callable[[Request], Any]:
    """Return an endpoint whose answer a browser saves and never shows as a page of ours."""

    async def endpoint(request: Request) -> Response:
        name = _id(request)
        try:
            text = await run_in_threadpool(make, name)
        except (ControlError, InvalidInputError) as error:
            status = STATUS.get(error.code, AWAY) if isinstance(error, ControlError) else 400
            return _error(status, str(error))
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:100]
        suffix = str(request.scope["path"]).rpartition(".")[2]
        headers = {"content-disposition": f'attachment; filename="{plain}.{suffix}"'}
        return Response(text, media_type=media_type, headers=headers)

    return endpoint


def _change_system(system: System, what: str, _request: Request, body: Any) -> Any:
    return system.change(what, body)


def _change(services: Services, what: str, request: Request, body: Any) -> Any:
    return services.change(_id(request), what, body)


def _id(request: Request) -> str:
    return str(request.path_params["experiment_id"])


def _passed(request: Request) -> str:
    return request.query_params.get("passed", "")


def _hash(request: Request) -> str:
    sha256 = str(request.path_params["sha256"])
    if not HASH.fullmatch(sha256):
        raise ControlError("not_found", "there is no such result")
    return sha256


def _index(services: Services, request: Request, _body: Any) -> Any:
    """Answer with the ids of a list."""
    query = request.query_params
    search, order, archived = query.get("search", ""), query.get("order", "newest"), query.get("archived") == "1"
    return services.index(search, query.getlist("state"), order, archived=archived)


async def _refused(_request: Request, error: Exception) -> Response:
    """Answer an unknown path, without an echo of it."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    return _error(status, "there is nothing here" if status == 404 else "this cannot be asked")  # noqa: PLR2004


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)
