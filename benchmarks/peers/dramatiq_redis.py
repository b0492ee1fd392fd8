"""dramatiq: two worker processes of two threads each, messages in MessagePack, a pipeline of 500 to submit.

Without middleware: what it would do (retries, time and age limits, callbacks) no job needs that does nothing. A message
is acknowledged when its job has ended, and goes to another worker when its own one gives no sign of life any more.
"""

import time
from typing import Any, Final

import dramatiq
import msgspec
from dramatiq.brokers.redis import RedisBroker
from redis import Redis

from benchmarks.peers import redis_server
from benchmarks.peers.redis_jobs import run_job
from benchmarks.role import Parent, Setup, batches
from bus.contracts.jobs import JobRequest

BATCH: Final = 500  # messages in a pipeline
THREADS: Final = 2
PREFETCH: Final = 128  # messages that a worker takes at a time: twice its threads by default, which is slower
QUEUE: Final = "jobs"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(JobRequest).decode


class MessagePack(dramatiq.Encoder):
    """A message as MessagePack, which holds a job as it is; JSON, the default, does not take bytes."""

    def encode(self, data: dict[str, Any]) -> bytes:
        """Return the bytes."""
        return msgspec.msgpack.encode(data)

    def decode(self, data: bytes) -> dict[str, Any]:
        """Return the message."""
        return msgspec.msgpack.decode(data, type=dict[str, Any])


def submit(parent: Parent, setup: Setup) -> None:
    """Submit all jobs."""
    client = redis_server.connect(setup)
    # The first command of a process asks Redis for its limits, which a pipeline cannot answer.
    _broker(client).flush(QUEUE)
    pipeline = client.pipeline(transaction=False)
    run = _actor(setup, _broker(pipeline))
    jobs = setup.jobs()
    parent.tell("ready")
    parent.wait("go")
    start = time.monotonic_ns()
    for batch in batches(jobs, BATCH):
        for job in batch:
            run.send(_encode(job))
        pipeline.execute()
    parent.tell("sent", start=start)
    parent.wait("stop")


def work(parent: Parent, setup: Setup) -> None:
    """Be one worker process."""
    broker = _broker(redis_server.connect(setup))
    _actor(setup, broker)
    worker = dramatiq.Worker(broker, worker_threads=THREADS)
    worker.queue_prefetch = PREFETCH
    worker.start()
    parent.tell("ready")
    parent.wait("stop")


def _broker(client: Redis) -> RedisBroker:
    dramatiq.set_encoder(MessagePack())
    return RedisBroker(client=client, middleware=[])  # type: ignore[no-untyped-call]  # of dramatiq's


def _actor(setup: Setup, broker: RedisBroker) -> dramatiq.Actor[[bytes], None]:
    """Return the actor that runs a job; the stream has the results."""
    stream = redis_server.connect(setup)

    @dramatiq.actor(broker=broker, queue_name=QUEUE)
    def run(body: bytes) -> None:
        run_job(stream, _decode(body))

    return run
