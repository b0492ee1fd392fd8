"""What services get of a message, each in its own form."""

import io
import json
import logging
from pathlib import Path
from typing import Any, Final

import pytest
import urllib3

from bus.config.settings import NotifySettings
from variantbus.notify.news import Message
from variantbus.notify.sending import send
from variantbus.notify.targets import FOLDER, targets

TEXT: Final = "The newest error: <lora:ink:1> & <b> are not there.\nvariantbus rate cfg-1 --next"
SERVICES: Final = {
    "ntfy": "ntfy://my-experiments",
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "telegram": "tgram://123456789:abcdefg_hijklmnop/12315544",
}
MOST: Final = {"discord": 2000, "telegram": 4096}  # characters of a message that these take


class Wire:
    """What would be sent, and the status that it is answered with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of the connections."""
        self.status, self.bodies = 200, list[dict[str, Any]]()
        wire = self

        def urlopen(*_: Any, body: bytes | str, **__: Any) -> urllib3.HTTPResponse:
            wire.bodies.append(json.loads(body))
            return urllib3.HTTPResponse(io.BytesIO(b"ok"), status=wire.status, preload_content=False)

        monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", urlopen)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Return what is sent from now on."""
    return Wire(monkeypatch)


def message(text: str = TEXT) -> Message:
    """Return a message."""
    return Message(title="CFG: ended", text=text, data={"title": "CFG: ended", "text": text})


@pytest.mark.parametrize(
    ("service", "text"),
    [
        ("ntfy", lambda body: body["message"]),
        ("discord", lambda body: body["content"] if "content" in body else body["embeds"][0]["description"]),
        ("slack", lambda body: body["attachments"][0]["text"]),
        ("telegram", lambda body: body["text"]),
    ],
)
def test_each_service_gets_the_words_in_its_own_form(wire: Wire, service: str, text: Any) -> None:
    """Where a `<` begins a mark it is written so that it does not; a service that refuses is no success."""
    assert send(SERVICES[service], message()) == ""

    (body,) = wire.bodies
    found = text(body)
    escapes = service in ("slack", "telegram")
    assert ("&lt;lora:ink:1&gt; &amp; &lt;b&gt;" if escapes else "<lora:ink:1> & <b>") in found, found
    assert "variantbus rate cfg-1 --next" in found
    wire.status = 400
    assert send(SERVICES[service], message()) == "the service did not take it"


@pytest.mark.parametrize("service", MOST)
def test_what_is_too_long_for_one_message_comes_in_several(wire: Wire, service: str) -> None:
    """The service would refuse it, and nobody would be told at all."""
    assert send(SERVICES[service], message("word " * 2000)) == ""

    told = [str(body.get("content") or body.get("text")) for body in wire.bodies]
    assert sum(text.count("word") for text in told) == 2000
    assert max(map(len, told)) <= MOST[service]


def test_a_damaged_file_of_an_experiment_keeps_nobody_else_from_being_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of the config file are told all the same, and the log names the file."""
    path = tmp_path / FOLDER / "cfg-1.json"
    path.parent.mkdir()
    path.write_bytes(b"{")

    with caplog.at_level(logging.ERROR):
        found = targets(tmp_path, "cfg-1", NotifySettings(urls=["https://host/hook"]))

    assert [one.url for one in found.values()] == ["https://host/hook"]
    assert f"{path}: cannot be read" in caplog.text
