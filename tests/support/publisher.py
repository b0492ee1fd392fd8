"""A publisher as a process: it publishes what it is asked to, so that it can be stopped, killed and measured.

Usage: publisher.py DATABASE FEED_PORT CONTROL_PORT
"""

import sys
from pathlib import Path
from typing import Final

from msgspec import Struct

from bus.console.options import LOOPBACK
from bus.console.process import announce, service_loop
from bus.contracts.messages import JobQueued
from bus.contracts.topics import STATE_TOPICS
from bus.eventlog.log import Log
from bus.protocol.addresses import Address
from bus.publisher import Publisher

TOPIC: Final = "a."


class PublishParams(Struct, frozen=True):
    """`publish`: some events of a size, in one transaction."""

    count: int
    size: int = 0


def main(database: str, feed_port: str, control_port: str) -> None:
    """Publish until told to end."""
    with service_loop() as loop:
        log = Log(Path(database), keep_newest=STATE_TOPICS)
        feed, control = Address(LOOPBACK, int(feed_port)), Address(LOOPBACK, int(control_port))
        publisher = Publisher(log, loop, service="test", version="1", feed=feed, control=control)

        def publish(params: PublishParams) -> dict[str, int]:
            with log.transaction() as tx:
                for number in range(log.head + 1, log.head + 1 + params.count):
                    name = f"{number} {'x' * params.size}"
                    tx.append(
                        TOPIC,
                        JobQueued(
                            job_id=name,
                            stage="s",
                            pipeline="p",
                            attempt=0,
                            learning_context=None,
                            queued_at=float(number),
                        ),
                    )
            return {"head": log.head}

        publisher.methods.add("publish", PublishParams, publish)
        announce("test", feed=publisher.feed, control=publisher.control)
        loop.run()
        publisher.close()
        log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
