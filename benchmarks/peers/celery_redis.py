"""Celery: one worker process that runs its tasks itself (`solo`), JSON by msgspec, `Producer.batch` to submit.

`solo` is the fastest pool for jobs that do nothing: `threads` and `prefork` hand each one over. A task is acknowledged
when it has ended (`acks_late`), so that none is lost with its worker; what nobody needs here (events, representations
of the arguments, rate limits, gossip) is switched off.
"""

import time
import warnings
from typing import Any, Final

import msgspec
from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import worker_ready
from kombu.serialization import register

from benchmarks.peers import redis_server
from benchmarks.peers.redis_jobs import run_job
from benchmarks.role import Parent, Setup
from bus.contracts.jobs import JobRequest

BATCH: Final = 500  # messages in a pipeline
PREFETCH: Final = 64  # tasks that a worker has at a time
VISIBILITY_SECONDS: Final = 3600  # until a task whose worker is gone is given to another one
SERIALIZER: Final = "json-msgspec"
ARGUMENTS: Final = ("worker", "--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat")


def submit(parent: Parent, setup: Setup) -> None:
    """Submit all jobs."""
    app, run = _task(setup)
    jobs = setup.jobs()
    with app.producer_pool.acquire(block=True) as producer:
        parent.tell("ready")
        parent.wait("go")
        start = time.monotonic_ns()
        with producer.batch(max_size=BATCH):
            for job in jobs:
                run.apply_async((job,), producer=producer, argsrepr="", kwargsrepr="")
    parent.tell("sent", start=start)
    parent.wait("stop")


def work(parent: Parent, setup: Setup) -> None:
    """Be the worker process."""
    app, _ = _task(setup)

    def ready(**_: object) -> None:
        parent.tell("ready")

    worker_ready.connect(ready)
    warnings.simplefilter("ignore", SecurityWarning)  # where everything runs as root, as in a container
    app.worker_main([*ARGUMENTS, "--loglevel", "WARNING"])


def _task(setup: Setup) -> tuple[Any, Any]:
    """Return the application, and the task that runs a job; the stream has the results."""
    register(SERIALIZER, _encode, msgspec.json.decode, "application/json", "utf-8")  # type: ignore[no-untyped-call]  # of kombu
    app: Any = Celery("jobs", broker=redis_server.url(setup))
    app.conf.update(
        task_serializer=SERIALIZER,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=PREFETCH,
        worker_disable_rate_limits=True,
        worker_redirect_stdouts=False,  # it is how we are told
        # text needs no base64, and one priority needs one list
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            "body_encoding": None,
            "priority_steps": [0],
        },
    )
    client = redis_server.connect(setup)

    def run(job: dict[str, Any]) -> None:
        run_job(client, msgspec.convert(job, JobRequest))

    return app, app.task(name="run")(run)


def _encode(message: object) -> str:
    return msgspec.json.encode(message).decode()
