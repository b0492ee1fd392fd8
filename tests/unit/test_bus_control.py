"""The answering half of the control socket: whatever arrives becomes a reply."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.eventlog.errors import BodyTooLargeError, StorageError
from bus.protocol.control import ControlError, ErrorBody, NoParams, Role, error_decoder
from bus.protocol.validation import InvalidInputError
from bus.publisher import REFUSALS
from bus.telemetry.logging import REPEATS_A_MINUTE
from bus.transport.server import MethodServer
from tests.support.helpers import answers


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of the test's methods."""

    number: int = 1
    how: str = "well"


def handle(params: Params) -> object:
    """Do as the parameters say."""
    match params.how:
        case "well":
            return {"doubled": params.number * 2}
        case "not found":
            raise ControlError("not_found", "there is none", {"number": "1"})
        case "invalid":
            raise InvalidInputError("number: must be odd")
        case "unspeakable":
            return object()
        case "full":
            raise StorageError("the disk is full")
        case "large":
            raise BodyTooLargeError("message of 2 bytes on a.: the limit is 1")
        case _:
            raise ZeroDivisionError("secret")


@pytest.fixture
def methods() -> MethodServer:
    """Make a service with two methods."""
    methods = MethodServer(REFUSALS)
    methods.add("double", Params, handle)
    methods.add("triple", Params, handle)
    return methods


def ask(methods: MethodServer, method: str, params: object) -> tuple[str, dict[str, Any]]:
    """Return the status and the result of a request."""
    reply = methods.answer([b"id", method.encode(), msgspec.msgpack.encode(params)])
    assert reply[0] == b"id"
    return reply[1].decode(), cast("dict[str, Any]", msgspec.msgpack.decode(reply[2]))


def test_a_good_request_is_answered_with_ok(methods: MethodServer) -> None:
    """The reply repeats the request's id and holds what the handler returned."""
    assert ask(methods, "double", {"number": 4}) == ("ok", {"doubled": 8})


@pytest.mark.parametrize("params", [b"", b"\x80"])
def test_no_parameters_are_an_empty_map(methods: MethodServer, params: bytes) -> None:
    """A simple client may leave the frame empty."""
    assert methods.answer([b"id", b"double", params]) == [b"id", b"ok", msgspec.msgpack.encode({"doubled": 2})]


@pytest.mark.parametrize("request_id", [b"", b"\0\xff", b"x" * 64])
def test_the_id_comes_back_whatever_it_is(methods: MethodServer, request_id: bytes) -> None:
    """A REQ socket's empty delimiter is an id, too."""
    reply = methods.answer([request_id, b"double", b""])

    assert reply[0] == request_id


def test_an_unknown_method_is_told_what_was_perhaps_meant(methods: MethodServer) -> None:
    """With nothing near, all methods are listed."""
    status, near = ask(methods, "doubel", {})
    _, far = ask(methods, "zzz", {})

    assert (status, near["code"]) == ("error", "unknown_method")
    assert near["message"] == "method 'doubel' is unknown; did you mean 'double'?"
    assert far["message"] == "method 'zzz' is unknown; known are: double, triple"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"number": "4"}, "number: must be a whole number, not text"),
        ({"numbre": 4}, "numbre: unknown key; did you mean 'number'?"),
        ([], "input: must be a table, not a list; its keys are number, how"),
        ({"how": "invalid"}, "number: must be odd"),
    ],
)
def test_invalid_parameters_are_named(methods: MethodServer, params: object, text: str) -> None:
    """Also what only the handler can judge."""
    assert ask(methods, "double", params) == (
        "error",
        {"code": "invalid_request", "message": text, "details": {}},
    )


def test_a_handlers_own_error_reaches_the_client(methods: MethodServer) -> None:
    """Code, text and details."""
    assert ask(methods, "double", {"how": "not found"}) == (
        "error",
        {"code": "not_found", "message": "there is none", "details": {"number": "1"}},
    )


