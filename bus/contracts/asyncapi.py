"""The AsyncAPI 3 document of both services, made of the Structs: `variantbus spec` prints it.

It speaks for the publishers: they send what is on the feeds, and receive what is asked on the control sockets. AsyncAPI
has no binding for ZeroMQ, so what is special to it stands in the extension `x-zmq`.
"""

import inspect
from typing import Any, Final, NamedTuple, get_args

import msgspec
from msgspec import Struct

from bus.contracts import fields, messages
from bus.contracts.methods import BOTH, LEARNING, METHODS, RUNNER, Method
from bus.contracts.schema_refs import referred
from bus.contracts.topics import (
    EVENT_REJECTED,
    EXPERIMENT_STATUS,
    IMAGE_RATED,
    IMAGES_COMPARED,
    JOB_COMPLETED,
    JOB_PROGRESS,
    JOB_QUEUED,
    JOB_SCORED,
    JOB_STARTED,
    RECOMMENDATION_UPDATED,
    VARIANT_PROGRESS,
    VARIANT_STATUS,
)
from bus.protocol import topics
from bus.protocol.control import (
    ID_LIMIT,
    ErrorBody,
)
from bus.protocol.frames import PROTOCOL, FeedFrame, HeartbeatFrame, Record

Json = dict[str, Any]
ASYNCAPI: Final = "3.0.0"
HOST: Final = "127.0.0.1"
CONTENT_TYPE: Final = "application/msgpack"
PORTS: Final = {"runnerFeed": 5560, "runnerControl": 5561, "learningFeed": 5570, "learningControl": 5571}
SERVICES: Final = {RUNNER: "runner", LEARNING: "learning service"}
PARAMETERS: Final = {
    "experiment": "The id of the experiment, percent-encoded as a token.",
    "index": "The number of the variant, from 0.",
}
VARIANT: Final = ("experiment", "index")


class Topic(NamedTuple):
    """The messages of one kind: who publishes them, and under which topic."""

    base: str
    tokens: tuple[str, ...]
    message: type[Struct]
    service: str
    logged: bool = True
    without_tokens: bool = False  # the bare topic exists too, for jobs of no experiment
    end: type[Struct] | None = None  # what is published last of such a topic


TOPICS: Final = (
    Topic(JOB_QUEUED, VARIANT, messages.JobQueued, RUNNER, without_tokens=True),
    Topic(JOB_STARTED, VARIANT, messages.JobStarted, RUNNER, without_tokens=True),
    Topic(JOB_COMPLETED, VARIANT, messages.JobCompleted, RUNNER, without_tokens=True),
    Topic(JOB_SCORED, VARIANT, messages.JobScored, RUNNER, without_tokens=True),
    Topic(JOB_PROGRESS, VARIANT, messages.JobProgress, RUNNER, logged=False, without_tokens=True),
    Topic(EXPERIMENT_STATUS, ("experiment",), messages.ExperimentStatus, LEARNING, end=messages.ExperimentDeleted),
    Topic(VARIANT_STATUS, VARIANT, messages.VariantStatus, LEARNING),
    Topic(VARIANT_PROGRESS, VARIANT, messages.VariantProgress, LEARNING, logged=False),
    Topic(IMAGE_RATED, VARIANT, messages.ImageRated, LEARNING),
    Topic(IMAGES_COMPARED, ("experiment",), messages.ImagesCompared, LEARNING),
    Topic(RECOMMENDATION_UPDATED, ("experiment",), messages.RecommendationUpdated, LEARNING),
    Topic(EVENT_REJECTED, (), messages.EventRejected, LEARNING),
)


def document() -> Json:
    """Build the whole document."""
    schemas = _Schemas()
    parts = _Parts()
    for topic in TOPICS:
        _add_topic(parts, schemas, topic)
    _add_heartbeat(parts, schemas)
    parts.messages["Error"] = _control_message(
        "Error", "Why a request was refused.", schemas.of(ErrorBody), ["request id", '"error"', "error"]
    )
    for method in METHODS:
        _add_method(parts, schemas, method)
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "variantbus",
            "version": str(PROTOCOL),
            "description": "What the runner and the learning service publish, and what can be asked of them. The rules "
            "behind it (gaps, epochs, heartbeats) are in docs/protocol.md.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": _servers(),
        "channels": parts.channels,
        "operations": parts.operations,
        "components": {
            "messages": parts.messages,
            "schemas": schemas.all,
            "correlationIds": {
                "requestId": {
                    "description": "The first frame of a request comes back as the first frame of its reply.",
                    "location": "$message.header#/request_id",
                }
            },
        },
    }


