"""The lines of a `peers` file, and what is a key; the files themselves are in the integration tests."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bus.protocol.validation import InvalidInputError
from bus.transport.keys import Client, Peers, check_key, parse_peers

ONE = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"  # the two examples of RFC 26's reference
TWO = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"


def test_lines_are_clients_with_roles_and_servers_by_host() -> None:
    """Comments and empty lines say nothing; white space separates."""
    text = f"# ours\n\n  read\tlaptop   {ONE}\ncommand robot-2 {TWO}\r\nserver 10.0.0.5 {TWO}\n#{ONE}\n"

    assert parse_peers(text) == Peers(
        clients={ONE: Client("read", "laptop"), TWO: Client("command", "robot-2")}, servers={"10.0.0.5": TWO}
    )


@pytest.mark.parametrize("text", ["", "\n\n", "# nobody\n"])
def test_an_empty_file_lists_nobody(text: str) -> None:
    """It is what keygen makes."""
    assert parse_peers(text) == Peers({}, {})


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"read {ONE}", "has 2 words instead of three; write ROLE NAME KEY"),
        (f"read my laptop {ONE}", "has 4 words instead of three"),
        (f"admin laptop {ONE}", "there is no role 'admin'; write read, command or server"),
        (f"Read laptop {ONE}", "there is no role 'Read'"),
        (f"read läptop {ONE}", "the name must be of letters"),
        (f"read laptop {ONE[:-1]}", r"is no key \(39 characters\)"),
        (f"read laptop {ONE}x", r"is no key \(41 characters\)"),
        (f"read {ONE} laptop", r"is no key \(6 characters\)"),
        (f"command again {TWO}", "this key has a line already, as first; keep one"),
        (f"server host {ONE}\nserver host {TWO}", "host has a line already; a host has one key"),
    ],
)
def test_a_line_that_makes_no_sense_is_named_by_its_number(line: str, what: str) -> None:
    """The whole file is refused: a typing error must not let somebody in, or lock somebody out, without a word."""
    with pytest.raises(InvalidInputError, match=rf"^peers line [34]: {what}"):
        parse_peers(f"# first\nread first {TWO}\n{line}\n")


@pytest.mark.parametrize("text", [ONE, f"{ONE}\n", f"  {ONE} \n"])
def test_a_key_may_have_white_space_around_it(text: str) -> None:
    """An editor adds a line feed."""
    assert check_key(text, "here") == ONE


@pytest.mark.parametrize("text", ["", "x" * 39, "x" * 41, "#" * 40, "~" * 40, "é" * 40, ONE[:20] + "\n" + ONE[21:]])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    """Not even when it is one secret character short; `#` alone is out of the range of 32 bits."""
    with pytest.raises(InvalidInputError, match=r"^here: is no key \(\d+ characters\)") as caught:
        check_key(text, "here")

    assert not text.strip() or text.strip() not in str(caught.value)


@given(st.text(max_size=200))
@example(f"read\x1ca\x1c{ONE}")
def test_any_text_is_a_list_or_an_error(text: str) -> None:
    """Nothing that a person writes becomes a traceback."""
    with contextlib.suppress(InvalidInputError):
        parse_peers(text)
