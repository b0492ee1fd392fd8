"""The chain: for each whole-token prefix, the offset of its newest message.

With it a subscriber to any prefix detects a gap from one message alone. The table is bounded; a forgotten prefix is
nil, so the subscriber has to ask.
"""

from collections.abc import Iterable

from bus.protocol import topics


class Predecessors:
    """Bounded map from prefix to the offset of its newest message; the longest silent prefix is dropped first."""

    def __init__(self, max_prefixes: int = 20_000, *, complete: bool = True) -> None:
        """Start empty. `complete` says that nothing was logged before: an absent prefix then has no message (0)."""
        self._newest: dict[str, int] = {}
        self._max = max_prefixes
        self._absent: int | None = 0 if complete else None

    def load(self, records: Iterable[tuple[int, str]]) -> None:
        """Learn (offset, topic) pairs of an existing log, in order."""
        for offset, topic in records:
            self.link(topic, offset)

    def link(self, topic: str, offset: int) -> list[int | None]:
        """Return `chain` for a message: for each of its prefixes the offset before this one; and remember this one."""
        newest, absent = self._newest, self._absent
        chain: list[int | None] = []
        for prefix in topics.prefixes(topic):
            chain.append(newest.get(prefix, absent))
            newest[prefix] = offset
        if len(newest) > self._max:
            self._forget()
        return chain

    def newest(self, prefix: str) -> int | None:
        """Return the newest offset with this prefix, 0 if there is none, None if it is not known."""
        return self._newest.get(prefix, self._absent)

    def _forget(self) -> None:
        """Drop about a quarter at once, so that the cost is spread over many messages."""
        oldest = sorted(self._newest.values())[self._max // 4]
        self._newest = {prefix: offset for prefix, offset in self._newest.items() if offset > oldest}
        self._absent = None
