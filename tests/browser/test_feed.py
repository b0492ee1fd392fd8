"""One stream for all tabs, and a page that goes on whoever is away: in a real browser."""

import re
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from bus.contracts.experiments import ExperimentView
from bus.contracts.feedback import RatingListReply
from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, cells, deployment
from tests.support.experiment_files import gate, open_gate, pictures, program, services, submit
from tests.support.helpers import TIME_FACTOR, wait_until
from tests.support.workspace import Workspace, steady_ports, wait_for_jobs

__all__ = ["deployment"]
TABS = 12
WITHOUT_WORKERS = "delete window.SharedWorker"
DEFINITION = {
    "pipeline": "noop",
    "stage": "run",
    "jobs_per_variant": 1,
    "variable": {"name": "level", "values": [1]},
}


@pytest.mark.parametrize(
    "script",
    [pytest.param("", id="worker"), pytest.param(WITHOUT_WORKERS, id="elected", marks=pytest.mark.exhaustive)],
)
def test_many_tabs_are_live_each_on_its_own_experiment(browser: Browser, deployment: Deployment, script: str) -> None:
    """A browser has six connections for one server. They go on when the first tab is closed, which may have had it."""
    names = [f"tab-{number}" for number in range(TABS)]
    for name in names:
        params = {"experiment_id": name, "definition": {**DEFINITION, "name": name}}
        deployment.learning.ask("experiment.create", params, ExperimentView)
    with closing(browser.new_context(viewport={"width": 1400, "height": 1800})) as context:
        if script:
            context.add_init_script(script)
        tabs = [context.new_page() for _ in names]
        for name, tab in zip(names, tabs, strict=True):
            deployment.open(tab, f"e/{name}/grid")
            expect(cells(tab, "completed")).to_have_count(1, timeout=WAIT)

        for seeds, first in ((2, 0), (3, 1)):  # once all of them, once without the first
            for name in names[first:]:
                more = {"experiment_id": name, "values": {}, "jobs_per_variant": seeds}
                deployment.learning.ask("experiment.extend", more, ExperimentView)
            for tab in tabs[first:]:
                expect(cells(tab, "completed")).to_have_count(seeds, timeout=WAIT)
            tabs[first].close()
        expect(tabs[2].locator("#banner")).to_be_hidden()


def test_a_page_goes_on_after_the_dashboard_was_killed(page: Page, workspace: Workspace) -> None:
    """The token of the new start comes by itself, and what was typed before is sent with it."""
    runner, learning = services(workspace)
    port = str(steady_ports()[0])
    process = workspace.command("dashboard", "--port", port)
    process.wait_for_line("listening")
    name = submit(workspace, pictures(values=2, jobs=1))
    wait_for_jobs(learning, name, 2)
    page.goto(f"http://127.0.0.1:{port}/#/e/{name}/rate")
    note = page.get_by_label("Note")
    note.fill("typed before")

    process.kill()
    expect(page.locator("#banner")).to_contain_text("dashboard's server does not answer", timeout=WAIT)
    workspace.command("dashboard", "--port", port).wait_for_line("listening")
    expect(page.locator("#banner")).to_be_hidden(timeout=WAIT)
    expect(note).to_have_value("typed before")
    page.locator(".rating .stage, .rating .shot").first.click(force=True)
    page.keyboard.press("4")

    def rated() -> list[tuple[int | None, str]]:
        found = learning.ask("rating.list", {"experiment_id": name}, RatingListReply).ratings
        return [(one.stars, one.note) for one in found]

    wait_until(lambda: rated() == [(4, "typed before")], what="the stars with their note")
    assert runner.process.lives


