"""What can be asked of the learning service about the runners that it gives jobs to."""

from typing import Annotated

from msgspec import Meta, Struct


class RunnerView(Struct, frozen=True, kw_only=True):
    """A runner as the learning service knows it.

    `followed`: it is named by `--runner`. `away_since`: when it was first found not to answer, in unix seconds; nil
    while it answers, or if it is not followed. `jobs`: those that were given to it and have not ended; of these,
    `stranded` would end as cancelled if it was forgotten: their experiment was cancelled, or no other runner offers
    their pipeline. `cancels`: experiments that it has still to cancel. `withdrawals`: jobs that it has to drop when it
    comes back.
    """

    address: str
    followed: bool
    answers: bool
    away_since: float | None
    pipelines: list[str]
    jobs: int
    stranded: int
    cancels: int
    withdrawals: int


class RunnerListReply(Struct, frozen=True, kw_only=True):
    """`runner.list`: all runners that are followed, or for which something is left to do."""

    runners: list[RunnerView]


class RunnerForgetParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`runner.forget`: a runner that does not answer will not come back; `runner` is its control address."""

    runner: Annotated[str, Meta(min_length=1, max_length=300)]


class RunnerForgetReply(Struct, frozen=True, kw_only=True):
    """How many of its jobs go to other runners, and how many end as cancelled."""

    handed_on: int
    cancelled: int
