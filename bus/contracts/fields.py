"""Kinds of fields that several messages and requests share."""

from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta

from bus.protocol.doors import bounds

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
NewId = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9][a-z0-9-]{0,95}\Z",
        description="1 to 96 of a-z, 0-9 and hyphens, the first one no hyphen",
    ),
]  # of an experiment

INT64_MAX: Final = 2**63 - 1
SEED_MAX: Final = 2**64 - 1  # ComfyUI's nodes take as much
# What msgpack can hold, which sees to the upper bound; JSON and TOML are checked by `convert`.
Integer = Annotated[int, Meta(ge=-(2**63), extra_json_schema={"maximum": SEED_MAX})]
Scalar = bool | Integer | float | str
VariantValue = Scalar | dict[str, Scalar]  # a map for a grid of several variables
NESTING: Final = 6  # levels of lists and tables within each other in a value of a configuration


def _nested(levels: int) -> Any:
    """Return the type of a value with as many levels of lists and tables, as msgspec knows no type within itself."""
    inner: Any = Scalar | None
    for _ in range(levels):
        inner = Scalar | list[inner] | dict[str, inner] | None
    return inner


if TYPE_CHECKING:
    ConfigValue = Scalar | list[Any] | dict[str, Any] | None
else:
    ConfigValue = _nested(NESTING)
Config = dict[str, ConfigValue]
Priority = Annotated[int, bounds(ge=-100, le=100)]
Index = Annotated[int, Meta(ge=0, le=INT64_MAX)]