def test_a_page_that_is_loaded_while_the_learning_service_is_away_says_so(page: Page, deployment: Deployment) -> None:
    """It is not live, and comes up by itself; "reused" and warnings are there after a load, too."""
    warned = program(values=1, jobs=1).replace("[variable]", 'objective = "charm"\n[variable]')
    plans = [warned, pictures(values=1, jobs=1), pictures(values=1, jobs=1)]  # the last one's result is there already
    names = []
    for plan in plans:
        names.append(submit(deployment.workspace, plan))
        wait_for_jobs(deployment.learning, names[-1], 1)
    deployment.learning.kill()

    page.goto(f"{deployment.url}/#/e/{names[2]}/grid")
    expect(page.locator("#banner")).to_contain_text("learning service does not answer", timeout=WAIT)
    expect(page.locator("#banner")).to_contain_text("goes on by itself")
    expect(page.locator("#live")).not_to_have_text("live")
    deployment.learning.start()

    expect(cells(page, "completed")).to_have_count(1, timeout=WAIT)
    expect(page.locator("#live")).to_have_text("live", timeout=WAIT)
    expect(page.locator("#banner")).to_be_hidden(timeout=WAIT)
    expect(page.locator(".cell .mark[title*='earlier job']")).to_have_count(1)
    deployment.open(page, f"e/{names[0]}/grid")
    expect(page.locator(".cell .mark.warn")).to_have_attribute("title", re.compile("no metric 'charm'"), timeout=WAIT)


def test_an_end_that_nobody_told_the_page_of_is_loaded(page: Page, deployment: Deployment) -> None:
    """The runner told of it before the page listened, and the learning service heard of it after the snapshot."""
    name = submit(deployment.workspace, program(values=1, jobs=2, script=gate(deployment.workspace, 1)))
    wait_for_jobs(deployment.learning, name, 1)

    def as_before(route: Route) -> None:
        found = route.fetch().json()
        variants = [{**one, "completed": 0} for one in found["experiment"]["variants"]]
        route.fulfill(json={**found, "cells": [], "experiment": {**found["experiment"], "variants": variants}})

    page.route("**/snapshot", as_before)
    deployment.open(page, f"e/{name}/grid")
    expect(page.locator(".cell")).to_have_count(2, timeout=WAIT)
    expect(cells(page, "completed")).to_have_count(0)
    page.unroute("**/snapshot")
    open_gate(deployment.workspace)
    expect(cells(page, "completed")).to_have_count(2, timeout=WAIT)


OF_A_LARGE_ONE = """async (main) => {
  const { OpenExperiment } = await import(main.replace("main.js", "data/open.js"));
  const told = [];
  const open = new OpenExperiment("e", (what) => told.push(what));
  const range = (count) => Array.from({ length: count }, (_, place) => place);
  const cell = (v, r) => ({
    job_id: `e.${v}.${r}.0`, variant_index: v, repeat_index: r, state: "completed", finished_at: 1,
    images: [{ sha256: `${v}-${r}`, media_type: "image/png", width: 1, height: 1 }],
  });
  open.takeSnapshot({
    experiment: { revision: 1, definition: { jobs_per_variant: 20 },
      variants: range(100).map((v) => ({ variant_index: v, revision: 1, variant_value: v })) },
    cells: range(100).flatMap((v) => range(20).map((r) => cell(v, r))), ratings: [], comparisons: [],
  });
  const first = open.pictures();
  const shuffles = new Set(first.map((one) => one.shuffle)).size;
  const counts = [first.length, shuffles, open.pictures() === first, open.variants.get(7).images.length];
  const began = performance.now();
  for (const number of range(50)) {
    open.moveCell({ job_id: `e.3.5.${number}`, learning_context: { variant_index: 3, repeat_index: 5 } }, "completed",
      { images: [{ sha256: `new ${number}` }] });
    open.takeVariant({ variant_index: 4, revision: 2 + number, variant_value: 4 });
    open.pictures();
  }
  const ms = (performance.now() - began) / 50;
  const now = open.pictures();
  const changed = [now.length, now[65].sha256, now[65].repeat, now[80].variant.revision, now[59] === first[59]];
  return [...counts, ...changed, told.at(-1), ms];
}"""


def test_the_pictures_of_a_large_experiment_are_kept_in_order(page: Page, workspace: Workspace) -> None:
    """An event costs its variant alone, and asking again costs nothing."""
    services(workspace)
    process = workspace.command("dashboard", "--port", "0")
    page.goto(process.wait_for_line("listening").split("http=")[1])

    *found, ms = page.evaluate(OF_A_LARGE_ONE, page.locator("script[type=module]").get_attribute("src"))

    assert found == [2000, 2000, True, 20, 2000, "new 49", 5, 51, True, "variants"]
    assert ms < 10 * TIME_FACTOR
