"""The answer in a real browser: the curve over the values."""

from playwright.sync_api import Page, expect

from tests.support.dashboard import Dashboard
from tests.support.experiment_files import submit
from tests.support.helpers import PATIENCE, TIME_FACTOR
from tests.support.workspace import Workspace

WAIT = PATIENCE * TIME_FACTOR * 1000  # ms
ANSWER = """
name = "Answer"
pipeline = "embedded"
jobs_per_variant = 2
objective = "prompt_match"
[config]
prompt = "a blue star"
[variable]
name = "{name}"
values = {values}
"""


def test_values_with_an_order_have_a_curve(page: Page, workspace: Workspace) -> None:
    """Each value has its point above its name, each job its own, and the band holds the line; texts have no curve."""
    workspace.learning(workspace.runner())
    dashboard = Dashboard(workspace)
    curved = submit(workspace, ANSWER.format(name="cfg_scale", values=[12, 1, 3, 6]))
    plain = submit(workspace, ANSWER.format(name="sampler_name", values=["euler", "heun", "dpm++_2m"]))

    page.goto(f"http://{dashboard.address}/#/e/{curved}/answer")
    curve = page.locator("figure.curve")
    expect(curve.locator("circle.point")).to_have_count(8, timeout=WAIT)
    expect(curve.locator("circle.mean")).to_have_count(4, timeout=WAIT)
    expect(curve.locator("polyline.line")).to_have_count(1)
    names = [text.removesuffix(" ★") for text in curve.locator("text[text-anchor=middle]").all_text_contents()]
    assert names == ["1", "3", "6", "12"]
    places = curve.locator("circle.mean").evaluate_all("all => all.map(one => one.getBoundingClientRect())")
    assert [one["x"] for one in places] == sorted(one["x"] for one in places)
    box, band = (curve.locator(part).first.bounding_box() for part in ("svg", "polygon.band"))
    assert box
    assert band
    assert all(band["y"] - 1 <= one["y"] + one["height"] / 2 <= band["y"] + band["height"] + 1 for one in places)
    assert box["x"] <= band["x"]
    assert band["width"] <= box["width"]
    expect(page.locator(".why li").first).to_contain_text("May be the best: ")

    page.goto(f"http://{dashboard.address}/#/e/{plain}/answer")
    expect(page.locator(".plot tbody tr")).to_have_count(3, timeout=WAIT)
    expect(curve).to_have_count(0)


def test_of_several_variables_it_is_shown_which_one_matters(page: Page, workspace: Workspace) -> None:
    """Each value of each variable has its mean over all values of the other, the most important variable first."""
    workspace.learning(workspace.runner())
    dashboard = Dashboard(workspace)
    variables = (
        '[[variables]]\nname = "cfg_scale"\nvalues = [0.25, 1]\n[[variables]]\nname = "steps"\nvalues = [4, 8]\n'
    )
    name = submit(workspace, f"{ANSWER.partition('[variable]')[0]}{variables}")

    page.goto(f"http://{dashboard.address}/#/e/{name}/answer")
    table = page.get_by_role("region", name="Variables")
    expect(table.locator("tbody tr")).to_have_count(4, timeout=WAIT)
    expect(table.locator("tbody tr").first).to_contain_text("cfg_scale")
    expect(table.locator("circle.mean")).to_have_count(4)
    expect(page.locator(".why li").first).to_contain_text("What matters: cfg_scale")
