"""What each role may do at the servers of a cluster: which subjects it may publish to, and which it may hear. Pure.

Answers come to an inbox, and each role has its own: nobody hears what another role is answered.
"""

from typing import Final

from msgspec import Struct

from bus.cluster import names

PICTURES: Final = f"OBJ_{names.PICTURES}"
RUNNERS: Final = f"KV_{names.RUNNERS}"
LEADER: Final = f"KV_{names.LEADER}"


class Role(Struct, frozen=True, kw_only=True):
    """A user of the servers; `publish` and `hear` are subjects, an inbox comes to the second."""

    name: str
    publish: tuple[str, ...]
    hear: tuple[str, ...] = ()

    @property
    def inbox(self) -> str:
        """Where it is answered."""
        return f"_INBOX_{self.name}"


def _api(*questions: str) -> tuple[str, ...]:
    return tuple(f"$JS.API.{one}" for one in questions)


ROLES: Final = (
    # makes the streams, writes the ledger, sends jobs, reads ends; and all of a runner, which `up` starts beside it
    Role(
        name="learning",
        publish=(
            "$JS.API.>",
            "$JS.ACK.>",
            "$JS.FC.>",
            "$KV.>",
            "$O.>",
            "job.>",
            "end.>",
            names.ENTRY,
            names.WAKE,
            names.CANCEL,
            f"{names.REPEAT}*",
            f"{names.NEWS}>",
            names.ASK,
            "_INBOX_learning.>",  # learning services answer each other
        ),
        hear=(f"{names.NEWS}>", names.ASK, names.WAKE, names.CANCEL, f"{names.REPEAT}*"),
    ),
    # takes jobs, commits their ends, puts and reads pictures; nothing of the ledger, and it removes nothing
    Role(
        name="runner",
        publish=(
            *_api(*(f"STREAM.INFO.{one}" for one in (names.JOBS, names.ENDS, names.LEDGER))),
            *_api(f"CONSUMER.DURABLE.CREATE.{names.JOBS}.*", f"CONSUMER.MSG.NEXT.{names.JOBS}.*"),
            *_api(f"STREAM.MSG.GET.{names.ENDS}", f"STREAM.MSG.GET.{PICTURES}"),
            f"$JS.ACK.{names.JOBS}.>",
            "end.>",
            f"{names.NEWS}>",
            f"$KV.{names.RUNNERS}.>",
            f"$O.{names.PICTURES}.>",
        ),
        hear=(names.WAKE, names.CANCEL, f"{names.REPEAT}*"),
    ),
    # looks, for `variantbus cluster check`, and changes nothing
    Role(
        name="reader",
        publish=_api(
            "INFO",
            "STREAM.INFO.*",
            "CONSUMER.LIST.*",
            f"STREAM.MSG.GET.{LEADER}",
            f"STREAM.MSG.GET.{RUNNERS}",
        ),
    ),
)
