"""Several variables in a real browser: which two the grid shows, and the form that plans them."""

import re
from typing import Final

from playwright.sync_api import Page, expect

from bus.contracts.definition import Variable
from tests.acceptance.test_webui import server, wait_for_server
from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, cells, deployment, fill_more
from tests.servers.webui import FakeWebui
from tests.support.workspace import Workspace, view_of, wait_for_jobs

__all__ = ["deployment", "server"]
SMALL: Final = {"width": 16, "height": 16}
FILE: Final = """
name = "Three"
skip = [{ cfg_scale = 2, steps = 2 }]
[[variables]]
name = "cfg_scale"
values = [1, 2, 4]
[[variables]]
name = "steps"
values = [1, 2]
[[variables]]
name = "sampler_name"
values = ["euler", "heun"]
[config]
prompt = "a blue star"
width = 16
height = 16
"""


def test_two_of_three_variables_are_shown_and_the_others_chosen(page: Page, deployment: Deployment) -> None:
    """With the keyboard, too; what is skipped has no cell."""
    workspace = deployment.workspace
    name = workspace.run("experiment", "run", workspace.write("three.toml", FILE)).out.strip()
    wait_for_jobs(deployment.learning, name, 10)
    deployment.open(page, f"e/{name}/grid")
    done = cells(page, "completed")
    expect(done).to_have_count(5, timeout=WAIT)
    heads = page.locator(".columns .heading .name")
    expect(page.locator(".corner")).to_contain_text("cfg_scale")
    expect(heads).to_have_text(["1", "2", "4"])
    expect(page.locator(".cell[aria-label*='sampler_name heun']")).to_have_count(0)

    page.get_by_label("sampler_name", exact=True).focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".cell[aria-label*='sampler_name heun']")).to_have_count(5)
    expect(page.get_by_label("sampler_name", exact=True)).to_be_focused()
    page.get_by_label("Across").select_option("steps")
    expect(heads).to_have_text(["1", "2"])
    expect(page.get_by_label("Down")).to_have_value("cfg_scale")
    page.get_by_label("Down").select_option("sampler_name")
    expect(done).to_have_count(4)
    page.get_by_label("cfg_scale", exact=True).select_option("2")
    expect(done).to_have_count(2)
    page.get_by_label("Across").select_option("all combinations")
    page.get_by_role("button", name="Fit").click()
    expect(done).to_have_count(10)
    page.get_by_label("Order").select_option("best first")
    expect(page.get_by_label("Across")).to_be_hidden()


def test_a_preset_tells_what_it_sets(page: Page, deployment: Deployment) -> None:
    """Above its column, when the pointer rests on its name."""
    knob = """
    name = "Presets"
    config = { prompt = "a blue star", width = 16, height = 16 }
    [variable]
    name = "preset"
    [[variable.values]]
    name = "fast"
    steps = 1
    sampler_name = "heun"
    """
    workspace = deployment.workspace
    name = workspace.run("experiment", "run", workspace.write("presets.toml", knob)).out.strip()
    deployment.open(page, f"e/{name}/grid")
    expect(page.locator(".columns .heading .name")).to_have_text(["fast"], timeout=WAIT)
    expect(page.locator(".columns .heading")).to_have_attribute("title", "steps 1, sampler_name heun")


def test_the_form_plans_many_variables_and_parts_of_prompts(page: Page, deployment: Deployment) -> None:
    """A word in braces, a part that is replaced, and a sample of them all."""
    deployment.open(page, "new")
    fill_more(page, SMALL)
    page.locator("[name='prompt 0']").fill("a {colour} star")
    page.locator("[name=jobs]").fill("1")
    page.locator("[name='a name']").select_option("steps")
    page.locator("[name='a values']").fill("1 to 4 by 1")
    page.get_by_role("button", name="Vary another setting").click()
    expect(page.locator("[name='b name']")).to_be_focused()
    page.locator("[name='b name']").select_option("a {word} in a text")
    page.locator("[name='b text']").fill("colour")
    page.locator("[name='b values']").fill("blue\nred")
    page.get_by_role("button", name="Vary another setting").click()
    page.locator("[name='c name']").select_option("a part of the prompt")
    page.locator("[name='c text']").fill("star")
    page.locator("[name='c values']").fill("star\nheart")
    plan = page.locator(".preview .sum")
    expect(plan).to_have_text(re.compile("16 values . 1 seed"), timeout=WAIT)
    page.locator("[name=sample]").fill("6")
    expect(plan).to_have_text(re.compile("6 values . 1 seed"), timeout=WAIT)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(cells(page, "completed")).to_have_count(6, timeout=WAIT)

    definition = view_of(deployment.learning, page.url.split("/e/")[1].split("/")[0]).definition
    assert definition.variables == (
        Variable(name="steps", start=1, stop=4, step=1),
        Variable(name="colour", values=["blue", "red"], fills=True),
        Variable(name="star", values=["star", "heart"], setting="prompt", replace="star"),
    )
    assert (definition.sample, definition.config["prompt"]) == (6, "a {colour} star")


def test_the_form_plans_values_in_tables(page: Page, workspace: Workspace, server: FakeWebui) -> None:
    """The strength of one LoRA of several, as a file does."""
    there = Deployment(workspace, options=("--webui-url", server.url))
    wait_for_server(there.runner)
    there.open(page, "new")
    page.locator("[name=pipeline]").select_option("webui")
    fill_more(page, {"loras": '{"detail": 0.8, "ink-style": 0.6}'})
    page.locator("[name=jobs]").fill("1")
    page.locator("[name='a name']").select_option("a value in a table")
    page.locator("[name='a text']").fill("loras.detail")
    page.locator("[name='a values']").fill("0, 0.5")
    expect(page.locator(".preview .sum")).to_have_text(re.compile("2 values . 1 seed"), timeout=WAIT)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(cells(page, "completed")).to_have_count(2, timeout=WAIT)

    assert sorted(job["prompt"] for job in server.sent()) == [
        "a blue star <lora:detail:0.5> <lora:ink-style:0.6>",
        "a blue star <lora:ink-style:0.6>",
    ]
