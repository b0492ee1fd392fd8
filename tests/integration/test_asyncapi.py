"""The AsyncAPI document: docs/asyncapi.json is what the code generates, and that is sound and complete."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import click
import pytest
from click.testing import CliRunner

from bus.console.options import LEARNING_CONTROL, RUNNER_CONTROL
from bus.contracts.asyncapi import PORTS, SERVICES, document
from bus.contracts.fields import INT64_MAX
from bus.contracts.messages import Message
from bus.contracts.methods import METHODS
from bus.protocol import topics
from bus.protocol.frames import FeedFrame
from bus.transport.server import MethodServer
from learning_service.main import main as learning_command
from pipeline_runner.main import main as runner_command
from tests.support.learning_services import HeldPipeline, Services
from variantbus.cli.main import main

ROOT: Final = Path(__file__).parents[2]
COPY: Final = ROOT / "docs" / "asyncapi.json"
DOCUMENT: Final = document()
ROW = re.compile(r"^\| (?P<topics>`[a-z].*?) \| (?P<service>[a-z ]+) \| (?P<logged>yes|no|as above) \|$", re.MULTILINE)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every map inside a value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from nodes(one)


def resolve(ref: str) -> Any:
    """Return what a reference inside the document points to."""
    start, *steps = ref.split("/")
    assert start == "#", ref
    found: Any = DOCUMENT
    for step in steps:
        assert step in found, f"{ref}: there is no {step}"
        found = found[step]
    return found


def test_the_checked_in_copy_is_what_the_code_generates() -> None:
    """Whoever changes a Struct or a topic renews docs/asyncapi.json."""
    result = CliRunner().invoke(main, ["spec"])

    assert result.exit_code == 0
    assert result.stdout == COPY.read_text(encoding="utf-8"), "run `variantbus spec > docs/asyncapi.json`"


def test_the_document_has_the_form_of_asyncapi_3() -> None:
    """Every section that AsyncAPI 3 prescribes is there, and nothing at the top that it does not know."""
    assert list(DOCUMENT) == [
        "asyncapi",
        "info",
        "defaultContentType",
        "servers",
        "channels",
        "operations",
        "components",
    ]
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"].keys() >= {"title", "version"}
    for server in DOCUMENT["servers"].values():
        assert set(re.findall(r"\{(\w+)\}", server["host"])) == server["variables"].keys()
        assert server["protocol"] == "zmtp"


def test_every_reference_resolves_and_stands_alone() -> None:
    """In JSON Schema draft 7 whatever stands beside a $ref is ignored, so nothing does."""
    found = [node for node in nodes(DOCUMENT) if "$ref" in node]

    assert found
    for node in found:
        assert list(node) == ["$ref"]
        assert resolve(node["$ref"])


def test_every_component_is_used() -> None:
    """Nothing is left over from a Struct that no longer travels."""
    used = {node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node}
    for section in ("messages", "schemas", "correlationIds"):
        for name in DOCUMENT["components"][section].keys() - {"FeedFrame"}:
            assert f"#/components/{section}/{name}" in used


def test_channels_operations_and_messages_fit_together() -> None:
    """An operation has messages of its channel only, a channel has its parameters, and each channel an operation."""
    operations = DOCUMENT["operations"].values()
    for operation in operations:
        assert operation["action"] in {"send", "receive"}
        for part in (operation, operation.get("reply", operation)):
            own = part["channel"]["$ref"]
            assert part["messages"]
            for message in part["messages"]:
                assert message["$ref"].startswith(f"{own}/messages/")
    for name, channel in DOCUMENT["channels"].items():
        assert channel["messages"], name
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == channel.get("parameters", {}).keys()
        assert [operation["channel"]["$ref"] for operation in operations].count(f"#/channels/{name}") == 1


def test_messages_are_msgpack_with_frames_and_a_schema() -> None:
    """A client sees from each message what its frames are, and how the last one is made."""
    for message in DOCUMENT["components"]["messages"].values():
        assert message["contentType"] == "application/msgpack"
        assert message["payload"]
        assert len(message["x-zmq"]["frames"]) in {2, 3}


def test_schemas_are_draft_7() -> None:
    """AsyncAPI's own schemas are a superset of draft 7, and patterns are those of ECMAScript."""
    for node in nodes(DOCUMENT):
        assert not node.keys() & {"prefixItems", "$defs"}
        pattern = node.get("pattern")
        assert not isinstance(pattern, str) or not re.search(r"\\[AZ]", pattern)


