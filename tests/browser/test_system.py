"""The page of the system: the queue in another order, pauses, cancels, servers, and what was rejected."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from bus.contracts.jobs import JobRequest, JobView, SubmitParams, SubmitReply
from bus.contracts.messages import JobStarted
from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment
from tests.servers.comfyui import FakeComfy
from tests.support.checker import messages_of, whole_log
from tests.support.experiment_files import program, submit
from tests.support.factories import context
from tests.support.helpers import wait_until
from tests.support.workspace import Workspace, view_of

ORDERS = """async ([url, wanted]) => {
  const { moved, newPriorities } = await import(url);
  const groups = ["a", "b", "c", "d"].map((name) => ({ name, priority: 0 }));
  const told = (from, to) => newPriorities(groups, moved(groups, from, to));
  return wanted.map((one) => told(...one).map(({ group, priority }) => [group.name, priority]));
}"""
EDGES = """async (url) => {
  const { moved, newPriorities } = await import(url);
  const of = (...priorities) => priorities.map((priority, at) => ({ at, priority }));
  const after = (groups, from, to) => {
    const wanted = moved(groups, from, to);
    const changed = new Map(newPriorities(groups, wanted).map((one) => [one.group, one.priority]));
    const now = wanted.map((group) => ({ at: group.at, priority: changed.get(group) ?? group.priority }));
    const runs = [...now].sort((one, other) => other.priority - one.priority || one.at - other.at);
    return [now.map((one) => one.at), runs.map((one) => one.at), Math.max(...now.map((one) => Math.abs(one.priority)))];
  };
  const found = [after(of(100, 100, 100), 2, 0), after(of(100, 0, -100, -100), 3, 0), after(of(5, 5, 0, 0), 0, 3)];
  for (let size = 2; size < 7; size++) {
    for (let from = 0; from < size; from++) {
      for (let to = 0; to < size; to++) found.push(after(of(...[3, 3, 1, 1, 0, -2].slice(0, size)), from, to));
    }
  }
  return found;
}"""


@pytest.fixture
def deployment(workspace: Workspace) -> Iterator[Deployment]:
    """Start all processes, with a ComfyUI that tells of its memory."""
    fake = FakeComfy()
    yield Deployment(workspace, options=("--comfyui-url", fake.url))
    fake.stop()


def states_of(deployment: Deployment, ids: list[str]) -> list[str]:
    """Return the states of experiments as the learning service has them, which hears of ends after the runner."""
    return [view_of(deployment.learning, one).status for one in ids]


def test_the_queue_is_changed(page: Page, deployment: Deployment) -> None:
    """Another order, a pause, a cancel that is taken back and one that is not; nothing is covered on a phone."""
    url = f"{deployment.url}/static/views/system/order.js"
    deployment.open(page, "system")
    found = page.evaluate(ORDERS, [url, [[3, 0], [0, 3], [1, 2], [2, 2]]])
    assert found == [[["d", 1]], [["a", -1]], [["a", 2], ["c", 1]], []]
    for wanted, runs, most in page.evaluate(EDGES, url):
        assert wanted == runs
        assert most <= 100

    names = ["First", "Second", "Third"]
    deployment.workspace.run("job", "pause")
    ids = [submit(deployment.workspace, program(values=2, jobs=1).replace("Program", name)) for name in names]
    waiting = page.locator(".jobs .what a")
    expect(waiting).to_have_text(names, timeout=WAIT)
    page.get_by_role("button", name="Run next: Third").click()
    expect(waiting).to_have_text(["Third", "First", "Second"], timeout=WAIT)
    page.get_by_role("button", name="Later: First").click()
    expect(waiting).to_have_text(["Third", "Second", "First"], timeout=WAIT)

    page.get_by_role("button", name="Cancel all jobs of Second").click()
    expect(page.get_by_text("cancelling …")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("cancelling …")).to_have_count(0)
    page.get_by_role("button", name="Cancel all jobs of Third").click()
    expect(waiting).to_have_text(["Second", "First"], timeout=WAIT)
    wait_until(lambda: view_of(deployment.learning, ids[2]).status == "cancelled", what="the cancel")

    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.querySelector('main').scrollWidth <= 360")
    assert Axe().run(page).response["violations"] == []
    page.get_by_role("button", name="Resume all").click()
    expect(page.get_by_text("Nothing runs, and nothing waits.")).to_be_visible(timeout=WAIT)
    wait_until(lambda: states_of(deployment, ids) == ["completed", "completed", "cancelled"], what="the ends")
    began = messages_of(whole_log(deployment.runner), JobStarted)
    assert [one.learning_context and one.learning_context.experiment_id for one in began] == [ids[1]] * 2 + [ids[0]] * 2


def test_servers_disks_and_what_was_rejected_are_told(page: Page, deployment: Deployment) -> None:
    """Also what was rejected before the page was opened. A page cannot have us ask another address."""
    mark = context(experiment="nobody")
    job = JobRequest(job_id="stray", pipeline="noop", stage="run", config={"level": 1.0}, learning_context=mark)
    deployment.runner.ask("job.submit", SubmitParams(jobs=[job]), SubmitReply)
    wait_until(lambda: deployment.runner.ask("job.show", {"job_id": "stray"}, JobView).state == "completed", what="it")
    deployment.open(page, "system")
    expect(page.get_by_role("cell", name="unknown_experiment").first).to_be_visible(timeout=WAIT)
    expect(
        page.get_by_label("cuda:0 NVIDIA GeForce RTX 3090 : cudaMallocAsync: 20.1 GB of 25.3 GB free")
    ).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("version 0.3.40")).to_be_visible()
    expect(page.get_by_text("0 results take 0 B")).to_be_visible()
    page.locator("summary").click()
    expect(page.get_by_text("start the web UI with --api")).to_be_visible()

    page.route("**/api/system", lambda route: route.fulfill(json={**route.fetch().json(), "version": "0.0.9"}))
    expect(page.get_by_text("the versions differ")).to_be_visible(timeout=WAIT)
    page.unroute("**/api/system")
    page.route("**/api/system/pause", lambda route: route.continue_(post_data='{"runner": "tcp://10.0.0.1:5561"}'))
    page.get_by_role("button", name="Pause all").click()
    expect(page.locator(".said")).to_contain_text("none of the runners that the learning service follows")
