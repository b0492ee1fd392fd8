"""Names that a server offers, with their other spellings: the server's own name is sent, whichever was written."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Names(NamedTuple):
    """Names of one kind, every spelling with the name that is meant, and what could mean several names."""

    choices: tuple[str, ...]
    spellings: Mapping[str, str]
    ambiguous: Mapping[str, tuple[str, ...]]

    @property
    def also(self) -> tuple[str, ...]:
        """The other spellings that are accepted."""
        listed = set(self.choices)
        return tuple(spelling for spelling in self.spellings if spelling not in listed)


def names_of(known: Mapping[str, Iterable[str | None]]) -> Names:
    """Join names with their other spellings; a name itself is never ambiguous."""
    owners: dict[str, list[str]] = {}
    for name, others in known.items():
        for other in filter(None, others):
            mine = owners.setdefault(other, [])
            if name not in mine:
                mine.append(name)
    owners = {other: some for other, some in owners.items() if other not in known}
    sure = {other: some[0] for other, some in owners.items() if len(some) == 1}
    return Names(
        tuple(known),
        {**{name: name for name in known}, **sure},
        {other: tuple(some) for other, some in owners.items() if len(some) > 1},
    )


def stem(name: str) -> str:
    """Return the name of a file without folder and suffix, which only some servers report."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return last.removesuffix(".safetensors").removesuffix(".ckpt").removesuffix(".pt")
