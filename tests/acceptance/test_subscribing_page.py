"""What docs/subscribing.md shows works as it stands there."""

import re
import sys
from typing import Final

from tests.support.experiment_files import pictures, services, submit
from tests.support.helpers import wait_until
from tests.support.workspace import ROOT, Workspace, wait_for_jobs

PAGE: Final = (ROOT / "docs" / "subscribing.md").read_text(encoding="utf-8")
SYNC, ASYNC, RESUMING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_print_what_they_say(workspace: Workspace) -> None:
    """Both forms give the present state and what follows; the third goes on where it stopped."""
    runner, learning = services(workspace)
    wait_for_jobs(learning, submit(workspace, pictures(values=2, jobs=1)), 2)
    scripts = []
    for name, text in (("sync", SYNC), ("aio", ASYNC), ("resuming", RESUMING)):
        moved = text.replace("tcp://127.0.0.1:5571", learning.control).replace("tcp://127.0.0.1:5561", runner.control)
        scripts.append(workspace.write(f"{name}.py", moved))
    sync, aio, first = [workspace.start(script.stem, sys.executable, str(script)) for script in scripts]
    for client in (sync, aio):
        wait_until(lambda one=client: one.text().count("status='completed'") == 2, what="two variants")  # type: ignore[misc]
    wait_until(lambda: len(first.text().split()) == 2, what="two jobs")

    first.kill()
    wait_for_jobs(learning, submit(workspace, pictures(values=3, jobs=1)), 3)
    second = workspace.start("resuming", sys.executable, str(scripts[2]))

    for client in (sync, aio):
        wait_until(lambda one=client: one.text().count("status='completed'") == 5, what="five variants")  # type: ignore[misc]
    wait_until(lambda: len(second.text().split()) == 3, what="three jobs")
    assert not set(first.text().split()) & set(second.text().split())
