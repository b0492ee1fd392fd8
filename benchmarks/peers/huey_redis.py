"""huey: pickled tasks in a list, one thread in each of two consumers, which wait in BRPOP.

Submission appends many tasks in one command, by huey's own encoding and key. huey keeps no task that a worker has
taken: what runs when a worker is killed is lost, which is not counted against it.
"""

import time
from typing import Any, Final

import msgspec
from huey import RedisHuey

from benchmarks.peers import redis_server
from benchmarks.peers.redis_jobs import run_job
from benchmarks.role import Parent, Setup, batches
from bus.contracts.jobs import JobRequest

BATCH: Final = 500  # tasks in one command
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(JobRequest).decode


def submit(parent: Parent, setup: Setup) -> None:
    """Submit all jobs."""
    huey, run = _task(setup)
    jobs = setup.jobs()
    parent.tell("ready")
    parent.wait("go")
    start = time.monotonic_ns()
    for batch in batches(jobs, BATCH):
        tasks = [huey.serialize_task(run.s(_encode(job))) for job in batch]
        huey.storage.conn.lpush(huey.storage.queue_key, *tasks)
    parent.tell("sent", start=start)
    parent.wait("stop")


def work(parent: Parent, setup: Setup) -> None:
    """Be one worker process."""
    huey, _ = _task(setup)
    consumer = huey.create_consumer(workers=1, worker_type="thread", periodic=False)
    parent.tell("ready")
    consumer.run()


def _task(setup: Setup) -> tuple[Any, Any]:
    """Return the queue, and the task that runs a job; the stream has the results."""
    huey = RedisHuey("jobs", url=redis_server.url(setup), results=False)
    client = redis_server.connect(setup)

    def run(body: bytes) -> None:
        run_job(client, _decode(body))

    return huey, huey.task()(run)
