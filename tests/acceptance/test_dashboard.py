"""The dashboard as a process: what it answers, what it refuses, and that a slow browser slows nobody."""

import http.client
import json
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import psutil
import pytest

from bus.contracts.messages import JobCompleted
from bus.protocol.addresses import parse_address
from tests.support.checker import messages_of, whole_log
from tests.support.dashboard import Deployment
from tests.support.experiment_files import gate, open_gate, pictures, program, services, submit
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.recordings import tone
from tests.support.workspace import Workspace, view_of

SHA = re.compile(r"[0-9a-f]{64}")
PAGES = 200


def test_all_that_a_page_asks_for_is_answered(deployment: Deployment) -> None:
    """From the plan to the report; each is the services' own answer."""
    workspace, runner, learning, page = deployment
    definition = {
        "name": "<img src=x onerror=alert(1)>",
        "variable": {"name": "cfg_scale", "values": [1, 2]},
        "jobs_per_variant": 1,
        "seed": 7,
        "config": {"prompt": "a blue star", "steps": 2, "width": 16, "height": 16},
    }
    wait_until(lambda: page.ask("POST", "/api/plan", {"definition": definition})[0] == 200, what="the runner's offer")
    plan = json.loads(page.ask("POST", "/api/plan", {"definition": definition})[1])
    assert (plan["values"], plan["jobs"]) == ([1, 2], 2)
    assert json.loads(page.ask("GET", "/api/experiments")[1]) == {"ids": [], "total": 0}

    example = json.loads(page.ask("GET", "/api/example")[1])
    assert page.ask("POST", "/api/plan", {"definition": example})[0] == 200
    status, text, _ = page.ask("POST", "/api/experiments", {"definition": definition})
    name = json.loads(text)["experiment_id"]
    wait_until(lambda: view_of(learning, name).status == "completed", what="the end")

    assert status == 201
    (row,) = json.loads(page.ask("GET", f"/api/overviews?id={name}&id=nobody")[1])["overviews"]
    assert (row["experiment"]["definition"], row["unrated"]) == ({"variable": {"name": "cfg_scale"}}, 2)
    one = f"/api/experiments/{name}"
    snapshot = json.loads(page.ask("GET", f"{one}/snapshot")[1])
    pictures_made = [image["sha256"] for cell in snapshot["cells"] for image in cell["images"]]
    sha256 = pictures_made[0]
    job = json.loads(page.ask("GET", f"/api/jobs/{name}.1.0.0")[1])
    assert (job["job"]["state"], job["job"]["config"]["cfg_scale"], job["runner"]) == ("completed", 2, runner.control)
    assert page.ask("GET", f"/api/jobs/{name}.9.0.0")[0] == 404
    assert json.loads(page.ask("POST", f"{one}/rate", {"image": sha256, "stars": 4})[1])["stars"] == 4
    assert json.loads(page.ask("GET", f"{one}/recommendation")[1])["tier"] == "none"
    assert json.loads(page.ask("GET", f"{one}/pair")[1])["left"]["sha256"] in pictures_made
    for suffix, kind in (("report.html", "text/html"), ("export.csv", "text/csv"), ("export.json", "application/json")):
        code, _, headers = page.ask("GET", f"{one}/{suffix}")
        assert (code, headers["content-type"].partition(";")[0]) == (200, kind)
        assert headers["content-disposition"].startswith("attachment; ")
    code, text, _ = page.ask("GET", f"{one}/job.toml")
    assert (code, "cfg_scale" in text) == (409, True)
    for query in ("", "?thumbnail=1"):
        code, _, headers = page.ask("GET", f"/images/{sha256}{query}")
        kept = headers["cache-control"].split(", ")
        assert (code, headers["content-type"][:6], kept[0], kept[-1]) == (200, "image/", "private", "immutable")
    refused = page.ask("POST", f"{one}/rate", {"image": sha256, "stars": 6})
    assert (refused[0], "stars: must be" in refused[1]) == (400, True)
    assert page.ask("GET", "/api/experiments/nobody")[0] == 404
    assert page.ask("POST", "/api/experiments", {"definition": {"nam": 1}})[0] == 400
    assert workspace.left() != []


