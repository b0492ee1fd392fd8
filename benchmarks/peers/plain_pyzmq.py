"""Plain pyzmq as its guide shows it: PUB and SUB, `send_multipart` and `recv_multipart`, through a proxy or directly.

With the proxy nobody has to know who publishes; without it there is one hop less, and each process knows its peer.
Nothing is durable, and nobody would notice a loss; so that there is none, no queue has a limit (high-water mark 0).
"""

import contextlib
import gc
import time
from typing import Final

import zmq

from benchmarks.crew import Crew
from benchmarks.peers.ports import free_port
from benchmarks.role import Clock, Parent, Setup, Tally
from benchmarks.routing import Router, status_topic
from benchmarks.workload import Checker, Workload
from bus.contracts.messages import decode_body, encode_body

UNLIMITED: Final = 0
BATCH: Final = 500  # messages whose statuses the middle process publishes together
SYNC_SECONDS: Final = 0.02
# Sent again and again until all have seen one, as nobody is told when a subscription is active.
PRODUCER_IS_HEARD: Final = b"sync.producer."
ROUTER_IS_HEARD: Final = b"sync.router."
JOBS: Final = "job.completed."
STATUSES: Final = "variant.status."


def missing() -> str:
    """It is wherever we are."""
    return ""


def serve(crew: Crew) -> dict[str, str]:
    """Start the proxy."""
    setup = Setup(workload=Workload(0, 0, 0), folder=str(crew.folder))
    told = crew.role("benchmarks.peers.plain_pyzmq:proxy", setup).wait_for("ready")
    return {"publish": told["publish"], "subscribe": told["subscribe"]}


def serve_directly(_crew: Crew) -> dict[str, str]:
    """Choose where the producer and the process in the middle listen; there is no proxy."""
    return {topic: f"tcp://127.0.0.1:{free_port()}" for topic in (JOBS, STATUSES)}


def proxy(parent: Parent, _setup: Setup) -> None:
    """Pass on what anybody publishes to whoever has subscribed."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    front, back = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    for socket in (front, back):
        socket.set_hwm(UNLIMITED)
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (front, back)]
    parent.tell("ready", publish=f"tcp://127.0.0.1:{ports[0]}", subscribe=f"tcp://127.0.0.1:{ports[1]}")
    zmq.proxy(front, back)


def produce(parent: Parent, setup: Setup) -> None:
    """Publish the ends of jobs."""
    events = setup.events()
    socket = _publishing(setup, JOBS)
    parent.tell("ready")
    parent.wait("go", lambda: socket.send_multipart([PRODUCER_IS_HEARD, b""]), SYNC_SECONDS)
    clock = Clock(setup)
    for topic, message in events:
        if setup.interval:
            clock.wait()
            clock.note()
        socket.send_multipart([topic.encode(), encode_body(message)])
    parent.tell("sent", start=clock.start, sent=clock.sent)
    parent.wait("stop")


def route(parent: Parent, setup: Setup) -> None:
    """Turn ends of jobs into states of variants."""
    router = Router(setup.workload)
    gc.freeze()
    incoming, outgoing = _subscribed(setup, JOBS, PRODUCER_IS_HEARD), _publishing(setup, STATUSES)
    parent.tell("ready")
    while True:
        messages = [incoming.recv_multipart()]
        with contextlib.suppress(zmq.Again):  # what has come meanwhile
            while len(messages) < BATCH:
                messages.append(incoming.recv_multipart(zmq.NOBLOCK))
        bodies = [body for topic, body in messages if topic != PRODUCER_IS_HEARD]
        if len(bodies) < len(messages):
            outgoing.send_multipart([ROUTER_IS_HEARD, b""])
        for _, status in router.route(bodies):
            outgoing.send_multipart([status_topic(status).encode(), encode_body(status)])


def consume(parent: Parent, setup: Setup) -> None:
    """Check every state of every variant."""
    checker = Checker(setup.workload, timed=setup.interval > 0)
    socket = _subscribed(setup, STATUSES, ROUTER_IS_HEARD)
    socket.recv_multipart()
    parent.tell("ready")
    while not checker.done:
        topic, body = socket.recv_multipart()
        if topic != ROUTER_IS_HEARD:
            checker.take(decode_body(body))
    parent.tell("received", end=time.monotonic_ns(), received=checker.received)
    parent.wait("stop")


def listen(parent: Parent, setup: Setup) -> None:
    """Be some subscribers who count the ends of jobs."""
    start, tally = time.monotonic_ns(), Tally(setup.tally)
    sockets = [_subscribed(setup, JOBS, PRODUCER_IS_HEARD) for _ in range(setup.subscribers)]
    poller = zmq.Poller()
    for socket in sockets:
        socket.recv_multipart()
        poller.register(socket, zmq.POLLIN)
    parent.tell("ready")
    left = dict.fromkeys(sockets, setup.workload.events)
    while any(left.values()):
        for socket, _ in poller.poll():
            while socket.get(zmq.EVENTS) & zmq.POLLIN:
                left[socket] -= socket.recv_multipart()[0] != PRODUCER_IS_HEARD
            tally.set(setup.workload.events - left[socket])
    parent.tell("received", start=start, end=time.monotonic_ns())
    parent.wait("stop")


def _publishing(setup: Setup, topic: str) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
    socket.set_hwm(UNLIMITED)
    if topic in setup.addresses:
        socket.bind(setup.addresses[topic])
    else:
        socket.connect(setup.addresses["publish"])
    return socket


def _subscribed(setup: Setup, topic: str, sync: bytes) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.set_hwm(UNLIMITED)
    socket.connect(setup.addresses.get(topic) or setup.addresses["subscribe"])
    for prefix in (topic.encode(), sync):
        socket.subscribe(prefix)
    return socket
