"""A method server that lets another service answer what it does not know."""

import msgspec
from msgspec import Raw

from bus.protocol.control import ControlError, NoParams, Role
from bus.transport.server import MethodServer
from bus.transport.steps import Steps

encode = msgspec.msgpack.encode


def server(asked: list[tuple[str, object, Role]]) -> MethodServer:
    """Return a server that knows one method itself."""
    methods = MethodServer()
    methods.add("info", NoParams, lambda _: {"here": True}, role="read")

    def others(method: str, params: Raw, role: Role) -> Steps[object]:
        asked.append((method, msgspec.msgpack.decode(params), role))
        yield None
        if method == "broken":
            raise ControlError("unavailable", "nobody leads")
        return Raw(encode({"there": True}))

    methods.pass_on(others)
    return methods


def test_what_is_not_here_is_passed_on_with_the_role() -> None:
    """In steps, and the answer comes as it is."""
    asked: list[tuple[str, object, Role]] = []
    methods = server(asked)
    frames = [b"1", b"experiment.list", encode({"limit": 3})]

    assert methods.takes_steps(frames)
    assert methods.answer(frames, "read") == [b"1", b"ok", encode({"there": True})]
    assert methods.answer([b"2", b"rate", b""]) == [b"2", b"ok", encode({"there": True})]
    assert asked == [("experiment.list", {"limit": 3}, "read"), ("rate", {}, "command")]


def test_what_is_here_is_answered_here() -> None:
    """At once."""
    asked: list[tuple[str, object, Role]] = []
    methods = server(asked)

    assert not methods.takes_steps([b"1", b"info", b""])
    assert methods.answer([b"1", b"info", b""]) == [b"1", b"ok", encode({"here": True})]
    assert asked == []


def test_errors_come_as_they_are_and_names_of_others_are_not_counted() -> None:
    """A peer must not decide how many numbers we keep; who has no key is not asked for."""
    asked: list[tuple[str, object, Role]] = []
    methods = server(asked)
    reply = methods.answer([b"1", b"broken", b""])
    none = methods.answer([b"1", b"rate", b""], None)

    assert reply[1] == none[1] == b"error"
    assert msgspec.msgpack.decode(reply[2])["message"] == "nobody leads"
    assert msgspec.msgpack.decode(none[2])["code"] == "unauthorized"
    assert [labels["method"] for _, labels, _ in methods.points()] == ["unknown", "unknown"]
    assert len(asked) == 1
