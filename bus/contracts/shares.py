"""What can be asked of the learning service about links by which others see one experiment.

A link has a secret token, which the service never sees: it keeps the SHA-256 of it.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

from bus.contracts.fields import Id
from bus.contracts.outputs import Sha256

MOST: Final = 100  # links of one experiment


class ShareParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.share`: whoever has the token of this digest may see the experiment, until it ends or is revoked.

    `seconds` is how long it holds, nil for ever. The same digest again changes how long it holds.
    """

    experiment_id: Id
    digest: Sha256
    seconds: Annotated[float, Meta(gt=0, le=10 * 366 * 86400)] | None = None


class ShareView(Struct, frozen=True, kw_only=True):
    """A link: `digest` is the SHA-256 of its token, `expires_at` when it ends, in unix seconds, nil if it does not."""

    digest: str
    experiment_id: str
    created_at: float
    expires_at: float | None


class ShareListReply(Struct, frozen=True, kw_only=True):
    """`experiment.shares`: the links of an experiment that hold, oldest first."""

    shares: list[ShareView]


class UnshareParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.unshare`: a link of an experiment holds no more."""

    experiment_id: Id
    digest: Sha256


class UnshareReply(Struct, frozen=True, kw_only=True):
    """Whether there was such a link."""

    removed: bool


class SharedParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.shared`: what a token with this digest lets one see."""

    digest: Sha256
    image: Sha256 | None = None  # is this a result of the experiment?


class SharedReply(Struct, frozen=True, kw_only=True):
    """The link, and whether `image` is a result of its experiment; `not_found` where no link has the digest."""

    share: ShareView
    has_image: bool = False
