"""Being told: by a webhook, after faults of every kind once, and with no secret anywhere it could be read."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.support.experiment_files import gate, open_gate, program, services
from tests.support.helpers import wait_until
from tests.support.workspace import START_SECONDS, Running, Workspace, sentence_of, wait_for_jobs

SECRET = "a-secret-token"  # noqa: S105 - of the test


class Hook:
    """A webhook that answers as it is told, and keeps what it took."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.status, self.asked = 200, 0
        self.taken: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.status  # once: whoever sees that it was asked may change it at once
                if status == 200:
                    hook.taken.append(json.loads(body))
                hook.asked += 1
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """The address, with a secret in it."""
        return f"http://127.0.0.1:{self._server.server_port}/hook?token={SECRET}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """Return a webhook."""
    made = Hook()
    yield made
    made.close()


def notifier(workspace: Workspace) -> Running:
    """Start `variantbus notify`."""
    running = workspace.command("notify")
    wait_until(lambda: "are told" in running.errors(), START_SECONDS, what="the notifier")
    return running


def told(hook: Hook, count: int) -> list[dict[str, Any]]:
    """Wait until so many messages have come, and return them."""
    wait_until(lambda: len(hook.taken) >= count, 20, what=f"{count} messages")
    return hook.taken


def run(workspace: Workspace, text: str, *options: str) -> str:
    """Plan an experiment and return its id."""
    return workspace.run("experiment", "run", workspace.write("experiment.toml", text), *options).out.strip()


def with_notify(text: str, hook: Hook, on: str = '["end", "failure", "stars"]') -> str:
    """Return an experiment file that tells a webhook."""
    return f'{text}\n[notify]\nurls = ["{hook.url}"]\non = {on}\n'


@pytest.mark.fault(item="F182")
def test_an_end_is_told_once_whatever_is_killed(workspace: Workspace, hook: Hook) -> None:
    """The webhook is down at first, the notifier is killed while its message waits; and the secret is nowhere."""
    workspace.environment["VARIANTBUS_DATA_DIR"] = str(workspace.folder / "data")
    _, learning = services(workspace)
    first = notifier(workspace)
    hook.status = 503
    experiment_id = run(workspace, with_notify(program(values=2, jobs=1, script=gate(workspace, 0)), hook, '["end"]'))
    open_gate(workspace)
    wait_for_jobs(learning, experiment_id, 2)
    wait_until(lambda: hook.asked > 0, 20, what="the first try")
    first.kill()
    hook.status = 200

    second = notifier(workspace)

    (message,) = told(hook, 1)
    assert message["events"] == ["end"]
    assert message["experiment_id"] == experiment_id
    assert message["totals"]["completed"] == 2
    another = run(workspace, with_notify(program(values=1, jobs=1, script="exit 3"), hook))
    assert [one["experiment_id"] for one in told(hook, 2)] == [experiment_id, another]
    assert "failure" in hook.taken[1]["events"]
    assert second.terminate() == 0
    assert len(hook.taken) == 2, "nothing is told twice"
    exported = workspace.run("experiment", "export", experiment_id).out
    assert SECRET not in exported
    for process in workspace.started:
        assert SECRET not in process.errors() + process.text(), process.name
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in (workspace.folder / "data").glob("*.*"))
    workspace.run("backup", "backup", "--data-dir", "data")  # of the services' databases, whoever else has one


def test_a_clone_is_told_as_its_original_and_changes_what_is_set(workspace: Workspace, hook: Hook) -> None:
    """A file that extends another, with a setting changed; then a clone of it, which says what it was made from."""
    workspace.environment["VARIANTBUS_DATA_DIR"] = str(workspace.folder / "data")
    services(workspace)
    base = workspace.write("base.toml", with_notify(program(values=3, jobs=2), hook, '["end"]'))
    child = workspace.write("child.toml", f'extends = "{base.name}"\nname = "Child"\n')

    started = workspace.run("experiment", "run", child, "--set", "jobs_per_variant=1", "--set", "variable.values=7,8")
    one = started.out.strip()
    assert "nobody is told yet" in started.err
    workspace.run("watch", one)
    other = workspace.run("experiment", "clone", one, "--set", "variable.values=[9]", "--follow").out.split()[0]

    view = workspace.run("experiment", "show", other, "--json").json
    assert view["definition"]["name"] == "Child"
    assert [variant["variant_value"] for variant in view["variants"]] == [9]
    assert view["definition"]["origin"] == f"clone of {one}, variable.values=[9]"
    history = workspace.run("history", "--json").json["experiments"]
    assert [made["origin"] for made in history] == [
        "child.toml, jobs_per_variant=1, variable.values=7,8",
        view["definition"]["origin"],
    ]
    assert [
        found["experiment_id"] for found in workspace.run("experiment", "list", "--search", "CHILD.toml", "--json").json
    ] == [one]
    notifier(workspace)
    assert {message["experiment_id"] for message in told(hook, 2)} == {one, other}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ntfy", "notify.urls #1: is no URL; write one such as https://… or ntfy://…"),
        ("http://[::1/" + SECRET, "notify.urls #1: is no URL; check its brackets"),
        (f"nothing://{SECRET}", "notify.urls #1: nothing:// with these parts is no service that Apprise knows"),
    ],
)
def test_a_bad_address_is_refused_and_not_shown(workspace: Workspace, url: str, said: str) -> None:
    """Before anything is asked; it may hold a secret."""
    text = f'{program()}\n[notify]\nurls = ["{url}"]\n'

    refused = workspace.run("experiment", "run", workspace.write("experiment.toml", text), code=2)

    assert sentence_of(refused) == said
    assert SECRET not in refused.err


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.toml": 'extends = "a.toml"'}, "a.toml extends this file itself; remove one of the two"),
        ({"a.toml": 'extends = "b.toml"', "b.toml": 'extends = "a.toml"'}, "extends this file itself"),
        ({"a.toml": "extends = 3"}, "must be the path of an experiment file"),
        ({"a.toml": 'extends = "none.toml"'}, "none.toml: cannot be read (No such file or directory); check the path"),
        ({"a.toml": 'name = "A"\norigin = "x"'}, "origin: is filled in by itself; remove it"),
        ({"a.toml": 'name = "A"\n[notify]\nurls = []'}, "notify.urls"),
    ],
)
def test_a_bad_template_is_refused(workspace: Workspace, files: dict[str, str], said: str) -> None:
    """In one sentence that names the file."""
    for name, text in files.items():
        workspace.write(name, text)

    refused = workspace.run("experiment", "run", "a.toml", code=2)

    assert said in sentence_of(refused)
