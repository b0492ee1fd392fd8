"""The search of an adaptive experiment in a real browser: what it does, where it looked, and why it ended."""

import re

from playwright.sync_api import Page, expect

from bus.contracts.experiments import ExperimentView
from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment
from tests.support.experiment_files import submit
from tests.support.helpers import wait_until
from tests.support.workspace import Workspace, view_of

SEARCH = """
name = "Search"
pipeline = "embedded"
mode = "adaptive"
budget = 9
objective = "{objective}"
[variable]
name = "cfg_scale"
start = 0
stop = 12
step = 1
[config]
prompt = "a blue star"
steps = 4
width = 32
height = 32
"""


def has_ended(view: ExperimentView) -> bool:
    """Return whether no job is under way; a search waits for ratings from its first picture on."""
    return view.totals.completed == view.totals.jobs


def test_a_search_that_waits_for_people_is_cancelled_beside_its_pictures(page: Page, workspace: Workspace) -> None:
    """No job is left then, and still there is something to cancel; it asks first, and says that a search ends."""
    deployment = Deployment(workspace)
    name = submit(workspace, SEARCH.format(objective="stars"))
    deployment.open(page, f"e/{name}/grid")
    expect(page.locator(".head .facts")).to_contain_text("waits for ratings of", timeout=WAIT)
    wait_until(lambda: has_ended(view_of(deployment.learning, name)), what="the end of the jobs that it waits for")
    jobs = view_of(deployment.learning, name).totals.jobs
    expect(page.locator(".head .facts")).to_contain_text(f"{jobs} of {jobs} jobs", timeout=WAIT)
    page.get_by_role("button", name="Cancel", exact=True).click()
    question = page.get_by_role("alertdialog", name="Cancel the search?")
    expect(question).to_contain_text("What is done stays. It plans no more jobs")
    question.get_by_role("button", name="Let it go on").click()
    expect(page.locator(".head .facts")).to_contain_text("waits for ratings of")
    page.get_by_role("button", name="Cancel", exact=True).click()
    question.get_by_role("button", name="Cancel the search").click()
    expect(page.locator(".said")).to_contain_text("the search cancelled", timeout=WAIT)
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0, timeout=WAIT)
    search = view_of(deployment.learning, name).search
    assert search
    assert (search.state, search.reason) == ("stopped", "it was cancelled")


def test_a_search_shows_where_it_looks_and_why_it_ended(page: Page, workspace: Workspace) -> None:
    """Each job is a point, with the best so far as a line; one that waits for people is stopped after a question."""
    deployment = Deployment(workspace)
    found = submit(workspace, SEARCH.format(objective="prompt_match"))
    asked = submit(workspace, SEARCH.format(objective="stars"))
    deployment.open(page, f"e/{found}/grid")
    page.get_by_role("link", name="Search").click()

    expect(page.locator(".search-top")).to_contain_text("Why it ended:", timeout=WAIT)
    expect(page.locator(".gauge").first).to_contain_text(re.compile(r"\d of 9 jobs; \d left"))
    done = page.locator(".tried tbody tr")
    # the page has the ends from the runner, and why the search ended from the learning service, in either order; and
    # after a decision there may be jobs on their way
    wait_until(lambda: view_of(deployment.learning, found).status == "completed", what="the end of all jobs")
    jobs = view_of(deployment.learning, found).totals.completed
    assert 2 < jobs <= 9
    expect(done).to_have_count(jobs)
    expect(page.locator(".strip circle")).to_have_count(jobs)
    chart = page.locator("figure.chart", has_text="Best so far")
    expect(chart.locator("circle")).to_have_count(jobs)
    heights = [float(pair.split(",")[1]) for pair in str(chart.locator("polyline").get_attribute("points")).split()]
    assert heights == sorted(heights, reverse=True), "the best so far never gets worse"
    expect(done.last).to_contain_text("new best")
    page.get_by_role("slider", name="Results over the jobs").focus()
    page.keyboard.press("Home")
    expect(chart.locator(".readout")).to_contain_text("job 1")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/grid/\d\.0$"), timeout=WAIT)

    page.goto("about:blank")  # or else the viewer is still open
    deployment.open(page, f"e/{asked}/search")
    expect(page.locator(".reason")).to_contain_text("waits for ratings of", timeout=WAIT)
    expect(page.locator(".deeds .primary")).to_have_text("Rate them")
    page.get_by_role("button", name="Stop the search").click()
    question = page.get_by_role("alertdialog", name="Stop the search?")
    expect(question).to_contain_text("of its 9 jobs are left")
    question.get_by_role("button", name="Let it go on").click()
    expect(page.locator(".reason")).to_contain_text("waits for ratings of")
    page.get_by_role("button", name="Stop the search").click()
    question.get_by_role("button", name="Stop it").click()
    expect(page.locator(".reason")).to_contain_text("a person stopped it", timeout=WAIT)
    expect(page.get_by_role("button", name="Stop the search")).to_have_count(0)