def test_a_player_gets_the_part_that_it_asks_for(deployment: Deployment) -> None:
    """With the media type by its content; what is neither video nor sound is not played, whatever it is called."""
    workspace, _, learning, page = deployment
    workspace.write("a.bin", "")
    (workspace.folder / "a.bin").write_bytes(data := tone())
    text = program(values=1, jobs=1, script=f'cp {workspace.folder}/a.bin "$3/a.html"')
    name = submit(workspace, text)
    wait_until(lambda: view_of(learning, name).status == "completed", what="the end")
    snapshot = json.loads(page.ask("GET", f"/api/experiments/{name}/snapshot")[1])
    sounds = {image["media_type"]: image["sha256"] for cell in snapshot["cells"] for image in cell["images"]}
    url = f"/media/{sounds['audio/wav']}"

    status, _, headers = page.ask("GET", url)
    assert (status, headers["content-type"], headers["content-length"]) == (200, "audio/wav", str(len(data)))
    assert (headers["accept-ranges"], headers["x-content-type-options"]) == ("bytes", "nosniff")
    status, body, headers = page.ask("GET", url, headers={"range": "bytes=8-11"})
    assert (status, body, headers["content-range"]) == (206, "WAVE", f"bytes 8-11/{len(data)}")
    status, body, headers = page.ask("GET", url, headers={"range": "bytes=-10"})
    assert (status, headers["content-length"]) == (206, "10")
    assert page.ask("GET", url, headers={"range": f"bytes={len(data)}-"})[0] == 416
    assert page.ask("GET", f"/media/{sounds['text/plain']}")[0] == 404
    assert page.ask("GET", "/media/" + "0" * 64)[0] == 404


PATHS = (
    "/media/../runner.db",
    "/images/../runner.db",
    "/images/%2e%2e%2frunner.db",
    "/images/..%5crunner.db",
    "/images/%252e%252e%252frunner.db",
    "/images//etc/passwd",
    "/images/%00",
    "/images/" + "0" * 64,
    "/images/" + "A" * 64,
    "/preview?job=../runner.db",
    "/preview?job=/etc/passwd",
    "/static/../__main__.py",
    "/static/%2e%2e/__main__.py",
    "/static/..%2f__main__.py",
    "/static//etc/passwd",
    "/nothing",
)


@pytest.mark.fault(item="B53")
def test_no_path_leads_to_a_file(deployment: Deployment) -> None:
    """What is not there, and what must not be seen, get the same answer, without an echo."""
    for path in PATHS:
        status, text, _ = deployment[3].ask("GET", path)

        assert status == 404, path
        assert "passwd" not in text
        assert "runner.db" not in text


@pytest.mark.fault(item="B59")
@pytest.mark.fault(item="B60")
def test_words_of_a_request_are_words(deployment: Deployment) -> None:
    """Anything else is a sentence that names the field."""
    for query in ("NaN", "-1", "1" * 30, "%F0%9F%98%80", "name;drop%20table%20ratings", ""):
        for field, key in (("order", "order"), ("states", "state")):
            status, text, _ = deployment[3].ask("GET", f"/api/experiments?{key}={query}")

            assert (status, field in text) == (400, True), query


@pytest.mark.fault(item="B58")
@pytest.mark.fault(item="B62")
def test_strange_requests_end_the_connection_and_nothing_else(deployment: Deployment) -> None:
    """Large headers, a broken length, HTTP/0.9, bytes that are no HTTP; the page is served as before."""
    page = deployment[3]
    host = f"Host: {page.address}\r\n".encode()
    for request in (
        b"GET / HTTP/1.1\r\n" + host + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"POST /api/plan HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET /\r\n",
        b"\x00\xff\x01" * 1000,
        b"GET /<script> HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n",
    ):
        try:
            answer = page.raw(request)
        except ConnectionError:
            answer = b""
        assert b"<script>" not in answer
        assert not answer.startswith(b"HTTP/1.1 200")
    assert page.ask("GET", "/")[0] == 200


