"""The form for a new experiment in a real browser: what was typed stays, what is wrong is said at its field."""

import io
import re
from pathlib import Path

from PIL import Image, PngImagePlugin
from playwright.sync_api import Page, expect

from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, deployment, fill_more
from tests.support.workspace import view_of

__all__ = ["deployment"]
EXAMPLES = Path(__file__).parents[2] / "examples"
PARAMETERS = """a green heart, on snow
Negative prompt: a frame
Steps: 7, Sampler: heun, Schedule type: karras, CFG scale: 2.5, Seed: 18446744073709551613, Size: 32x48, Model: sd15"""


def picture(parameters: str) -> bytes:
    """Return a picture with settings in it."""
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", parameters)
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, "PNG", pnginfo=info)
    return data.getvalue()


def test_what_was_typed_stays(page: Page, deployment: Deployment) -> None:
    """Another stage, another pipeline, a look elsewhere, Back and a reload take nothing away."""
    deployment.open(page, "new")
    prompt, plan = page.locator("[name='prompt 0']"), page.locator(".preview .sum")
    prompt.fill("a red star, and a heart")
    page.locator("[name='a values']").fill("1, 2")
    page.keyboard.press("Enter")
    page.locator("[name='a values']").fill("3")
    fill_more(page, {"steps": 2, "width": 32})
    expect(plan).to_have_text(re.compile("3 values . 3 seeds"), timeout=WAIT)

    page.locator("[name=stage]").select_option("img2img")
    expect(page.locator("[name='config init_image']")).to_be_visible()
    page.locator("[name='config init_image']").fill("/x.png")
    page.locator("[name=pipeline]").select_option("noop")
    expect(page.locator(".kept")).to_contain_text("noop run does not take steps, width, init_image")
    page.locator("[name=pipeline]").select_option("sdnext")
    expect(page.locator(".notice")).to_contain_text("sdnext cannot be used now")
    expect(page.locator(".notice")).to_contain_text("start SD.Next")
    page.get_by_role("link", name="System").click()
    page.go_back()
    expect(page.locator("[name=pipeline]")).to_have_value("sdnext")
    page.locator("[name=pipeline]").select_option("embedded")
    page.reload()
    expect(prompt).to_have_value("a red star, and a heart", timeout=WAIT)
    expect(page.locator(".items li")).to_have_text(["1", "2"])
    expect(page.locator("[name='a values']")).to_have_value("3")
    expect(page.locator("[name='config steps']")).to_have_value("2")
    expect(plan).to_have_text(re.compile("3 values . 3 seeds"), timeout=WAIT)

    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/grid")
    page.get_by_role("link", name="New", exact=True).click()
    expect(prompt).to_have_value("a blue star", timeout=WAIT)


def test_nothing_of_the_old_form_can_be_pressed_while_it_starts_over(page: Page, deployment: Deployment) -> None:
    """What can be planned is asked for meanwhile, and whoever was quicker filled a form that was gone already."""
    deployment.open(page, "new")
    example = page.get_by_role("button", name="Try 1, 1.5, 2, 4")
    expect(example).to_be_visible(timeout=WAIT)
    page.route("**/api/pipelines", lambda _: None)  # they hang
    page.get_by_role("button", name="Start over").click()
    expect(example).to_have_count(0)
    page.unroute("**/api/pipelines")  # and go on
    example.click()
    expect(page.locator(".preview .big")).to_have_text("12 jobs", timeout=WAIT)


def test_what_is_wrong_is_said_at_its_field(page: Page, deployment: Deployment) -> None:
    """In words of the form, with the focus for whoever wants to run it; it is asked again once the service is back."""
    deployment.open(page, "new")
    values, run = page.locator("[name='a values']"), page.get_by_role("button", name="Run", exact=True)
    expect(page.locator(".preview")).to_contain_text("Give values of cfg_scale", timeout=WAIT)
    expect(values).not_to_have_attribute("aria-invalid", "true")
    run.click()
    expect(values).to_be_focused()
    expect(values).to_have_accessible_description("Give values of cfg_scale.")

    page.get_by_role("button", name="Try 1, 1.5, 2, 4").click()
    values.fill("200")
    page.keyboard.press("Enter")
    expect(values).to_have_accessible_description("200 is out of bounds; allowed: 0 to 30.", timeout=WAIT)
    expect(page.locator(".items .bad")).to_have_text("200")
    page.get_by_role("button", name="Remove 200").click()
    fill_more(page, {"steps": "many"})
    steps = page.locator("[name='config steps']")
    expect(steps).to_have_accessible_description("Many is no number.")
    page.locator(".moresettings summary").click()
    expect(steps).to_be_hidden()
    run.click()
    expect(steps).to_be_focused()
    steps.fill("2")
    expect(page.locator(".preview .big")).to_have_text("12 jobs", timeout=WAIT)

    deployment.learning.kill()
    values.fill("5")
    expect(page.locator(".plancard .error")).to_contain_text("asked again by itself", timeout=WAIT)
    deployment.learning.start()
    expect(page.locator(".preview .big")).to_have_text("15 jobs", timeout=WAIT)
    expect(page.locator(".plancard .error")).to_have_count(0)


