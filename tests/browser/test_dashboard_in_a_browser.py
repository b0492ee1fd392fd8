"""The dashboard as a person uses it: in a real browser, with mouse and keyboard, while processes die."""

import re
import time
from collections.abc import Mapping

import pytest
from playwright.sync_api import Locator, Page, expect

from bus.contracts.feedback import RatingListReply, RatingView
from bus.contracts.jobs import JobRequest, SubmitParams, SubmitReply
from tests.support.experiment_files import gate, open_gate, program, submit
from tests.support.factories import context
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.workspace import ServiceProcess, Workspace, steady_ports, view_of

EVIL = "<img src=x onerror=alert(1)>"
LARGE = """
name = "Large"
pipeline = "noop"
stage = "run"
jobs_per_variant = 20
[variable]
name = "level"
start = 0
stop = 99
step = 1
"""
WAIT = PATIENCE * TIME_FACTOR * 1000  # ms


class Deployment:
    """Runner, learning service and dashboard, which clients find again after a restart."""

    def __init__(self, workspace: Workspace, workers: int = 2, options: tuple[str, ...] = ()) -> None:
        """Start them; `options` are further ones of the runner."""
        self.workspace = workspace
        self.runner = workspace.runner("--workers", str(workers), *options, ports=steady_ports())
        self.learning = workspace.learning(self.runner, ports=steady_ports())
        process = workspace.command("dashboard", "--port", "0")
        self.url = process.wait_for_line("listening").split("http=")[1]

    def open(self, page: Page, place: str = "") -> None:
        """Go to a view, and wait until it is live."""
        page.goto(f"{self.url}/#/{place}")
        expect(page.locator("#live")).to_have_text("live", timeout=WAIT)


@pytest.fixture
def deployment(workspace: Workspace) -> Deployment:
    """Start all processes."""
    return Deployment(workspace)


def planned(page: Page, deployment: Deployment, name: str, values: str, seeds: int) -> str:
    """Plan an experiment by the form and return its id."""
    deployment.open(page, "new")
    page.get_by_label("Name", exact=True).fill(name)
    page.locator("[name='a values']").fill(values)
    page.locator("[name=jobs]").fill(str(seeds))
    fill_more(page, {"steps": 4, "width": 64, "height": 64})
    expect(page.locator(".preview .big")).to_contain_text("jobs", timeout=WAIT)
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url(re.compile(r"#/e/.+/grid"))
    return page.url.split("/e/")[1].split("/")[0]


def fill_more(page: Page, settings: Mapping[str, object]) -> None:
    """Give settings of every job in the form, which stand behind one line."""
    more = page.locator(".moresettings")
    if more.get_attribute("open") is None:
        more.locator("summary").click()
    for name, value in settings.items():
        page.locator(f"[name='config {name}']").fill(str(value))


def cells(page: Page, state: str) -> Locator:
    """Return the cells in a state."""
    return page.locator(f".cell.{state}")


@pytest.mark.fault(item="B54")
def test_from_the_plan_to_an_answer_that_survives_a_kill(page: Page, deployment: Deployment) -> None:
    """Plan, run, cells fill, rate by keyboard, the answer changes; kill -9, a restart, and the page is right again."""
    experiment_id = planned(page, deployment, EVIL, "1, 2", 2)
    expect(page.locator("h1")).to_have_text(EVIL)
    expect(cells(page, "completed").locator("img")).to_have_count(4, timeout=WAIT)

    page.get_by_role("link", name="Rate").click()
    expect(page.locator(".rating .facts")).to_have_text("0 of 4 rated", timeout=WAIT)
    about, five = page.locator(".rating .about"), page.get_by_role("button", name="5 stars")
    expect(about).to_contain_text("Show its value")
    expect(five).to_be_enabled(timeout=WAIT)
    note = page.get_by_label("Note")
    note.fill("half ty")
    for number, key in enumerate("525", 1):
        page.locator("h1").click()
        page.keyboard.press(key)
        expect(page.locator(".rating .facts")).to_have_text(f"{number} of 4 rated", timeout=WAIT)
        expect(note).to_have_value("")
        # until the next picture is there a key means nothing: it would be for the one before
        expect(five).to_be_enabled(timeout=WAIT)
        expect(about).to_contain_text("Show its value")
    page.keyboard.press("u")
    expect(page.locator(".rating .facts")).to_have_text("2 of 4 rated", timeout=WAIT)
    page.keyboard.press("x")
    expect(page.locator(".rating .facts")).to_have_text("3 of 4 rated", timeout=WAIT)
    expect(five).to_be_enabled(timeout=WAIT)
    note.fill("still here")

    deployment.learning.kill()
    expect(page.locator("#banner")).to_contain_text("learning service does not answer", timeout=WAIT)
    expect(note).to_have_value("still here")
    deployment.learning.start()
    expect(page.locator("#banner")).to_be_hidden(timeout=WAIT)
    page.keyboard.press("Tab")
    page.locator("h1").click()
    page.keyboard.press("4")
    expect(page.locator(".rating .facts")).to_have_text("4 of 4 rated", timeout=WAIT)

    page.get_by_role("link", name="Answer", exact=True).click()
    expect(page.locator("p.answer")).to_contain_text("4 ratings", timeout=WAIT)
    page.get_by_role("link", name="Pictures", exact=True).click()
    expect(page.locator(".cell .stars")).to_have_count(4, timeout=WAIT)
    page.locator(".cell").first.click()
    expect(page.locator(".viewer")).to_be_visible()  # it follows the address, so keys may come before it
    page.keyboard.press("3")
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_have_count(0)
    page.get_by_role("link", name="Answer").click()
    expect(page.locator(".plot tbody tr")).to_have_count(2)
    wait_until(lambda: 3 in [one.stars for one in ratings(deployment.learning, experiment_id)], what="the star")
    assert len(ratings(deployment.learning, experiment_id)) == 4