def test_two_hundred_pages_are_served_and_slow_ones_slow_nobody(deployment: Deployment) -> None:
    """Half of them never read; an experiment goes through, the other half hears of its end."""
    workspace, _, learning, page = deployment
    request = f"GET /api/events HTTP/1.1\r\nHost: {page.address}\r\n\r\n".encode()
    with ExitStack() as stack:
        pages = [
            stack.enter_context(socket.create_connection(("127.0.0.1", page.port), PATIENCE * TIME_FACTOR))
            for _ in range(PAGES)
        ]
        for one in pages:
            one.sendall(request)
        heard = [b""] * PAGES

        def listen(wanted: bytes) -> bool:
            for number in range(0, PAGES, 2):
                pages[number].settimeout(0.01)
                try:
                    heard[number] += pages[number].recv(1 << 20)
                except TimeoutError:
                    continue
            return all(wanted in heard[number] for number in range(0, PAGES, 2))

        wait_until(lambda: listen(b"event: hello"), what="the pages")
        name = submit(workspace, pictures(values=2, jobs=2))
        wait_until(lambda: view_of(learning, name).status == "completed", what="the end")

        wait_until(lambda: listen(b'"status":"completed"'), what="the news")
    assert page.ask("GET", "/")[0] == 200


def test_a_stream_is_told_what_to_carry(deployment: Deployment) -> None:
    """By its name, with the token that came with it; a name that is none, and a list that is none, are refused."""
    workspace, _, learning, page = deployment
    with page.events("nobody") as events:
        name = submit(workspace, program(values=1, jobs=1, script=gate(workspace, 0)))
        assert page.ask("POST", f"/api/streams/{events.stream}", {"experiments": [name]})[:2] == (200, "{}")
        open_gate(workspace)
        assert name in events.next("message", "job.completed")
        wait_until(lambda: view_of(learning, name).status == "completed", what="the end")
        path = f"/api/streams/{events.stream}"
        assert page.ask("POST", path, {"experiments": "x"})[0] == 400
        assert page.ask("POST", path, {"experiment": []})[0] == 400
        assert page.ask("POST", path, {"experiments": ["x"] * 1001})[0] == 400
        assert page.ask("POST", path, {"experiments": []}, {"x-token": "another"})[0] == 403
    assert page.ask("POST", "/api/streams/nobody", {"experiments": []})[0] == 404


