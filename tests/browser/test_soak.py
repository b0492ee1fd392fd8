"""A page that is left open: its memory stays flat over thousands of events and hundreds of views.

It takes some seconds; `make pagesoak` keeps the page open for half an hour.
"""

import os
import time
from typing import Final, NamedTuple

import pytest
from playwright.sync_api import CDPSession, Page, expect

from bus.contracts.experiments import ExperimentView
from bus.contracts.feedback import RatedReply
from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, cells, deployment
from tests.browser.test_feed import WITHOUT_WORKERS
from tests.support.experiment_files import pictures, submit
from tests.support.helpers import wait_until
from tests.support.workspace import view_of, wait_for_jobs

__all__ = ["deployment"]
SECONDS: Final = float(os.environ.get("VARIANTBUS_TEST_SOAK_SECONDS", "0"))
ROUNDS: Final = 2  # at least
SWITCHES: Final = 8  # of all views, in a round
MIB: Final = 1 << 20
MORE: Final = 1.0  # MiB that the heap may grow by, as the browser keeps compiled code, too
NODES: Final = 300  # elements that may be more: templates
LISTENERS: Final = 20
SWITCH = """async ([places, times]) => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  for (let time = 0; time < times; time += 1) {
    for (const place of places) {
      location.hash = place;
      await frame();
      await frame();
    }
  }
}"""


class Memory(NamedTuple):
    """What a page holds after a collection of garbage."""

    heap: float  # MiB
    nodes: int
    listeners: int


def memory_of(session: CDPSession) -> Memory:
    """Collect garbage, and return what is left."""
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    counters = session.send("Memory.getDOMCounters")
    return Memory(used / MIB, counters["nodes"], counters["jsEventListeners"])


def live_through(page: Page, deployment: Deployment, pictured: str, number: int) -> None:
    """Watch an experiment of 400 jobs run, rate a picture, look at everything again and again, delete it at last."""
    name = f"soak-{number}"
    definition = {
        "name": name,
        "pipeline": "noop",
        "stage": "run",
        "jobs_per_variant": 10,
        "variable": {"name": "level", "start": 1, "stop": 40, "step": 1},
    }
    page.evaluate("place => { location.hash = place }", f"#/e/{name}/grid")
    deployment.learning.ask("experiment.create", {"experiment_id": name, "definition": definition}, ExperimentView)
    image = view_of(deployment.learning, pictured).variants[0].images[0].sha256
    places = [f"#/e/{one}/{tab}" for one in (name, pictured) for tab in ("grid", "rate", "answer")]
    places += ["#/", "#/new", "#/system", f"#/e/{pictured}/grid/0.0"]

    def is_over() -> bool:
        page.evaluate(SWITCH, [places, 1])
        stars = {"experiment_id": pictured, "image": image, "stars": 1 + number % 5, "note": f"round {number}"}
        deployment.learning.ask("image.rate", stars, RatedReply)
        return view_of(deployment.learning, name).status == "completed"

    wait_until(is_over, what="the end")
    page.evaluate(SWITCH, [places, SWITCHES])
    page.evaluate("place => { location.hash = place }", f"#/e/{name}/grid")
    expect(cells(page, "completed").first).to_be_visible(timeout=WAIT)
    page.evaluate("() => { location.hash = '#/' }")
    row = page.locator(f".list a[href*='{name}']")
    expect(row.first).to_be_visible(timeout=WAIT)
    deployment.learning.ask("experiment.delete", {"experiment_id": name}, dict)
    expect(row).to_have_count(0, timeout=WAIT)


@pytest.mark.exhaustive
@pytest.mark.timeout(300 + 2 * SECONDS)
def test_the_memory_of_a_page_stays_flat(page: Page, deployment: Deployment) -> None:
    """In mid-list nothing of an experiment is left. The page has the stream itself, so that this counts, too."""
    pictured = submit(deployment.workspace, pictures(values=2, jobs=2, size=16))
    wait_for_jobs(deployment.learning, pictured, 4)
    page.add_init_script(WITHOUT_WORKERS)
    deployment.open(page)
    session = page.context.new_cdp_session(page)
    live_through(page, deployment, pictured, 0)  # what is made once is there then
    live_through(page, deployment, pictured, 1)
    end, number, found = time.monotonic() + SECONDS, 2, [memory_of(session)]
    while number < 2 + ROUNDS or time.monotonic() < end:
        live_through(page, deployment, pictured, number)
        found.append(memory_of(session))
        number += 1

    first = found[len(found) // 3]  # from then on the browser has compiled what it will
    assert found[-1].heap - first.heap < MORE, found
    assert found[-1].nodes - first.nodes < NODES, found
    assert found[-1].listeners - first.listeners < LISTENERS, found