def ratings(learning: ServiceProcess, experiment_id: str) -> list[RatingView]:
    """Return what holds of each picture."""
    return learning.ask("rating.list", {"experiment_id": experiment_id}, RatingListReply).ratings


def test_two_values_are_compared_under_one_zoom(page: Page, deployment: Deployment) -> None:
    """Under a slider, flipped by a key; both layers move together. Arrow keys walk through the grid."""
    planned(page, deployment, "viewer", "1, 2", 2)
    expect(cells(page, "completed").locator("img")).to_have_count(4, timeout=WAIT)
    page.locator(".cell").first.click()
    about, layers = page.locator(".viewer .about"), page.locator(".viewer .stage img")
    expect(about).to_contain_text(re.compile(r"cfg_scale 1\s+seed 1234"))
    page.keyboard.press("ArrowDown")
    expect(about).to_contain_text(re.compile(r"cfg_scale 1\s+seed 1235"))

    page.keyboard.press("c")
    expect(layers).to_have_count(2)
    expect(about).to_contain_text("cfg_scale 1 beside 2")
    page.locator(".viewer .stage").hover()
    page.mouse.wheel(0, -300)
    expect(layers.first).to_have_attribute("style", re.compile(r"scale\(1\.2\)"))
    styles = [layers.nth(place).evaluate("layer => [layer.style.transform, layer.style.clipPath]") for place in (0, 1)]
    page.keyboard.press(" ")
    flipped = layers.nth(1).evaluate("layer => layer.style.clipPath")

    assert styles[0][0] == styles[1][0]
    assert styles[0][1] != styles[1][1]
    assert flipped.replace("px", "%").startswith("inset(0")
    assert "100%" not in flipped
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_have_count(0)


def test_the_grid_is_filtered_and_a_strange_event_is_told(page: Page, deployment: Deployment) -> None:
    """Only values with failures; on the page of the system, what was rejected and why."""
    experiment_id = submit(deployment.workspace, program(values=3, jobs=1, script="test $1 -ne 1 || exit 3"))
    deployment.open(page, f"e/{experiment_id}/grid")
    expect(cells(page, "failed")).to_have_count(1, timeout=WAIT)
    page.get_by_label("Show").select_option("failed")
    expect(page.locator(".columns .heading .name")).to_have_text(["1"])

    page.get_by_role("link", name="System").click()
    expect(page.locator(".process.well")).to_have_count(2, timeout=WAIT)
    mark = context(experiment="nobody")
    job = JobRequest(job_id="stray", pipeline="noop", stage="run", config={"level": 1.0}, learning_context=mark)
    deployment.runner.ask("job.submit", SubmitParams(jobs=[job]), SubmitReply)
    expect(page.get_by_role("cell", name="unknown_experiment").first).to_be_visible(timeout=WAIT)


