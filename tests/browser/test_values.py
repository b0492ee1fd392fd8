"""Values and results of any kind in a real browser: the empty text, large seeds, lists with quotes, files."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, cells, deployment, fill_more
from tests.support.workspace import view_of, wait_for_jobs

__all__ = ["deployment"]
EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = 2**53 + 1  # which no float is
TEXTS = f"""
name = "Texts"
seed = {SEED}
jobs_per_variant = 2
[variable]
name = "prompt"
values = ["", "1", "a blue star"]
[config]
steps = 1
width = 16
height = 16
"""


@pytest.mark.fault(item="F150")
def test_values_and_seeds_are_shown_and_sent_as_they_are(page: Page, deployment: Deployment) -> None:
    """With all digits, and no two values alike; what is typed with quotes is one text."""
    workspace = deployment.workspace
    name = workspace.run("experiment", "run", workspace.write("texts.toml", TEXTS)).out.strip()
    deployment.open(page, f"e/{name}/grid")
    expect(cells(page, "completed")).to_have_count(6, timeout=WAIT)

    assert page.locator(".columns .heading").all_inner_texts() == ['""', '"1"', "a blue star"]
    assert page.locator(".rows .heading").all_inner_texts() == [str(SEED), str(SEED + 1)]
    page.get_by_role("button", name="Extend").click()
    field, seeds = page.get_by_label("More values of prompt"), page.get_by_label("Seeds for each value")
    field.fill("red, a circle")
    seeds.fill("abc")
    page.get_by_role("button", name="Plan them").click()
    expect(seeds).to_be_focused()
    expect(seeds).to_have_accessible_description(re.compile("Give 2 or more; there are 2 already"))
    expect(field).to_have_value("red, a circle")
    seeds.fill("2")
    page.get_by_role("button", name="Plan them").click()
    expect(page.get_by_role("dialog")).to_be_hidden(timeout=WAIT)
    wait_for_jobs(deployment.learning, name, 8)
    assert [one.variant_value for one in view_of(deployment.learning, name).variants] == [
        "",
        "1",
        "a blue star",
        "red, a circle",
    ]


@pytest.mark.fault(item="F150")
def test_a_large_seed_is_planned_with_all_its_digits(page: Page, deployment: Deployment) -> None:
    """As a value and as the first seed."""
    deployment.open(page, "new")
    page.locator("[name='a name']").select_option("prompt")
    page.locator("[name='a values']").fill('""\na star, blue')
    fill_more(page, {"steps": 1})
    page.locator("[name=seed]").fill(str(2**64 - 3))
    expect(page.locator(".preview li")).to_have_text(['""', "a star, blue"], timeout=WAIT)
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/grid")
    name = page.url.split("/e/")[1].split("/")[0]
    definition = view_of(deployment.learning, name).definition
    assert (definition.seed, definition.variable and definition.variable.values) == (2**64 - 3, ["", "a star, blue"])


def test_a_result_that_is_no_picture_is_named_shown_and_saved(page: Page, deployment: Deployment) -> None:
    """In its cell with its metrics, and in full."""
    name = deployment.workspace.run("experiment", "run", EXAMPLES / "threshold.toml").out.strip()
    deployment.open(page, f"e/{name}/grid")
    expect(cells(page, "completed")).to_have_count(20, timeout=WAIT)

    expect(cells(page, "completed").first).to_contain_text("confusion.csv")
    expect(cells(page, "completed").first).to_contain_text("accuracy 0.")
    cells(page, "completed").first.click()
    expect(page.locator(".files pre")).to_contain_text("found,spam,count", timeout=WAIT)
    expect(page.locator(".files small")).to_contain_text(" B, ")
    with page.expect_download() as download:
        page.get_by_role("link", name="confusion.csv").click()
    assert download.value.suggested_filename == "confusion.csv"
    assert Path(download.value.path()).read_text(encoding="utf-8").startswith("found,spam,count\n")


@pytest.mark.fault(item="F154")
def test_a_program_is_planned_by_the_form(page: Page, deployment: Deployment) -> None:
    """Its placeholders are typed, as nobody can list them; what runs alone is said before."""
    deployment.open(page, "new")
    page.locator("[name=pipeline]").select_option("command")
    page.locator("[name='config command']").fill("echo {k}")
    page.locator("[name='a name']").select_option("k")
    page.locator("[name='a values']").fill('1, "", true')
    page.locator("[name=jobs]").fill("1")
    page.get_by_text("Time of a job", exact=True).click()
    expect(page.locator(".preview li")).to_have_text(["1", '""', "true"], timeout=WAIT)
    expect(page.locator(".preview")).to_contain_text("Each job runs alone on its runner")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/grid")
    expect(cells(page, "completed")).to_have_count(3, timeout=WAIT)
    expect(cells(page, "completed").first).to_have_text("no result")
