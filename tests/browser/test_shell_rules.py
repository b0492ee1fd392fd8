"""What all views rely on, without a service: messages, dialogs, requests, and judgements that wait."""

from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.browser.test_form_rules import form

__all__ = ["form"]


def evaluated(page: Page, module: str, code: str) -> Any:
    """Return what code gives with a module as `m`, on a page that has a place for messages."""
    script = """async ([module, code]) => {
      const said = document.getElementById("said") ?? document.createElement("div");
      said.id = "said";
      document.body.append(said);
      const m = await import(`/static/${module}`);
      return new Function("m", `return (async () => { ${code} })()`)(m);
    }"""
    return page.evaluate(script, [module, code])


def test_an_offer_keeps_its_time_and_is_carried_out_when_the_page_is_closed(form: Page) -> None:
    """Other messages do not end it, and who closes the page has not taken it back."""
    told = evaluated(
        form,
        "base/toast.js",
        """window.done = [];
        m.offer("stop it", { act: () => done.push("stopped") });
        m.say("one");
        m.say("two");
        return [done.length, document.getElementById("said").innerText];""",
    )

    assert told[0] == 0
    assert "stop it" in told[1]
    assert "two" in told[1]
    form.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert form.evaluate("done") == ["stopped"]


def test_a_dialog_goes_with_what_it_is_about(form: Page) -> None:
    """Back leads to another view, above which it would act on what is shown no more."""
    evaluated(form, "base/dialog.js", "window.answered = m.confirm('Stop it?', 'Now.', { yes: 'Stop' });")
    expect(form.get_by_role("alertdialog")).to_be_visible()

    form.evaluate("location.hash = '#/elsewhere'")

    expect(form.get_by_role("alertdialog")).to_have_count(0)
    assert form.evaluate("answered") is False


def test_an_answer_that_nobody_can_read_is_none(form: Page) -> None:
    """As one of something in between; a judgement that met it is sent again, instead of being taken as kept."""

    def answer(route: Route) -> None:
        route.fulfill(status=200, content_type="text/html", body="<p>Please log in")

    form.route("**/api/torn", answer)

    assert evaluated(form, "data/api.js", "return m.get('/api/torn').catch((error) => error.isAway)") is True


def test_to_take_stars_back_twice_does_not_bring_them_back(form: Page) -> None:
    """While the first one waits behind other judgements, as when the service is away."""
    stars = """const { state } = await import("/static/data/state.js");
      const known = { sha256: "a", stars: 4, note: "", rated_at: 1 };
      state.open = { id: "x", ratings: new Map([["a", known]]), comparisons: [], status: null };
      m.rate("x", "b", 3);
      m.undoRating("x", "a");
      const once = m.ratingOf("a") ?? null;
      m.undoRating("x", "a");
      return [once, m.ratingOf("a") ?? null, m.ratingOf("b").stars];"""

    assert evaluated(form, "feedback/judging.js", stars) == [None, None, 3]
