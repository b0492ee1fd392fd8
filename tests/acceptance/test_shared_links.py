"""A link opens one experiment for somebody without the password, and nothing else."""

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import pytest

from tests.support.experiment_files import program, submit
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.workspace import Workspace, view_of

PASSWORD = "a long password"  # noqa: S105 - of a test
LOGIN = {"authorization": f"Basic {base64.b64encode(f'x:{PASSWORD}'.encode()).decode()}"}
FOLLOWED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
Headers = dict[str, str]
Reply = tuple[int, str, dict[str, str]]


class Guarded:
    """A dashboard with a password, asked by somebody who does not know it, and by its owner."""

    def __init__(self, workspace: Workspace) -> None:
        """Start it."""
        path = workspace.write("password", PASSWORD)
        self.process = workspace.command("dashboard", "--port", "0", "--password-file", str(path))
        self.address = self.process.wait_for_line("listening").split("http=http://")[1]
        with self.stream("/api/events", LOGIN) as events:
            events.readline()
            self.token = json.loads(events.readline().removeprefix(b"data: "))["token"]

    def get(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET", body: str | None = None
    ) -> Reply:
        """Ask as a stranger, unless the headers say otherwise."""
        with closing(http.client.HTTPConnection(self.address, timeout=PATIENCE * TIME_FACTOR)) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return response.status, response.read().decode("utf-8", "replace"), told

    @contextmanager
    def stream(self, path: str, headers: Headers | None = None) -> Iterator[http.client.HTTPResponse]:
        """Open a stream, and leave it as a browser does."""
        with closing(http.client.HTTPConnection(self.address, timeout=PATIENCE * TIME_FACTOR)) as connection:
            connection.request("GET", path, None, headers or {})
            with closing(connection.getresponse()) as response:
                yield response

    def post(self, path: str, body: Any) -> Reply:
        """Change something as the owner's page does."""
        page = {"origin": f"http://{self.address}", "x-token": self.token, "content-type": "application/json"}
        return self.get(path, {**LOGIN, **page}, "POST", json.dumps(body))

    def snapshot(self, experiment_id: str) -> Any:
        """Return what the owner sees of an experiment."""
        return json.loads(self.get(f"/api/experiments/{experiment_id}/snapshot", LOGIN)[1])


class Shared(NamedTuple):
    """A link to one of two experiments."""

    one: str
    other: str
    own: str  # a result of the one
    foreign: str  # of the other
    job: str
    foreign_job: str
    token: str
    digest: str

    @property
    def base(self) -> str:
        """The address of its page."""
        return f"/share/{self.token}"


@pytest.mark.fault(item="B72")
def test_a_link_opens_one_experiment(workspace: Workspace) -> None:
    """Not another one, not its results, no change, no process; and no more once it is revoked."""
    learning = workspace.learning(workspace.runner())
    scripts = [f'set -- "$1" "$2 {name}" "$3"' for name in "ab"]
    one, other = (submit(workspace, program(values=2, jobs=1, script=script)) for script in scripts)
    wait_until(lambda: {view_of(learning, name).status for name in (one, other)} == {"completed"}, what="the jobs")
    dashboard = Guarded(workspace)
    mine, theirs = (dashboard.snapshot(name)["cells"][0] for name in (one, other))
    made = json.loads(dashboard.post(f"/api/experiments/{one}/share", {"seconds": 3600})[1])
    hashes = mine["images"][0]["sha256"], theirs["images"][0]["sha256"]
    jobs = mine["job_id"], theirs["job_id"]
    link = Shared(one, other, *hashes, *jobs, made["token"], made["share"]["digest"])

    check_what_is_shown(dashboard, link, str(workspace.folder))
    check_what_is_refused(dashboard, link)
    dashboard.process.kill()
    check_revoked(Guarded(workspace), link)
    logs = [path.read_text(encoding="utf-8", errors="replace") for path in workspace.folder.glob("*.err")]
    assert logs
    assert not [text for text in logs if link.token in text]


