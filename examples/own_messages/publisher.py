"""A service on the bus: `python publisher.py rooms.sqlite 5601`; port 0 picks a free one."""

import random
import sys
from pathlib import Path

from messages import Reading, SetTarget, Target

from bus import Address, Log, Loop, Publisher
from bus.protocol import topics

SCHEMA = "CREATE TABLE targets (room TEXT PRIMARY KEY, celsius REAL NOT NULL) STRICT"


class Thermostat:
    """Reads the thermometer each second, and keeps how warm each room is to be."""

    def __init__(self, log: Log, loop: Loop, publisher: Publisher) -> None:
        """Offer the method `target.set`."""
        self._log = log
        log.create_tables("targets", {"schema": SCHEMA})
        publisher.methods.add("target.set", SetTarget, self._set_target)
        loop.every(1.0, self._read)

    def _set_target(self, wanted: SetTarget) -> Target:
        """Write the state and publish it in one transaction: never one without the other."""
        target = Target(room=wanted.room, celsius=wanted.celsius)
        with self._log.transaction(sync=True) as tx:  # sync: what a person typed survives a power cut, too
            tx.execute("INSERT OR REPLACE INTO targets VALUES (?, ?)", (target.room, target.celsius))
            tx.append(topics.build("room.target.", target.room), target)
        return target

    def _read(self) -> None:
        reading = Reading(room="kitchen", celsius=round(random.gauss(20, 0.5), 1))
        with self._log.transaction() as tx:
            tx.append(topics.build("room.reading.", reading.room), reading)


def main(path: Path, port: int) -> None:
    """Publish until Ctrl-C or SIGTERM."""
    log, loop = Log(path, keep_newest=("room.target.",)), Loop()
    host = "127.0.0.1"
    publisher = Publisher(log, loop, service="rooms", version="1.0", feed=Address(host, 0), control=Address(host, port))
    Thermostat(log, loop, publisher)
    loop.handle_signals()
    print("listening", publisher.control, flush=True)
    try:
        loop.run()
    finally:
        publisher.close()  # first, as its last heartbeat tells subscribers that it has stopped
        loop.close()
        log.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
