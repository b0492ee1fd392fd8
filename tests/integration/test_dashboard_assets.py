"""The files of the page: under one hash, read again when one of them changes."""

import gzip
import os
import re
from pathlib import Path

import pytest

from variantbus.dashboard.assets import FOR_EVER, Assets

PAGE = """<head>
<link rel="icon" href="/static/icon.png">
<link rel="stylesheet" href="/static/b.css">
<link rel="stylesheet" href="/static/views/a.css">
<script type="module" src="/static/main.js"></script>
</head>
"""
FILES = {
    "index.html": PAGE,
    "b.css": "b {}\n",
    "views/a.css": "a {}\n",
    "main.js": 'import { one } from "./views/one.js";\nimport "./base/all.js";\n',
    "views/one.js": 'import{two}from"../base/two.js";\nexport { x } from "../base/all.js";\n',
    "base/two.js": "// " + "x" * 2000,
    "base/all.js": 'import { one } from "../views/one.js"; // a circle',
    "base/unused.js": "",
    "icon.png": "png",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a small page."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def hash_in(page: bytes) -> str:
    """Return the one hash of all addresses of a page."""
    (found,) = set(re.findall(rb'"/static/([0-9a-f]{16})/', page))
    return str(found.decode())


def test_the_page_names_one_stylesheet_and_all_modules_that_it_needs(folder: Path) -> None:
    """Under one hash; the stylesheet comes first, as nothing is painted without it."""
    page = Assets(folder).page("index.html")

    assert re.findall(rb'(\w+)" href="/static/[0-9a-f]{16}/([^"]+)"', page) == [
        (b"icon", b"icon.png"),
        (b"stylesheet", b"index-page.css"),
        (b"modulepreload", b"main.js"),
        (b"modulepreload", b"views/one.js"),
        (b"modulepreload", b"base/all.js"),
        (b"modulepreload", b"base/two.js"),
    ]
    assert hash_in(page)


def test_a_file_is_kept_for_ever_under_the_hash_of_this_version_alone(folder: Path) -> None:
    """Without a hash it is asked for again each time; under the one of another version there is none."""
    assets = Assets(folder)
    version = hash_in(assets.page("index.html"))

    kept, asked = assets.find(f"{version}/base/two.js"), assets.find("base/two.js")

    assert kept
    assert asked
    assert kept.asset == asked.asset
    assert (kept.caching, asked.caching) == (FOR_EVER, "no-cache")
    assert gzip.decompress(kept.asset.gzipped) == kept.asset.data == FILES["base/two.js"].encode()
    assert kept.asset.media_type == "text/javascript; charset=utf-8"
    styles, icon = assets.find(f"{version}/index-page.css"), assets.find("icon.png")
    assert styles
    assert icon
    assert styles.asset.data == b"b {}\na {}\n"
    assert icon.asset.gzipped is icon.asset.data
    for path in ("0" * 16 + "/main.js", "index.html", f"{version}/../main.js", "../main.js", "", version, "nothing.js"):
        assert assets.find(path) is None, path


def test_a_change_comes_with_the_next_page(folder: Path) -> None:
    """Not amid one: the files that a page has named are those that it gets."""
    assets = Assets(folder)
    before = hash_in(assets.page("index.html"))
    assert hash_in(assets.page("index.html")) == before
    (folder / "base" / "two.js").write_text("other", encoding="utf-8")
    os.utime(folder / "base" / "two.js", (1, 1))  # whatever the clock's resolution

    old = assets.find(f"{before}/base/two.js")
    after = hash_in(assets.page("index.html"))
    new = assets.find(f"{after}/base/two.js")

    assert old
    assert new
    assert before != after
    assert (old.asset.data, new.asset.data) == (FILES["base/two.js"].encode(), b"other")
    assert old.asset.tag != new.asset.tag
    assert assets.find(f"{before}/base/two.js") is None


def test_files_are_found_before_anybody_has_asked_for_the_page(folder: Path) -> None:
    """As after a restart, while a browser still has it."""
    assert Assets(folder).find("main.js")
