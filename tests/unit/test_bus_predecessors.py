"""The chain table against a naive model."""

from hypothesis import given
from hypothesis import strategies as st

from bus.protocol import topics
from bus.protocol.predecessors import Predecessors

some_topics = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda parts: ".".join(parts) + ".")
logs = st.lists(some_topics, max_size=60)


def newest(log: list[str], prefix: str) -> int:
    """Find the newest offset with a prefix by looking at everything; 0 if there is none."""
    return max((offset for offset, topic in enumerate(log, 1) if topic.startswith(prefix)), default=0)


@given(logs)
def test_a_link_names_the_message_before_in_each_prefix(log: list[str]) -> None:
    """With room enough, chain[k] is what a search through the whole log finds, 0 where there is none."""
    chain = Predecessors()

    for offset, topic in enumerate(log, 1):
        wanted = [newest(log[: offset - 1], prefix) for prefix in topics.prefixes(topic)]
        assert chain.link(topic, offset) == wanted


@given(logs, st.integers(8, 20))
def test_a_bounded_table_says_the_truth_or_that_it_does_not_know(log: list[str], size: int) -> None:
    """A forgotten prefix is None, never a wrong offset, and never 0 once anything was forgotten."""
    chain = Predecessors(size)

    for offset, topic in enumerate(log, 1):
        for prefix, value in zip(topics.prefixes(topic), chain.link(topic, offset), strict=True):
            assert value in (None, newest(log[: offset - 1], prefix))
        assert len(chain._newest) <= size

    for prefix in {prefix for topic in log for prefix in topics.prefixes(topic)}:
        assert chain.newest(prefix) in (None, newest(log, prefix))


@given(logs, some_topics)
def test_an_incomplete_table_never_claims_that_there_was_nothing(log: list[str], unseen: str) -> None:
    """If something may have been logged before, an unknown prefix is None instead of 0."""
    chain = Predecessors(complete=False)
    chain.load(enumerate(log, 100))

    known = newest(log, unseen)

    assert chain.newest(unseen) == (known + 99 if known else None)


@given(logs, logs)
def test_loading_an_existing_log_is_as_good_as_having_written_it(before: list[str], after: list[str]) -> None:
    """After a restart the chain goes on as if there had been none."""
    written, loaded = Predecessors(), Predecessors()
    for offset, topic in enumerate(before, 1):
        written.link(topic, offset)
    loaded.load(enumerate(before, 1))

    for offset, topic in enumerate(after, len(before) + 1):
        assert loaded.link(topic, offset) == written.link(topic, offset)


def test_the_longest_unused_prefixes_are_forgotten_first() -> None:
    """What was in use lately stays known when the table is full."""
    chain = Predecessors(4)
    for offset, topic in enumerate(["old.", "b.", "c.", "d.", "b.", "e."], 1):
        chain.link(topic, offset)

    assert chain.newest("old.") is None
    assert chain.newest("b.") == 5


def test_a_new_log_has_nothing_before() -> None:
    """The first message of a complete chain links to 0 in all its prefixes."""
    assert Predecessors().link("a.b.c.", 1) == [0, 0, 0]
    assert Predecessors().newest("a.") == 0
