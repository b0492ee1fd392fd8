"""A process that is forked while it has open sockets: the child is told so, at once, and ends."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.helpers import PATIENCE, TIME_FACTOR

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = """
import asyncio, os, sys
from pathlib import Path
from bus.config.limits import DEFAULT_LIMITS
from bus.contracts.messages import JobQueued
from bus.eventlog.log import Log
from bus.protocol.addresses import Address
from bus.protocol.control import ControlError, InfoReply
from bus.publisher import Publisher
from bus.subscriber.asyncio import AsyncSubscriber
from bus.subscriber.sync import Subscriber
from bus.transport.client import request
from bus.transport.keys import Keys
from bus.transport.loop import Loop

folder = Path(sys.argv[1])
message = JobQueued(job_id="1", stage="s", pipeline="p", attempt=1, learning_context=None, queued_at=1.5)
loop, nowhere = Loop(), "tcp://127.0.0.1:9"
log, anywhere = Log(folder / "test.db", keep_newest=()), Address("127.0.0.1", 0)
keys = Keys.generate(folder / "keys")
publisher = Publisher(log, loop, service="s", version="1", feed=anywhere, control=anywhere, keys=keys)
sync, later = Subscriber([nowhere]), AsyncSubscriber([nowhere])
sync.receive(0.05)
attempts = {
    "receive": lambda: sync.receive(0.2),
    "wait_ready": lambda: sync.wait_ready(0.2),
    "iterate": lambda: next(iter(sync)),
    "async receive": lambda: asyncio.run(later.receive(0.2)),
    "async iterate": lambda: asyncio.run(anext(later)),
    "publish": lambda: publisher.publish_ephemeral("a.", message),
    "serve": loop.run,
}
child = os.fork()
if child == 0:
    for name, attempt in attempts.items():
        try:
            print(name, attempt(), flush=True)
        except RuntimeError as error:
            print(name, "refused:", error, flush=True)
    try:
        request(nowhere, "info", {}, InfoReply, timeout=0.1)
    except ControlError as error:
        print("request", error.code, flush=True)
    sync.close()
    later.close()
    publisher.close()
    log.close()
    loop.close()
    sys.exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print("the child ended with", status, flush=True)
assert sync.receive(0.05) == []
publisher.publish_ephemeral("a.", message)
publisher.close()
assert log.query("SELECT clean FROM closing") == [(0,)], "the child has closed the log of its parent"
log.close()
loop.close()
sync.close()
later.close()
"""


@pytest.mark.fault(item="F50")
def test_sockets_in_a_forked_child_refuse_to_work_and_never_hang(tmp_path: Path) -> None:
    """Every wait says so in one sentence, closing and ending need no time, and the parent goes on."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE * TIME_FACTOR,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, request, end = done.stdout.splitlines()
    assert len(lines) == 7
    for line in lines:
        assert "refused: this process was forked" in line, done.stdout
    assert request == "request unavailable"
    assert end == "the child ended with 7", done.stdout + done.stderr