def test_what_a_browser_keeps_is_not_sent_again_and_what_is_sent_is_small(deployment: Deployment) -> None:
    """The code for ever under its hash, else with a tag; answers and code compressed where the browser takes that."""
    page = deployment[3]
    status, text, headers = page.ask("GET", "/")
    (address,) = re.findall(r'src="(/static/[0-9a-f]{16}/main.js)"', text)
    assert (status, headers["cache-control"]) == (200, "no-store")

    status, text, headers = page.ask("GET", address)
    assert (status, "immutable" in headers["cache-control"]) == (200, True)
    assert (headers["content-type"], "content-encoding" in headers) == ("text/javascript; charset=utf-8", False)
    status, text, headers = page.ask("GET", "/static/main.js")
    assert (status, headers["cache-control"]) == (200, "no-cache")
    assert page.ask("GET", "/static/main.js", headers={"if-none-match": headers["etag"]})[:2] == (304, "")
    assert page.ask("GET", "/static/main.js", headers={"if-none-match": '"other"'})[0] == 200
    status, _, headers = page.ask("GET", address, headers={"accept-encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert int(headers["content-length"]) < len(text)
    status, _, headers = page.ask("GET", "/api/pipelines", headers={"accept-encoding": "gzip"})
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "accept-encoding")
    assert page.ask("GET", address.replace("/main.js", "/nothing.js"))[0] == 404


def test_an_address_that_others_reach_needs_a_password(workspace: Workspace) -> None:
    """Without one it does not start; with one it asks for it."""
    services(workspace)
    refused = workspace.run("dashboard", "--host", "0.0.0.0", "--port", "0", code=2)  # noqa: S104 - refused
    assert "give --password-file" in refused.err
    workspace.write("short", "1234\n")
    assert "fewer than 8 characters" in workspace.run("dashboard", "--password-file", "short", code=2).err
    workspace.write("password", "open sesame\n")

    process = workspace.command("dashboard", "--host", "0.0.0.0", "--port", "0", "--password-file", "password")  # noqa: S104
    port = int(process.wait_for_line("listening").rpartition(":")[2])
    codes = []
    for headers in ({}, {"authorization": "Basic bWU6b3BlbiBzZXNhbWU="}):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE * TIME_FACTOR)) as connection:
            connection.request("GET", "/", headers=headers)
            codes.append(connection.getresponse().status)

    assert codes == [401, 200]
    assert "open sesame" not in process.errors()


def test_a_port_that_is_taken_is_a_sentence(deployment: Deployment) -> None:
    """With what to do."""
    workspace, runner, *_ = deployment

    taken = workspace.run("dashboard", "--port", str(parse_address(runner.control).port), code=2)

    assert "cannot bind port" in taken.err
    assert "choose another one with --port or VARIANTBUS_DASHBOARD_PORT" in taken.err


def test_a_dashboard_that_stops_tells_who_waits_and_ends_without_a_traceback(deployment: Deployment) -> None:
    """The learning service hangs, and a page waits for it up to a minute: longer than the dashboard waits for that."""
    _, _, learning, dashboard = deployment
    port = parse_address(learning.control).port
    process = psutil.Process(dashboard.process.popen.pid)

    def questions() -> int:
        return sum(bool(one.raddr) and one.raddr.port == port for one in process.net_connections("tcp"))

    learning.process.send(signal.SIGSTOP)
    before = questions()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(dashboard.ask, "POST", "/api/experiments/x/delete", {})
        wait_until(lambda: questions() > before, what="the question to the learning service")
        dashboard.process.popen.terminate()
        code, text, _ = waiting.result(PATIENCE * TIME_FACTOR)

    assert (code, json.loads(text)) == (503, {"error": "the dashboard is stopping"})
    wait_until(lambda: not dashboard.process.lives, what="the end of the dashboard")
    learning.process.send(signal.SIGCONT)
    assert dashboard.process.popen.returncode == 0
    assert "Traceback" not in dashboard.process.errors()


def test_a_result_that_is_no_picture_is_saved_and_never_shown_as_a_page(deployment: Deployment) -> None:
    """Its beginning is given as text; what is not there is said."""
    workspace, runner, _, dashboard = deployment
    script = "printf '<script>1</script>' > \"$3/page.html\""
    submit(workspace, program(values=1, jobs=1, script=script))
    wait_until(lambda: messages_of(whole_log(runner), JobCompleted), what="the job")
    (job,) = messages_of(whole_log(runner), JobCompleted)
    (page,) = [image for image in job.result.images if image.name == "page.html"]

    status, text, headers = dashboard.ask("GET", f"/files/{page.sha256}")

    assert (status, text) == (200, "<script>1</script>")
    assert headers["content-disposition"] == "attachment"
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    found = json.loads(dashboard.ask("GET", f"/api/files/{page.sha256}")[1])
    assert found == {"size": 18, "text": "<script>1</script>"}
    for path in ("/files/", "/api/files/"):
        assert dashboard.ask("GET", f"{path}{'0' * 64}")[0] == 404
        assert dashboard.ask("GET", f"{path}xyz")[0] == 404
