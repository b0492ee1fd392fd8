"""What can be asked of the runner about its output folder.

`*Params` are parameters of a method, `*Reply` its answer; `docs/protocol.md` lists the methods.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from bus.contracts.fields import Index

Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="64 hexadecimal digits, a SHA-256")]
AtOnce = Annotated[int, Meta(ge=1, le=1000)]


class OutputParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output`: part of a result, or of its thumbnail, by the hash of its content."""

    sha256: Sha256
    thumbnail: bool = False
    offset: Index = 0


class OutputReply(Struct, frozen=True, kw_only=True):
    """Some bytes from `offset` on; `size` is that of the whole. The next part begins at `offset` plus their number."""

    sha256: str  # of the result, also where `data` is of its thumbnail
    media_type: str  # of what `data` is part of
    size: int
    offset: int
    data: bytes


class OutputFindParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output.find`: the results whose hash begins so."""

    prefix: Annotated[str, Meta(pattern=r"\A[0-9a-f]{8,64}\Z", description="8 to 64 hexadecimal digits of a SHA-256")]


class OutputUsageReply(Struct, frozen=True, kw_only=True):
    """`output.usage`: how many results the runner has made and what they take; what is on their disk, in bytes."""

    files: int
    bytes: int
    disk_total: int
    disk_free: int


class OutputView(Struct, frozen=True, kw_only=True):
    """One result, and the newest job that has made it."""

    sha256: str
    media_type: str
    size: int
    job_id: str
    experiment_id: str | None


class OutputFindReply(Struct, frozen=True, kw_only=True):
    """At most 10 of them."""

    outputs: list[OutputView]


class OutputOwnersParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output.owners`: whose jobs ended before a time (unix seconds), in the order of experiment ids."""

    ended_before: float
    after: str | None = None
    limit: AtOnce = 20


class OutputOwner(Struct, frozen=True, kw_only=True):
    """An experiment, or nil for the jobs of none, with its jobs that ended before that time and their results."""

    experiment_id: str | None
    jobs: int
    files: int
    bytes: int


class OutputOwnersReply(Struct, frozen=True, kw_only=True):
    """One page; `after` asks for the next one, nil where there is none."""

    owners: list[OutputOwner]
    after: str | None


class OutputRemoveParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output.remove`: jobs that ended before a time (unix seconds), with their results.

    Those of some experiments, and with `outside` those of none; at most `limit` results and as many jobs at once.
    """

    ended_before: float
    experiment_ids: Annotated[list[str], Meta(max_length=1000)] = field(default_factory=list)
    outside: bool = False
    limit: AtOnce = 100


class OutputRemoveReply(Struct, frozen=True, kw_only=True):
    """What went; `more` says that the same request has more to remove.

    `busy` has those of the experiments that stay whole, as jobs of them have not ended.
    """

    files: int
    bytes: int
    jobs: int
    more: bool
    busy: list[str] = field(default_factory=list)


class OutputSweepParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output.sweep`: files that were left in the output folder by a crash; at most `limit` files are looked at.

    `after` is that of the last reply; it is compared with names, and no file is opened by it.
    """

    after: str = ""
    limit: AtOnce = 1000
    dry_run: bool = False


class OutputSweepReply(Struct, frozen=True, kw_only=True):
    """What went, or would; `after` goes on with the rest of the folder, nil at its end."""

    files: int
    bytes: int
    after: str | None
