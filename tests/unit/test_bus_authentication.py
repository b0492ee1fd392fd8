"""The answers to libzmq's questions (ZAP), without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from bus.transport.authentication import zap_reply

KEY = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
QUESTION = [b"peer", b"", b"1.0", b"7", b"variantbus", b"10.0.0.9", b"", b"CURVE", z85.decode(KEY)]


def test_a_listed_key_is_let_in_under_its_own_name() -> None:
    """The User-Id of all its frames is its key."""
    assert zap_reply(QUESTION, lambda key, address: (key, address) == (KEY, "10.0.0.9")) == [
        *(b"peer", b"", b"1.0", b"7", b"200", b"OK", KEY.encode(), b"")
    ]


def test_a_stranger_is_told_to_come_later() -> None:
    """After a 300 libzmq tries again; after a 400 it never would."""
    assert zap_reply(QUESTION, lambda *_: False)[4:] == [b"300", b"not enrolled", b"", b""]


@pytest.mark.parametrize(
    ("place", "frame"), [(2, b"2.0"), (7, b"NULL"), (7, b"PLAIN"), (8, b""), (8, b"x" * 31), (8, b"x" * 33)]
)
def test_a_question_that_is_not_understood_lets_nobody_in(place: int, frame: bytes) -> None:
    """Another version, another mechanism, a key of another length."""
    frames = [*QUESTION[:place], frame, *QUESTION[place + 1 :]]

    assert zap_reply(frames, lambda *_: True)[3:] == [b"7", b"500", b"not understood", b"", b""]


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_random_frames_let_nobody_in(frames: list[bytes]) -> None:
    """And never raise."""
    assert zap_reply(frames, lambda *_: True)[-4] == b"500"
