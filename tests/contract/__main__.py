"""`python -m tests.contract`: ask image servers every question of their contract, and print the differences.

Without any address our fakes are asked. The exit status is 1 if a server answers otherwise than recorded.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from tests.contract import comfyui_cases, webui_cases
from tests.contract.comfyui_server import ComfyuiServer
from tests.contract.frame import Contract, ask, table
from tests.servers.comfyui import FakeComfy
from tests.servers.webui import FakeWebui

S = TypeVar("S")


@contextmanager
def fake_webui() -> Iterator[str]:
    """Yield the address of a fake web UI whose jobs take as long as small ones do."""
    server = FakeWebui()
    server.worker.step_seconds = webui_cases.FAKE_STEP_SECONDS
    try:
        yield server.url
    finally:
        server.close()


@contextmanager
def fake_comfyui() -> Iterator[str]:
    """Yield the address of a fake ComfyUI whose sampler takes as long as a small one does."""
    server = FakeComfy()
    server.behaviour.step_seconds = comfyui_cases.FAKE_STEP_SECONDS
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def _given(url: str) -> Iterator[str]:
    yield url


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
    parser.add_argument("--webui-url", metavar="URL", help="a web UI with --api; its settings are changed and put back")
    parser.add_argument(
        "--comfyui-url", metavar="URL", help="a ComfyUI that nobody else uses; what waits in its queue is removed"
    )
    options = parser.parse_args()
    none = not options.webui_url and not options.comfyui_url
    same = True
    if none or options.webui_url:
        same = run("webui", webui_cases.CONTRACT, webui_cases.WebuiServer, options.webui_url, fake_webui)
    if none or options.comfyui_url:
        comfyui = run("comfyui", comfyui_cases.CONTRACT, ComfyuiServer, options.comfyui_url, fake_comfyui)
        same = same and comfyui
    return 0 if same else 1


def run(
    kind: str,
    contract: Contract[S],
    connect: Callable[[str], S],
    url: str | None,
    fake: Callable[[], AbstractContextManager[str]],
) -> bool:
    """Ask a server, or our fake if there is no address; return whether it answers as recorded."""
    with _given(url) if url else fake() as address:
        server = connect(address)
        outcomes = []
        for case in contract.cases:
            outcomes.append(ask(case, server))
            say(f"{kind}: {case.title}: {outcomes[-1].verdict}")
    say(f"\n{table(f'{kind} at {address}' if url else f'{kind}, our fake', outcomes)}\n")
    return all(one.verdict != "different" for one in outcomes)


def say(text: str) -> None:
    """Write a line at once: a case may take minutes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