def check_what_is_shown(dashboard: Guarded, link: Shared, folder: str) -> None:
    """Check the page and what it loads."""
    base = link.base
    assert len(link.token) == 43
    assert link.token not in dashboard.get(f"/api/experiments/{link.one}/shares", LOGIN)[1]
    status, page, headers = dashboard.get(base)
    assert (status, headers["referrer-policy"], headers["cache-control"]) == (200, "no-referrer", "no-store")
    assert f'content="{base}"' in page
    assert dashboard.get(base, FOLLOWED)[0] == 200, "a link in a chat is followed from another site"
    assert dashboard.get(base, {**FOLLOWED, "sec-fetch-dest": "iframe"})[0] == 403
    assert dashboard.get("/", {**FOLLOWED, **LOGIN})[0] == 403
    assert dashboard.get("/static/share.js")[0] == 200
    status, snapshot, _ = dashboard.get(f"{base}/api/experiments/{link.one}/snapshot")
    assert status == 200
    assert link.own in snapshot
    assert folder not in snapshot
    assert json.loads(snapshot)["experiment"]["definition"].get("config", {}) == {}, "it has nothing but a command"
    status, _, headers = dashboard.get(f"{base}/files/{link.own}")
    assert (status, headers["cache-control"]) == (200, "private, max-age=300")
    assert dashboard.get(f"{base}/api/experiments/{link.one}/recommendation")[0] == 200
    assert json.loads(dashboard.get(f"{base}/api/experiments")[1]) == {"experiments": [], "before": None}


def check_what_is_refused(dashboard: Guarded, link: Shared) -> None:
    """Check all else, by a link and without."""
    base, one, token = link.base, f"{link.base}/api/experiments/{link.one}", link.token
    refused = [
        *(f"{base}/{kind}/{link.foreign}" for kind in ("images", "media", "files", "api/files")),
        *(f"{base}/api/experiments/{link.other}/{what}" for what in ("snapshot", "recommendation")),
        *(f"{one}{what}" for what in ("", "/export.json", "/job.toml", "/report.html", "/shares")),
        *(f"{base}/{path}" for path in ("", "/", "api/system", "api/system/rejected", "api/pipelines", "static/x")),
        *(f"{base}/{up}/api/system" for up in ("..", "%2e%2e", "images/..")),
        f"{base}/preview?job={link.foreign_job}",
        f"{base}/preview?job={link.job}&%6Aob={link.foreign_job}",
        *(f"/share/{name}" for name in ("", token[:-1], f"{token}A", "A" * 43, link.digest)),
    ]
    assert {path: dashboard.get(path)[0] for path in refused} == dict.fromkeys(refused, 404)
    for path in ("/", "/api/system", f"/api/experiments/{link.one}/snapshot", f"/files/{link.own}", "/api/events"):
        assert dashboard.get(path)[0] == 401, path
    for path in (f"{one}/rate", f"{base}/api/streams/x", base):
        assert dashboard.post(path, {})[0] == 405, path
    with dashboard.stream(f"{base}/api/events?experiment={link.other}") as events:
        assert [events.readline() for _ in range(2)] == [b"event: hello\n", b'data: {"stream":"","token":""}\n']


def check_revoked(dashboard: Guarded, link: Shared) -> None:
    """Check that a link survives the death of the dashboard, but not that it is revoked."""
    one, other = (f"/api/experiments/{name}" for name in (link.one, link.other))
    assert dashboard.get(link.base)[0] == 200
    with dashboard.stream(f"{link.base}/api/events") as events:
        assert json.loads(dashboard.post(f"{other}/unshare", {"digest": link.digest})[1]) == {"removed": False}
        assert json.loads(dashboard.post(f"{one}/unshare", {"digest": link.digest})[1]) == {"removed": True}
        assert dashboard.get(link.base)[0] == 404
        told = events.read()  # to its end, as the link holds no more
    assert link.one.encode() not in told
    bodies: list[Any] = [{"seconds": -1}, {"forever": True}, []]
    for body in bodies:
        assert dashboard.post(f"{one}/share", body)[0] == 400