def test_an_experiment_runs_again_with_changes(page: Page, deployment: Deployment) -> None:
    """All of it is in the form, what has no field is named, and it gets a name of its own."""
    workspace = deployment.workspace
    text = (EXAMPLES / "cfg_sweep.toml").read_text(encoding="utf-8").replace("seed =", "priority = 7\nseed =")
    name = workspace.run("experiment", "run", workspace.write("sweep.toml", text)).out.strip()
    before = view_of(deployment.learning, name).definition
    deployment.open(page, f"new?from={name}")
    expect(page.locator("h1")).to_have_text("Run again with changes", timeout=WAIT)
    expect(page.locator("[name=name]")).to_have_value(f"{before.name} 2")
    expect(page.locator(".kept")).to_contain_text("priority 7 is kept as it was")
    page.locator("[name=jobs]").fill("1")
    expect(page.locator(".preview .big")).to_contain_text("jobs", timeout=WAIT)
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url(re.compile(r"#/e/.+/grid"))

    after = view_of(deployment.learning, page.url.split("/e/")[1].split("/")[0]).definition
    assert (after.name, after.jobs_per_variant, after.origin) == (f"{before.name} 2", 1, f"clone of {name}")
    assert (after.priority, after.variable, after.config) == (7, before.variable, before.config)


def test_a_picture_or_a_file_fills_the_form(page: Page, deployment: Deployment) -> None:
    """By the button or dropped; what is in it and no setting here is named, and what cannot be read is said."""
    deployment.open(page, "new")
    opener = page.get_by_label("Open a picture or the file of an experiment")
    opener.set_input_files({"name": "heart.png", "mimeType": "image/png", "buffer": picture(PARAMETERS)})
    expect(page.locator("[name='prompt 0']")).to_have_value("a green heart, on snow", timeout=WAIT)
    fill_more(page, {})
    expect(page.locator("[name='config steps']")).to_have_value("7")
    expect(page.locator("[name='config sampler_name']")).to_have_value("heun")
    expect(page.locator("[name='config height']")).to_have_value("48")
    expect(page.locator("[name=seed]")).to_have_value("18446744073709551613")
    expect(page.locator(".kept")).to_contain_text("no setting here: negative_prompt, model")

    ours = picture(PARAMETERS.replace("a green heart", "a red heart").replace("Model: sd15", "Model: embedded"))
    opener.set_input_files({"name": "ours.png", "mimeType": "image/png", "buffer": ours})
    expect(page.locator("[name='prompt 0']")).to_have_value("a red heart, on snow", timeout=WAIT)
    expect(page.locator(".kept")).to_have_text("Also in the picture, and no setting here: negative_prompt.")

    opener.set_input_files({"name": "none.png", "mimeType": "image/png", "buffer": ours[:8]})
    expect(page.locator("#said .error")).to_contain_text("none.png: has no settings in it")
    drop = """text => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], "grid.toml"));
      const event = kind => new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
      document.querySelector("form").dispatchEvent(event("dragover"));
      document.querySelector("form").dispatchEvent(event("drop"));
    }"""
    page.evaluate(drop, (EXAMPLES / "grid.toml").read_text(encoding="utf-8"))
    expect(page.locator("#said")).to_contain_text("grid.toml")  # at first, as it goes after four seconds
    expect(page.locator("[name='b name']")).to_be_visible(timeout=WAIT)
    expect(page.locator(".preview .big")).to_contain_text("jobs", timeout=WAIT)
