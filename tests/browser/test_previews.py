"""What a running job has made so far, in the grid of a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from bus.contracts.jobs import PreviewReply
from bus.protocol.control import ControlError
from tests.acceptance.test_comfyui import experiment
from tests.servers.comfyui import FakeComfy
from tests.servers.comfyui_pictures import preview
from tests.support.comfyui_jobs import EXAMPLE
from tests.support.dashboard import Dashboard
from tests.support.experiment_files import submit
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.workspace import ServiceProcess, Workspace

WAIT = PATIENCE * TIME_FACTOR * 1000  # ms
# from the first preview on: the frames in which the cell had no whole picture
LOOK = """() => {
  window.empty = 0;
  let hasBegun = false;
  const look = () => {
    const whole = [...document.querySelectorAll(".cell img")].some((img) => img.complete && img.naturalWidth);
    hasBegun = document.querySelector(".cell") !== null && (hasBegun || whole);
    if (hasBegun && !whole) window.empty += 1;
    requestAnimationFrame(look);
  };
  look();
}"""

KNOWN = """async (main) =>
    (await import(main.replace("main.js", "data/state.js"))).state.open.cells.get("0.0").preview"""


@pytest.fixture
def fake() -> Iterator[FakeComfy]:
    """Yield a fake ComfyUI server that makes previews and stops in the middle of a prompt."""
    fake = FakeComfy()
    fake.behaviour.previews = True
    fake.hold()
    yield fake
    fake.release()
    fake.stop()


def shown_of(runner: ServiceProcess, job_id: str) -> bytes:
    """Return the newest preview of a job, empty while there is none."""
    try:
        return runner.ask("job.preview", {"job_id": job_id}, PreviewReply).data
    except ControlError as error:
        if error.code != "not_found":
            raise
        return b""


@pytest.mark.fault(item="F136")
def test_a_running_cell_shows_what_its_job_has_made_so_far(page: Page, workspace: Workspace, fake: FakeComfy) -> None:
    """Each preview replaces the one before, and the picture the last one, without an empty frame."""
    runner = workspace.runner("--comfyui-url", fake.url)
    workspace.learning(runner)
    dashboard = Dashboard(workspace)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/preview?" in request.url else None)
    page.goto(f"http://{dashboard.address}/")
    expect(page.locator("#live")).to_have_text("live", timeout=WAIT)
    page.evaluate(LOOK)

    experiment_id = submit(workspace, experiment(EXAMPLE, values=[3], jobs=1))
    page.goto(f"http://{dashboard.address}/#/e/{experiment_id}/grid")
    wait_until(lambda: fake.running, what="the start of the prompt")
    shown = page.locator(".cell.running img.so-far")
    job_id = f"{experiment_id}.0.0.0"

    def tell(step: int) -> None:
        """Send a preview until it is kept: the runner takes two a second, and the server sends some by itself."""

        def is_kept() -> bool:
            fake.tell_preview(step)
            return shown_of(runner, job_id) == preview(step)

        wait_until(is_kept, what=f"the preview of step {step}")

    expect(page.locator(".cell")).to_have_count(1, timeout=WAIT)
    tell(3)
    expect(shown).to_have_count(1, timeout=WAIT)
    expect(shown).to_have_attribute("alt", "what the job has made so far")
    number = runner.ask("job.preview", {"job_id": job_id}, PreviewReply).number
    code, _, headers = dashboard.ask("GET", f"/preview?job={job_id}&number={number}")
    assert (code, headers["content-type"], headers["cache-control"]) == (200, "image/jpeg", "no-store")

    first = shown.get_attribute("src")
    tell(4)
    wait_until(lambda: shown.get_attribute("src") != first, what="the newer preview in the cell")
    assert shown.evaluate("img => [img.naturalWidth, img.naturalHeight]") == [48, 32]

    page.get_by_role("link", name="Answer").click()
    expect(shown).to_have_count(0, timeout=WAIT)
    main = page.locator("script[type=module]").get_attribute("src")
    before = len(asked)
    tell(2)
    newest = runner.ask("job.preview", {"job_id": job_id}, PreviewReply).number
    wait_until(lambda: page.evaluate(KNOWN, main) >= newest, what="the word of the newest preview")
    assert len(asked) == before, "a preview is loaded that nobody sees"
    page.get_by_role("link", name="Pictures", exact=True).click()
    expect(page.locator(".cell.running")).to_have_count(1, timeout=WAIT)
    expect(shown).to_have_count(1, timeout=WAIT)

    fake.release()
    expect(page.locator(".cell.completed img:not(.so-far)")).to_have_count(1, timeout=WAIT)
    expect(page.locator(".so-far")).to_have_count(0, timeout=WAIT)
    assert page.evaluate("window.empty") == 0
    assert dashboard.ask("GET", f"/preview?job={job_id}&number={number}")[0] == 404
