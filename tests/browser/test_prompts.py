"""The form of an experiment in a real browser: several prompts, to the picture that names its prompt, and a search."""

import re

from playwright.sync_api import Page, expect

from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, cells, deployment, fill_more
from tests.support.workspace import view_of

__all__ = ["deployment"]


def test_each_prompt_has_rows_of_its_own(page: Page, deployment: Deployment) -> None:
    """The plan counts them, the grid and the viewer name them, and all rows of one prompt stand together."""
    page.set_viewport_size({"width": 1400, "height": 2400})  # only cells in sight exist
    deployment.open(page, "new")
    page.locator("[name='prompt 0']").fill("a red star\n\n  a blue heart \n")
    page.get_by_role("button", name="These are 2 prompts").click()
    page.locator("[name='a values']").fill("1, 2")
    page.locator("[name=jobs]").fill("2")
    fill_more(page, {"steps": 2, "width": 32, "height": 32})
    expect(page.locator(".preview .sum")).to_have_text(re.compile("2 values . 2 prompts . 2 seeds"), timeout=WAIT)
    expect(page.locator(".preview .big")).to_have_text("8 jobs")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_label("Size of pictures").fill("100")  # all rows are in sight
    expect(cells(page, "completed").locator("img")).to_have_count(8, timeout=WAIT)

    rows = page.locator(".rows .heading")
    expect(rows).to_have_text(
        [f"{prompt} seed {seed}" for prompt in ("a red star", "a blue heart") for seed in (1234, 1235)]
    )
    cells(page, "completed").first.click()
    about = page.locator(".viewer .about")
    expect(about).to_contain_text("cfg_scale 1 a red star, seed 1234")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(about).to_contain_text("cfg_scale 1 a blue heart, seed 1234")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Turn").click()
    expect(page.locator(".corner")).to_contain_text("prompt →")

    definition = view_of(deployment.learning, page.url.split("/e/")[1].split("/")[0]).definition
    assert [block.config for block in definition.blocks] == [{"prompt": "a red star"}, {"prompt": "a blue heart"}]
    assert "prompt" not in definition.config


def test_a_search_begins_with_one_seed(page: Page, deployment: Deployment) -> None:
    """Unless somebody has written another number, which stays; so the budget is not spent on the first values."""
    deployment.open(page, "new")
    seeds, adaptive = page.locator("[name=jobs]"), page.get_by_label("Adaptive search")
    plan = page.locator(".preview .sum")
    page.locator("[name='a values']").fill("0 to 12 by 0.5")
    adaptive.check()
    expect(seeds).to_have_value("1")
    expect(plan).to_have_text(re.compile("5 values . 1 seed"), timeout=WAIT)
    adaptive.uncheck()
    expect(seeds).to_have_value("3")
    seeds.fill("2")
    adaptive.check()
    expect(seeds).to_have_value("2")


def test_what_a_search_has_not_tried_is_not_called_planned(page: Page, deployment: Deployment) -> None:
    """Three values with one seed, and a fourth job: the other two have no second seed, and need none."""
    deployment.open(page, "new")
    page.locator("[name='a values']").fill("1, 2, 4")
    page.get_by_text("A number", exact=True).click()
    page.get_by_label("Adaptive search").check()
    page.locator("[name=budget]").fill("4")
    fill_more(page, {"steps": 2, "width": 32, "height": 32})
    expect(page.locator(".preview")).to_contain_text("up to 4 in all", timeout=WAIT)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(cells(page, "completed").locator("img")).to_have_count(4, timeout=WAIT)
    expect(cells(page, "untried")).to_have_text(["untried", "untried"])
    expect(cells(page, "planned")).to_have_count(0)
