"""How an id is found of which only the beginning is known: `job.find` of the runner, and `experiment.find`.

`*Params` are parameters of a method, `*Reply` its answer; `docs/protocol.md` lists the methods.
"""

from typing import Annotated

from msgspec import Meta, Struct


class FindParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.find`, `experiment.find`: ids that begin so, in their order; of an empty prefix the newest, newest first."""

    prefix: Annotated[str, Meta(max_length=128)] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class FindReply(Struct, frozen=True, kw_only=True):
    """At most `limit` of them."""

    ids: list[str]
