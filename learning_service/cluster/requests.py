"""What the cluster is asked to do, in coroutines of its connection: jobs out, ends committed, and what there is."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Raw, Struct
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError

from bus.cluster import ends, names, pictures, streams, tail, tasks
from bus.cluster.connection import Connection
from bus.cluster.messages import Announcement, CancelNews, End, RepeatRequest, decode_as, encode, unpack
from bus.contracts.jobs import JobRequest, SubmitReply
from bus.contracts.messages import JobCompleted, decode_body
from bus.protocol import frames
from bus.protocol.control import ControlError, InfoReply
from bus.protocol.frames import PROTOCOL
from bus.protocol.validation import InvalidInputError
from learning_service.cluster.numbers import Key

AT_ONCE: Final = 256  # requests under way
HEADERS_BYTES: Final = 1024  # of a message, at most
KEYS: Final = f"KV_{names.RUNNERS}"
KEY: Final = f"$KV.{names.RUNNERS}."
EXPECT_NONE: Final = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}
NAME: Final = "learning"  # of who commits ends that no runner made


class Job(Struct, frozen=True):
    """What of a submitted job decides where it goes."""

    job_id: str
    pipeline: str
    priority: int = 0


class _Images(Struct, frozen=True):
    class _Result(Struct, frozen=True):
        class _Image(Struct, frozen=True):
            sha256: str

        images: tuple[_Image, ...] = ()

    result: _Result


@dataclass
class Known:
    """What was learnt of the stream of ends: its last place, and how many each runner had that are lost."""

    head: int = 0
    lost: Counter[str] = field(default_factory=Counter)


class Cluster:
    """Asks; everything raises what `bus.cluster.faults.FAULTS` lists when the cluster does not answer."""

    def __init__(self, connection: Connection, known: Known) -> None:
        """Ask nothing yet."""
        self._connection, self._js, self._known = connection, connection.js, known

    async def info(self) -> InfoReply:
        """Return which stream of jobs it is and up to where it reaches; streams that are gone are made anew."""
        try:
            jobs = await self._js.stream_info(names.JOBS)
            self._known.head = (await self._js.stream_info(names.ENDS)).state.last_seq
        except NotFoundError:
            await streams.ensure(self._js)
            jobs = await self._js.stream_info(names.JOBS)
        epoch, state = tail.created_at(jobs), jobs.state
        return InfoReply(
            epoch=epoch,
            first=max(1, state.first_seq),
            head=state.last_seq,
            service="cluster",
            version="",
            protocol=PROTOCOL,
            epochs=[(epoch, 0)],
            feed="",
            limits={},
        )

    async def count(self) -> tuple[int, int, int]:
        """Return how many jobs have not ended, the place of the newest one ever, and then that of the newest end."""
        jobs = (await self._js.stream_info(names.JOBS)).state
        ends_then = (await self._js.stream_info(names.ENDS)).state
        return jobs.messages, jobs.last_seq, ends_then.last_seq

    async def announcements(self) -> list[Announcement]:
        """Return what each runner has said of itself; the servers forget those that have said nothing for a while."""
        info = await self._js.stream_info(KEYS, subjects_filter=f"{KEY}>")
        found = await asyncio.gather(*(self._announcement(subject) for subject in info.state.subjects or ()))
        return [one for one in found if one]

    async def submit(self, jobs: Sequence[tuple[Job, Raw]], seconds: float) -> SubmitReply:
        """Publish jobs, many at once, and wake the workers.

        Raises:
            ControlError: one is larger than a message may be (`invalid_request`, which names it); none was published.
        """
        limit = self._connection.client.max_payload - HEADERS_BYTES
        for number, (_, body) in enumerate(jobs):
            if len(bytes(body)) > limit:
                text = f"config: the job has {len(bytes(body))} bytes; the servers of the cluster take {limit}"
                raise ControlError("invalid_request", f"{text}: shorten its texts", {"job": str(number)})
        window = asyncio.Semaphore(AT_ONCE)

        async def publish(job: Job, body: Raw) -> bool:
            subject = names.job_subject(job.pipeline, names.band_of(job.priority), job.job_id)
            async with window:
                return await self._publish(subject, bytes(body), seconds)

        new = sum(await _all(publish(*one) for one in jobs))
        await self._connection.client.publish(names.WAKE)
        return SubmitReply(accepted=new, known=len(jobs) - new)

    async def cancel(self, jobs: Sequence[JobCompleted], seconds: float) -> int:
        """Commit the ends of jobs as cancelled, where they have none; return how many of them these are."""
        window = asyncio.Semaphore(AT_ONCE)

        async def commit(job: JobCompleted) -> bool:
            end = End(run=uuid.uuid4().hex, runner=NAME, epoch=0, number=0, complete=0, body=Raw(frames.encode(job)))
            async with window:
                return await tasks.within(seconds, ends.commit(self._js, end_subject(job), end)) == "won"

        return sum(await _all(commit(job) for job in jobs))

    async def tell_cancelled(self, experiment_id: str, *, finish_running: bool) -> None:
        """Let runners look at once for jobs that were cancelled."""
        news = CancelNews(experiment_id=experiment_id, finish_running=finish_running)
        await self._connection.client.publish(names.CANCEL, encode(news))

    async def ask_again(self, key: Key, number: int) -> None:
        """Let a runner publish its ends again from a number on; nobody hears that if it is away."""
        request = RepeatRequest(epoch=key.epoch, number=number)
        await self._connection.client.publish(names.REPEAT + key.runner, encode(request))

    async def waiting(self, job_id: str) -> JobRequest | None:
        """Return a job that has not ended."""
        try:
            found = await self._js.get_last_msg(names.JOBS, names.any_job_of(job_id))
        except NotFoundError:
            return None
        return decode_as(JobRequest, found.data or b"")

    async def ended(self, subject: str) -> JobCompleted | None:
        """Return the end of a job."""
        stored = await ends.find(self._js, subject)
        body = decode_body(stored.end.body) if stored else None
        return body if isinstance(body, JobCompleted) else None

    async def hashes(self, experiment_id: str) -> set[str]:
        """Return the hashes of all pictures that jobs of an experiment have made."""
        found: set[str] = set()
        sequence, subject = 0, names.ends_of(experiment_id)
        while True:
            try:
                message = await self._js.get_msg(names.ENDS, seq=sequence + 1, subject=subject, next=True)
            except NotFoundError:
                return found
            sequence = message.seq or sequence + 1
            try:
                images = decode_as(_Images, bytes(decode_as(End, message.data or b"").body)).result.images
            except InvalidInputError:  # it is no end
                continue
            found |= {one.sha256 for one in images}

    async def remove(self, hashes: Sequence[str]) -> int:
        """Remove pictures; return how many there were."""
        return sum([await pictures.remove(self._js, sha256) for sha256 in hashes])

    async def _announcement(self, subject: str) -> Announcement | None:
        try:
            message = await self._js.get_last_msg(KEYS, subject)
            return unpack(Announcement, message.data) if message.data else None
        except (NotFoundError, InvalidInputError):  # it has gone just now, or is of another version
            return None

    async def _publish(self, subject: str, body: bytes, seconds: float) -> bool:
        """Publish a job; False if it is there already."""
        try:
            await self._js.publish(subject, body, timeout=seconds, stream=names.JOBS, headers=dict(EXPECT_NONE))
        except APIError as error:
            if error.err_code not in ends.WRONG_SEQUENCE:
                raise
            return False
        return True


async def _all(works: Iterable[Awaitable[bool]]) -> list[bool]:
    """Return the results of all, or raise what one of them has raised once all have ended."""
    found = await asyncio.gather(*works, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one is True for one in found]


def end_subject(job: JobCompleted) -> str:
    """Return where the end of a job is."""
    context = job.learning_context
    if context is None:
        return names.any_end_of(job.job_id)
    return names.end_subject(context.experiment_id, context.variant_index, job.job_id)
