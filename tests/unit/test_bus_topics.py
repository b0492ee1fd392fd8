"""Topics: tokens, prefixes and their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.protocol import topics
from bus.protocol.topics import TopicError

ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
tokens = st.text("abAB01_-", min_size=1, max_size=3)
whole_topics = st.lists(tokens, min_size=1, max_size=5).map(lambda parts: "".join(part + "." for part in parts))
any_topics = st.lists(ids, min_size=1, max_size=4).map(
    lambda parts: "".join(f"{topics.encode_token(p)}." for p in parts)
)


@given(ids)
def test_any_id_survives_encoding_as_a_token(text: str) -> None:
    """Whatever an id holds, its token is made of the allowed characters and decodes to it again."""
    token = topics.encode_token(text)

    topics.check(token + ".")
    assert topics.decode_token(token) == text


@given(ids, ids)
def test_different_ids_have_different_tokens(one: str, other: str) -> None:
    """Encoding is one-to-one, so no experiment gets the events of another."""
    assert (topics.encode_token(one) == topics.encode_token(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "token"),
    [("a b", "a%20b"), ("a.b", "a%2Eb"), ("~x", "%7Ex"), ("50%", "50%25"), ("ü", "%C3%BC"), ("Az09_-", "Az09_-")],
)
def test_tokens_are_percent_encoded_byte_by_byte(text: str, token: str) -> None:
    """Letters, digits, `_` and `-` stand; every other byte is %XX in capitals."""
    assert topics.encode_token(text) == token


def test_an_empty_token_is_refused() -> None:
    """An empty id would make two dots in a row, which are no topic."""
    with pytest.raises(TopicError, match="empty"):
        topics.build("job.completed.", "")


@given(st.lists(ids, min_size=1, max_size=3), st.lists(ids, min_size=1, max_size=3))
def test_a_prefix_never_matches_half_a_token(longer: list[str], shorter: list[str]) -> None:
    """One topic begins with another exactly if its tokens begin with the other's tokens."""
    topic = "".join(topics.encode_token(token) + "." for token in longer)
    prefix = "".join(topics.encode_token(token) + "." for token in shorter)

    assert topic.startswith(prefix) == (longer[: len(shorter)] == shorter)


def test_building_extends_a_topic_by_encoded_tokens() -> None:
    """A topic is built of a base and ids or numbers, and split into them again."""
    topic = topics.build("job.completed.", "my exp", 3)

    assert topic == "job.completed.my%20exp.3."
    assert topics.split(topic) == ("job", "completed", "my exp", "3")


def test_eight_tokens_are_the_most() -> None:
    """A ninth token is refused."""
    assert topics.build("job.completed.", *"abcdef").count(".") == topics.MAX_TOKENS
    with pytest.raises(TopicError, match="at most 8 tokens"):
        topics.build("job.completed.", *"abcdefg")


def test_255_bytes_are_the_most() -> None:
    """A topic of 255 bytes is taken, one of 256 is refused."""
    assert len(topics.build("a.", "x" * 252)) == topics.MAX_BYTES
    with pytest.raises(TopicError, match="255 bytes"):
        topics.build("a.", "x" * 253)


@pytest.mark.parametrize(
    "text", ["", ".", "a", "a..b.", ".a.", "a b.", "a%2e.", "a%2.", "ä.", "~heartbeat.", "a.\n", "a.b", "a\n."]
)
def test_what_is_no_topic_is_refused(text: str) -> None:
    """Empty tokens, a missing last dot, bare special characters and the heartbeat's own topic are no topics."""
    with pytest.raises(TopicError, match="is no topic"):
        topics.check(text)


def test_a_token_that_is_no_utf8_is_refused() -> None:
    """Our own topics have none; another publisher's may."""
    with pytest.raises(TopicError, match="is not UTF-8"):
        topics.split("job.%FF.")


def test_the_heartbeat_can_never_be_an_id() -> None:
    """An application topic cannot collide with the heartbeat, as `~` is always encoded."""
    assert not topics.build("~heartbeat".replace("~", "x") + ".", "~heartbeat").startswith("~")
    assert topics.encode_token("~heartbeat") != "~heartbeat"


def test_the_prefixes_of_a_topic_are_its_whole_token_beginnings() -> None:
    """Shortest first; the last one is the topic itself."""
    assert topics.prefixes("a.bb.c.") == ("a.", "a.bb.", "a.bb.c.")


@pytest.mark.parametrize(
    ("typed", "prefix"), [("", ""), ("job", "job."), ("job.", "job."), ("job.completed", "job.completed.")]
)
def test_a_person_may_leave_out_the_last_dot(typed: str, prefix: str) -> None:
    """What is typed on a command line becomes a whole-token prefix; nothing means everything."""
    assert topics.as_prefix(typed) == prefix


@pytest.mark.parametrize("typed", ["job..", "a b", "*", "."])
def test_a_typed_prefix_that_can_match_nothing_is_refused(typed: str) -> None:
    """A prefix that no topic can have is an error, not an endless wait."""
    with pytest.raises(TopicError):
        topics.as_prefix(typed)


@given(whole_topics | any_topics, whole_topics | any_topics)
def test_the_range_up_to_after_prefix_holds_the_prefix_and_nothing_else(topic: str, prefix: str) -> None:
    """In string order, which is SQLite's too, [prefix, after_prefix) are just the topics with this prefix."""
    inside = prefix <= topic < topics.after_prefix(prefix)

    assert inside == topic.startswith(prefix)


@given(any_topics)
def test_the_range_of_everything_holds_every_topic(topic: str) -> None:
    """The empty prefix ranges over all topics."""
    assert "" <= topic < topics.after_prefix("")


@given(st.lists(whole_topics | st.just(""), max_size=8), whole_topics)
def test_disjoint_prefixes_cover_the_same_topics_once(wanted: list[str], topic: str) -> None:
    """A topic that some wanted prefix matches is matched by exactly one that is left, and no other topic is."""
    matching = [prefix for prefix in topics.disjoint(wanted) if topic.startswith(prefix)]

    assert len(matching) == any(topic.startswith(prefix) for prefix in wanted)
