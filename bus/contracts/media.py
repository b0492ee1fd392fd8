"""What a person sees or hears of a result, by its media type; and about which results people are asked."""

from collections.abc import Callable, Iterable
from typing import Final, Generic, Literal, TypeVar

from bus.contracts.messages import ImageRef

Kind = Literal["picture", "video", "sound", "model", "text", "file"]
T = TypeVar("T")

_TEXTS: Final = frozenset({"application/json", "application/toml", "application/yaml", "application/x-ndjson"})
# how much a result says to who looks at it; people are asked about the results that say most
TEXT_LEVEL: Final = 1
_LEVELS: Final[dict[Kind, int]] = {"picture": 4, "video": 4, "sound": 3, "model": 2, "text": TEXT_LEVEL, "file": 0}


def kind_of(result: ImageRef) -> Kind:
    """Return what a result is for people; `file` is all that can only be saved, such as weights or a broken picture."""
    match result.media_type.partition("/")[0]:
        case "image":
            return "picture" if result.width and result.height else "file"
        case "video":
            return "video"
        case "audio":
            return "sound"
        case "model":
            return "model"
        case "text":
            return "text"
    return "text" if result.media_type in _TEXTS else "file"


def level_of(result: ImageRef) -> int:
    """Return how much a result says to who looks at it: 0 for a file that can only be saved."""
    return _LEVELS[kind_of(result)]


def is_picture(result: ImageRef) -> bool:
    """Return whether a result is a picture, also one that moves."""
    return kind_of(result) == "picture"


class AskedAbout(Generic[T]):
    """Those results of an experiment that a person can rate and compare, gathered page by page: all that say most.

    Where there are pictures or videos, nobody is asked about the sounds, models and texts beside them; and so on.
    """

    def __init__(self, ref_of: Callable[[T], ImageRef]) -> None:
        """Begin with none."""
        self._ref_of, self._most = ref_of, TEXT_LEVEL
        self.results: list[T] = []

    def add(self, results: Iterable[T]) -> None:
        """Take some more results, of which there may be 100,000 in all."""
        for one in results:
            level = level_of(self._ref_of(one))
            if level > self._most:
                self._most, self.results = level, []
            if level == self._most:
                self.results.append(one)