class _Parts:
    """The sections of the document that grow entry by entry."""

    def __init__(self) -> None:
        self.channels: Json = {}
        self.operations: Json = {}
        self.messages: Json = {}


class _Schemas:
    """The JSON Schemas of all Structs that travel."""

    def __init__(self) -> None:
        bodies = get_args(messages.Message)
        results = [method.result for method in METHODS]
        params = [method.params for method in METHODS]
        kinds = [*bodies, FeedFrame, HeartbeatFrame, Record, ErrorBody, *params, *results]
        refs, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
        self._refs = list(zip(kinds, refs, strict=True))
        what = f"A value of a configuration: lists and tables within each other have at most {fields.NESTING} levels."
        self.all: Json = _draft_7(referred(found, "ConfigValue", fields.ConfigValue, what))
        self.all["Message"] = {
            "title": "Message",
            "description": "One of the messages, told apart by `type`. A reader ignores types that it does not know.",
            "oneOf": [self.of(body) for body in bodies],
        }
        for kind in (FeedFrame, HeartbeatFrame, Record):
            items = self.all[kind.__name__]["items"]
            self.all[kind.__name__]["items"] = [
                _named(name, item) for name, item in zip(kind.__struct_fields__, items, strict=True)
            ]
        for kind in (FeedFrame, HeartbeatFrame):
            self.all[kind.__name__]["items"][0]["const"] = PROTOCOL
        for kind in (FeedFrame, Record):
            self.all[kind.__name__]["items"][-1] = {"$ref": "#/components/schemas/Message"}

    def of(self, kind: Any) -> Json:
        """Refer to the schema of a type; what is no Struct is written out."""
        return dict(next(ref for known, ref in self._refs if known == kind))

    def feed_frame(self, body: type[Struct]) -> Json:
        """Return the schema of the second frame of a feed message with this body."""
        frame: Json = self.all[FeedFrame.__name__]
        return {**frame, "title": f"{body.__name__}Frame", "items": [*frame["items"][:-1], self.of(body)]}


def _named(name: str, item: Json) -> Json:
    """Name an element of an array; beside a $ref nothing else may stand."""
    return item if "$ref" in item else {"title": name, **item}