@pytest.mark.parametrize(("how", "kind"), [("crash", "ZeroDivisionError"), ("unspeakable", "TypeError")])
def test_a_handler_that_fails_is_an_internal_error(
    methods: MethodServer, how: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns the kind, the log has the traceback, and the service goes on; the error's text stays here."""
    status, error = ask(methods, "double", {"how": how})

    assert (status, error["code"]) == ("error", "internal")
    assert error["message"] == f"double failed: {kind}; see the service's log"
    assert "Traceback" in caplog.text
    assert ask(methods, "double", {})[0] == "ok"


def test_a_full_disk_is_one_sentence_and_no_traceback(methods: MethodServer, caplog: pytest.LogCaptureFixture) -> None:
    """It is no bug: the client learns what to do, and may ask again."""
    status, error = ask(methods, "double", {"how": "full"})

    assert (status, error["code"]) == ("error", "unavailable")
    assert error["message"] == "the disk is full; make room and try again"
    assert "Traceback" not in caplog.text


@pytest.mark.fault(item="B1")
@pytest.mark.parametrize(
    "frames", [[], [b"id"], [b"id", b"double"], [b"id", b"double", b"", b""], [b"x" * 65, b"double", b""]]
)
def test_what_has_not_the_form_of_a_request_is_dropped(methods: MethodServer, frames: list[bytes]) -> None:
    """It cannot be answered, as nobody knows what its id is."""
    assert not methods.accepts(frames)


@given(st.lists(st.binary(max_size=70), max_size=5))
def test_random_frames_never_raise(frames: list[bytes]) -> None:
    """Every message gets a well-formed reply, or none."""
    methods = MethodServer()
    methods.add("double", Params, handle)

    if methods.accepts(frames):
        reply = methods.answer(frames)
        assert len(reply) == 3
        assert reply[1] in (b"ok", b"error")


@given(st.binary(max_size=40) | st.just(b"double"), st.binary(max_size=40))
def test_random_requests_get_an_error_that_can_be_read(method: bytes, params: bytes) -> None:
    """The error has one of the declared codes and a text."""
    methods = MethodServer()
    methods.add("double", Params, handle)

    reply = methods.answer([b"id", method, params])

    if reply[1] == b"error":
        assert error_decoder.decode(reply[2]).message


def test_what_would_be_too_large_to_publish_is_refused_as_such(methods: MethodServer) -> None:
    """A smaller limit than the default is no bug, and the log needs no traceback of it."""
    kind, error = ask(methods, "double", {"how": "large"})

    assert (kind, error["code"]) == ("error", "too_large")
    assert error["message"] == "message of 2 bytes on a.: the limit is 1; put large values in a file"


def test_a_method_is_for_commanders_unless_it_says_otherwise(methods: MethodServer) -> None:
    """Who forgets to declare a role has declared the safe one."""
    methods.add("look", Params, handle, role="read")

    def code(method: bytes, role: Role | None) -> str:
        reply = methods.answer([b"id", method, b""], role)
        return "ok" if reply[1] == b"ok" else error_decoder.decode(reply[2]).code

    assert [code(b"look", role) for role in ("command", "read", None)] == ["ok", "ok", "unauthorized"]
    assert [code(b"double", role) for role in ("command", "read", None)] == ["ok", "unauthorized", "unauthorized"]
    assert code(b"zzz", "read") == "unknown_method"
    assert code(b"zzz", None) == "unauthorized"  # a stranger learns nothing of what there is
    assert answers(methods) == {"ok": 3, "unauthorized": 4, "unknown_method": 1}


def test_a_refused_role_is_told_what_to_do(methods: MethodServer) -> None:
    """One sentence; the handler is not called."""
    reply = methods.answer([b"id", b"double", msgspec.msgpack.encode({"how": "crash"})], "read")

    assert error_decoder.decode(reply[2]) == ErrorBody(
        code="unauthorized",
        message="double needs the role command, your key has read; have its line in the peers file changed",
    )


def test_a_flood_of_garbage_is_counted_and_is_no_flood_in_the_log(
    methods: MethodServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A peer decides how much it sends, not how much we write; and nothing of what it sent is written."""
    for _ in range(1000):
        methods.accepts([b"secret"])
        methods.answer([b"id", b"double", msgspec.msgpack.encode({"how": "crash"})])

    assert answers(methods) == {"dropped": 1000, "internal": 1000}
    assert len(caplog.records) == 2 * REPEATS_A_MINUTE  # of each kind
    assert "secret" not in "".join(record.getMessage() for record in caplog.records)


def test_large_results_share_their_memory_and_small_ones_do_not() -> None:
    """To get memory for a page of events takes longer than to fill it; a small reply may be kept."""
    methods = MethodServer()
    sizes = iter([100_000, 200_000, 5, 6])
    methods.add("bytes", NoParams, lambda _: b"x" * next(sizes))

    replies = [methods.answer([b"id", b"bytes", b""])[2] for _ in range(4)]

    assert replies[0] is replies[1]
    assert [msgspec.msgpack.decode(reply) for reply in replies[2:]] == [b"x" * 5, b"x" * 6]
