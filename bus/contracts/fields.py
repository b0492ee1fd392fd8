"""Kinds of fields that several requests share."""

from typing import Annotated

from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
NewId = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9][a-z0-9-]{0,95}\Z",
        description="1 to 96 of a-z, 0-9 and hyphens, the first one no hyphen",
    ),
]  # of an experiment