def _draft_7(value: Any) -> Any:
    """Turn what msgspec writes (draft 2020-12) into what AsyncAPI takes (a superset of draft 7)."""
    if isinstance(value, list):
        return [_draft_7(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _draft_7(one) for key, one in value.items()}
    if isinstance(found.get("prefixItems"), list):
        if "items" in found:
            found["additionalItems"] = found.pop("items")
        found["items"] = found.pop("prefixItems")
    if isinstance(found.get("pattern"), str):
        # ECMAScript, which JSON Schema prescribes, would take these for letters
        found["pattern"] = found["pattern"].replace(r"\A", "^").replace(r"\Z", "$")
    if isinstance(found.get("description"), str):
        found["description"] = inspect.cleandoc(found["description"])  # as Python 3.13 does by itself
    return found


def _servers() -> Json:
    servers = {}
    for service, title in SERVICES.items():
        for part, socket, peer, what in (
            ("Feed", "PUB", "SUB", "What it publishes, fast and lossy."),
            ("Control", "ROUTER", "DEALER or REQ", "Answers questions."),
        ):
            name = f"{service}{part}"
            servers[name] = {
                "host": f"{HOST}:{{port}}",
                "protocol": "zmtp",
                "protocolVersion": "3",
                "title": f"{part} of the {title}",
                "description": what,
                "variables": {
                    "port": {
                        "default": str(PORTS[name]),
                        "description": f"Set by VARIANTBUS_{service.upper()}_{part.upper()}_PORT.",
                    }
                },
                "x-zmq": {"transport": "tcp", "socket": socket, "clientSocket": peer, "defaultPort": PORTS[name]},
            }
    return servers


def _add_topic(parts: _Parts, schemas: _Schemas, topic: Topic) -> None:
    kinds = [topic.message, topic.end] if topic.end else [topic.message]
    names = [kind.__name__ for kind in kinds]
    for kind in kinds:
        parts.messages[kind.__name__] = {
            "name": kind.__struct_config__.tag,
            "title": kind.__name__,
            "summary": _summary(kind),
            "contentType": CONTENT_TYPE,
            "payload": schemas.feed_frame(kind),
            "x-zmq": {"frames": ["topic", "payload"]},
        }
    channel = _camel(topic.base)
    notes = [
        "Logged: it has an offset, and can be fetched." if topic.logged else "Not logged: the offset is 0.",
    ]
    tokens = "".join(f"{{{token}}}." for token in topic.tokens)
    _add_feed_channel(parts, channel, topic.base + tokens, (topic.service,), names, " ".join(notes))
    if topic.tokens:
        parts.channels[channel]["parameters"] = {token: {"description": PARAMETERS[token]} for token in topic.tokens}
    parts.channels[channel]["x-zmq"]["logged"] = topic.logged
    if topic.without_tokens:
        notes.append("A job of no experiment.")
        _add_feed_channel(parts, f"{channel}Alone", topic.base, (topic.service,), names, " ".join(notes))
        parts.channels[f"{channel}Alone"]["x-zmq"]["logged"] = topic.logged


def _add_heartbeat(parts: _Parts, schemas: _Schemas) -> None:
    parts.messages["Heartbeat"] = {
        "name": "heartbeat",
        "title": "Heartbeat",
        "summary": "Where the log ends, and who speaks: every second, when asked for, and at closing.",
        "contentType": CONTENT_TYPE,
        "payload": schemas.of(HeartbeatFrame),
        "x-zmq": {"frames": ["topic", "payload"]},
    }
    _add_feed_channel(parts, "heartbeat", topics.HEARTBEAT, BOTH, ["Heartbeat"], "Not logged.")
    parts.channels["heartbeat"]["x-zmq"]["logged"] = False


def _add_feed_channel(
    parts: _Parts, channel: str, address: str, services: tuple[str, ...], names: list[str], description: str
) -> None:
    parts.channels[channel] = {
        "address": address,
        "description": description,
        "servers": [{"$ref": f"#/servers/{service}Feed"} for service in services],
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in names},
        "x-zmq": {"socket": "PUB", "topicFrame": address},
    }
    parts.operations[f"publish{channel[0].upper()}{channel[1:]}"] = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{one}"} for one in names],
    }


def _add_method(parts: _Parts, schemas: _Schemas, method: Method) -> None:
    stem = _camel(method.name)
    channel, name = f"{stem}Method", f"{stem[0].upper()}{stem[1:]}"
    asked, answered = f"{name}Request", f"{name}Reply"
    frames = ["request id", method.name, "params"]
    parts.messages[asked] = _control_message(asked, f"Asks `{method.name}`.", schemas.of(method.params), frames)
    frames = ["request id", '"ok"', "result"]
    parts.messages[answered] = _control_message(
        answered, f"Answers `{method.name}`.", schemas.of(method.result), frames
    )
    parts.channels[channel] = {
        "address": method.name,
        "description": f"The method `{method.name}` of the control socket.",
        "servers": [{"$ref": f"#/servers/{service}Control"} for service in method.services],
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in (asked, answered, "Error")},
        "x-zmq": {"socket": "ROUTER", "methodFrame": method.name, "role": method.role},
    }
    own = f"#/channels/{channel}"
    parts.operations[f"answer{name}"] = {
        "action": "receive",
        "channel": {"$ref": own},
        "messages": [{"$ref": f"{own}/messages/{asked}"}],
        "reply": {
            "channel": {"$ref": own},
            "messages": [{"$ref": f"{own}/messages/{one}"} for one in (answered, "Error")],
        },
    }


def _control_message(name: str, summary: str, payload: Json, frames: list[str]) -> Json:
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {
                "request_id": {"type": "string", "maxLength": ID_LIMIT, "description": "The first frame: bytes."}
            },
        },
        "correlationId": {"$ref": "#/components/correlationIds/requestId"},
        "payload": payload,
        "x-zmq": {"frames": frames},
    }


def _summary(kind: type[Struct]) -> str:
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def _camel(dotted: str) -> str:
    first, *rest = dotted.strip(".").split(".")
    return first + "".join(word.capitalize() for word in rest)