def test_every_message_has_a_channel_and_its_body_in_the_frame() -> None:
    """A message that is added to the union is added to the document too."""
    for kind in get_args(Message):
        name = kind.__name__
        payload = DOCUMENT["components"]["messages"][name]["payload"]
        assert [item.get("title") for item in payload["items"][:-1]] == list(FeedFrame.__struct_fields__[:-1])
        assert payload["items"][-1] == {"$ref": f"#/components/schemas/{name}"}
        assert resolve(f"#/components/schemas/{name}")["required"][0] == "type"
        assert any(name in channel["messages"] for channel in DOCUMENT["channels"].values())


def from_page() -> dict[str, tuple[str, bool]]:
    """Return the topics of docs/protocol.md with publisher and whether they are logged."""
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    found: dict[str, tuple[str, bool]] = {}
    for row in ROW.finditer(page):
        for topic in re.findall(r"`([^`]+)`", row["topics"]):
            address = re.sub(r"[A-Z]+", lambda word: f"{{{word[0].lower()}}}", topic)
            # "as above": the rows of the same topics with their tokens
            above = [logged for one, (_, logged) in found.items() if one.startswith(address)]
            found[address] = (row["service"], above[0] if row["logged"] == "as above" else row["logged"] == "yes")
    return found


def test_the_channels_are_the_topics_of_the_protocol_page() -> None:
    """Address, publisher and what is logged are told the same way in both places."""
    found = {}
    for channel in DOCUMENT["channels"].values():
        if "topicFrame" in channel["x-zmq"] and channel["address"] != topics.HEARTBEAT:
            (server,) = (one["$ref"].removeprefix("#/servers/").removesuffix("Feed") for one in channel["servers"])
            found[channel["address"]] = (SERVICES[server], channel["x-zmq"]["logged"])

    assert found == from_page()


def default_of(command: click.Command, option: str) -> object:
    """Return the default of a command's option."""
    return next(parameter.default for parameter in command.params if parameter.name == option)


@pytest.mark.parametrize(
    ("service", "command", "control"),
    [("runner", runner_command, RUNNER_CONTROL), ("learning", learning_command, LEARNING_CONTROL)],
)
def test_the_ports_are_the_defaults_of_the_commands(service: str, command: click.Command, control: str) -> None:
    """A client that connects as the document says finds a service that was started without options."""
    assert default_of(command, "feed_port") == PORTS[f"{service}Feed"]
    assert default_of(command, "control_port") == PORTS[f"{service}Control"]
    assert control.endswith(f":{PORTS[f'{service}Control']}")


def check_methods(service: str, methods: MethodServer) -> None:
    """Compare what a service answers with what the document says of it."""
    documented = {method.name: method for method in METHODS if service in method.services}
    assert methods._methods.keys() == documented.keys()
    for name, method in methods._methods.items():
        assert method.decoder.type is documented[name].params, name
        assert method.role == documented[name].role, name
        if returned := get_type_hints(method.handler).get("return"):  # a lambda says nothing of it
            result = get_args(returned)[-1] if method.takes_steps else returned
            assert result == documented[name].result, name


def test_the_methods_are_those_that_the_services_answer(services: Services) -> None:
    """Names, parameters and results are those of the services' own code."""
    runner = services.runner(HeldPipeline())
    learning = services.learning(str(runner.service.publisher.control))

    check_methods("runner", runner.service.publisher.methods)
    check_methods("learning", learning.service.publisher.methods)


def test_the_protocol_page_says_of_each_command_whether_it_may_be_repeated() -> None:
    """A client that got no answer finds its method in one row."""
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    table = page.partition("| methods | again? |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")]
    named = [name for row in rows for name in re.findall(r"`([a-z]+\.[a-z]+)`", row)]

    assert sorted(named) == sorted(method.name for method in METHODS if method.role == "command")


def test_the_document_is_the_same_each_time_and_keeps_64_bits() -> None:
    """It can be compared as text, and integers that no double holds stay what they are."""
    text = json.dumps(document())

    assert text == json.dumps(DOCUMENT)
    assert str(INT64_MAX) in text
