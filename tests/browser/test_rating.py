"""Rating in a real browser: no key is lost, no picture is rated by accident, and there is an end."""

from pathlib import Path

from playwright.sync_api import Page, Route

import variantbus.dashboard

STATIC = Path(variantbus.dashboard.__file__).parent / "static"
QUEUE = """async () => {
    const { JudgementQueue } = await import("/feedback/queue.js");
    const told = { sent: [], kept: [], ended: [], troubles: [] };
    const answers = [new Error("away"), "one", new Error("refused"), "three"];
    answers[0].isAway = true;
    const done = Promise.withResolvers();
    const queue = new JudgementQueue({
        send: async ({ body }) => {
            told.sent.push(body);
            const answer = answers.shift();
            if (answer instanceof Error) throw answer;
            return answer;
        },
        keep: (waiting) => told.kept.push(waiting.map((one) => one.body)),
        changed: () => queue.trouble && told.troubles.push(queue.trouble),
        ended: ({ entry, reply, error, isAgain }) => {
            told.ended.push([entry.body, reply ?? error.message, Boolean(isAgain)]);
            if (!queue.waiting.length) done.resolve();
        },
        pause: 1e6, // it goes on as it is hurried
    });
    for (const body of [1, 2, 3, 4]) queue.add({ body });
    told.dropped = [queue.drop((one) => one.body === 4), queue.drop((one) => one.body === 1)]; // 1 is under way
    await new Promise((resolve) => setTimeout(resolve));
    queue.hurry();
    await done.promise;
    return told;
}"""


def test_judgements_are_sent_in_order_until_each_is_answered(page: Page) -> None:
    """Again where nobody answers, not where it is refused; what was not sent can be dropped, and what waits is kept."""

    def static(route: Route) -> None:
        path = STATIC / route.request.url.split("/", 3)[3]
        if path.is_file():
            route.fulfill(path=path, content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html>", content_type="text/html")

    page.route("http://judgements.test/**", static)
    page.goto("http://judgements.test/")

    told = page.evaluate(QUEUE)

    assert told["sent"] == [1, 1, 2, 3]
    assert told["ended"] == [[1, "one", False], [2, "refused", False], [3, "three", False]]
    assert told["troubles"][0] == "away"
    assert told["dropped"] == [True, False]
    assert [1, 2, 3] in told["kept"]
    assert told["kept"][-1] == []