def test_a_failed_cell_tells_its_reason_and_can_be_retried(page: Page, deployment: Deployment) -> None:
    """And a running one shows that it runs; extending adds columns."""
    script = f"if [ ! -e {deployment.workspace.folder}/mended ]; then echo out of memory >&2; exit 3; fi"
    experiment_id = submit(deployment.workspace, program(values=2, jobs=1, script=script))
    deployment.open(page, f"e/{experiment_id}/grid")
    expect(cells(page, "failed")).to_have_count(2, timeout=WAIT)
    expect(cells(page, "failed").first).to_contain_text("out of memory")

    deployment.workspace.write("mended", "")
    # those that the learning service has heard of, as this button says; the page has the failures from the runner
    page.get_by_role("button", name="Retry failed (2)").click()
    expect(cells(page, "completed")).to_have_count(2, timeout=WAIT)
    page.get_by_role("button", name="Extend").click()
    page.get_by_label("More values of level").fill("7")
    page.get_by_role("button", name="Plan them").click()
    expect(cells(page, "completed")).to_have_count(3, timeout=WAIT)
    # the page has the ends from the runner, too, and may know of them before the learning service does
    wait_until(lambda: view_of(deployment.learning, experiment_id).status == "completed", what="the end")


def test_a_page_that_was_open_is_right_after_all_processes_died(page: Page, workspace: Workspace) -> None:
    """Runner and learning service are killed in mid-run; jobs go on, and the page with them, without a reload."""
    deployment = Deployment(workspace)
    experiment_id = submit(workspace, program(values=2, jobs=2, script=gate(workspace, 1)))
    deployment.open(page, f"e/{experiment_id}/grid")
    expect(cells(page, "completed")).to_have_count(2, timeout=WAIT)

    deployment.runner.kill()
    deployment.learning.kill()
    expect(page.locator("#banner")).to_contain_text("do not answer", timeout=WAIT)
    open_gate(workspace)
    deployment.runner.start()
    deployment.learning.start()

    expect(cells(page, "completed")).to_have_count(4, timeout=WAIT)
    expect(page.locator(".head .chip")).to_have_text("completed", timeout=WAIT)
    expect(page.locator("#banner")).to_be_hidden(timeout=WAIT)


def test_a_large_grid_keeps_few_cells_in_the_page_and_scrolls(page: Page, workspace: Workspace) -> None:
    """A hundred values with twenty seeds: only what is in sight is drawn, and the last corner comes into sight."""
    deployment = Deployment(workspace, workers=4)
    experiment_id = submit(workspace, LARGE)
    deployment.open(page, f"e/{experiment_id}/grid")
    expect(page.get_by_role("grid")).to_have_attribute("aria-colcount", "101", timeout=WAIT)
    expect(page.locator(".cell").first).to_be_visible(timeout=WAIT)

    few = page.locator(".cell").count()
    began = time.monotonic()
    page.locator(".grid").evaluate("grid => grid.scrollTo(grid.scrollWidth, grid.scrollHeight)")
    last = page.locator(".cell[data-key='99.19']")
    expect(last).to_be_visible(timeout=WAIT)

    # 1,350 by 600 pixels for cells of 128, one more on each side, and the row and column of the one that Tab comes to
    most = (10 + 1 + 2 + 1) * (4 + 1 + 2 + 1)
    assert few <= most
    assert page.locator(".cell").count() <= most
    assert time.monotonic() - began < 2 * TIME_FACTOR


@pytest.mark.fault(item="F95")
def test_what_decides_is_told_and_changed_where_people_rate(page: Page, deployment: Deployment) -> None:
    """A metric decides after all, so the page says that ratings do not, until a person lets them."""
    planned(page, deployment, "Decided", "1, 2", 1)
    expect(cells(page, "completed").locator("img")).to_have_count(2, timeout=WAIT)
    page.get_by_role("link", name="Answer").click()
    expect(page.get_by_label("Goal")).to_be_hidden()

    page.get_by_label("Decided by").select_option("prompt_match")

    expect(page.locator(".plot thead")).to_contain_text("maximize prompt_match", timeout=WAIT)
    page.get_by_label("Goal").select_option("minimize")
    expect(page.locator(".plot thead")).to_contain_text("minimize prompt_match", timeout=WAIT)
    page.get_by_role("link", name="Rate").click()
    expect(page.locator(".hint")).to_contain_text(
        "Stars decide nothing here: this experiment is decided by prompt_match."
    )
    page.get_by_role("button", name="Let stars decide").click()
    expect(page.locator(".hint")).to_be_hidden(timeout=WAIT)
