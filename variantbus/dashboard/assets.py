"""The files of the page: kept in memory, compressed once, under an address with the hash of all of them.

Their relative imports keep the hash, so a browser never mixes two versions, and asks for none of them twice. They are
read again when the page is asked for after one of them has changed, so whoever works on them reloads the page.

The page names one stylesheet, in which all are joined, and the modules that it needs: a browser would find each of
those only in another one, and ask for them one after another.
"""

import hashlib
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from variantbus.dashboard.compression import packed

FOR_EVER: Final = "public, max-age=31536000, immutable"  # an address with a hash always means the same bytes
FOR_ITS_OWNER: Final = "private, max-age=31536000, immutable"  # of what needs the password: in no shared cache
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".webp": "image/webp",
}
BEST: Final = 9
HASH_DIGITS: Final = 16
PAGE: Final = ".html"
OURS: Final = '"/static/'  # as the page names its files
_STYLE: Final = re.compile(r'<link rel="stylesheet" href="/static/([^"]+)">\n')
_MAIN: Final = re.compile(r'<script type="module" src="/static/([^"]+)">')
_IMPORT: Final = re.compile(rb"""(?:\bfrom|\bimport)\s*["'](\.[^"']+)["']""")
_HASH: Final = re.compile(rf"[0-9a-f]{{{HASH_DIGITS}}}")


class Asset(NamedTuple):
    """A file of the page, as it is and compressed; `tag` is another one once the file has changed."""

    media_type: str
    data: bytes
    gzipped: bytes
    tag: str


class Found(NamedTuple):
    """What is sent, and how long a browser may keep it."""

    asset: Asset
    caching: str


class Assets:
    """Reads the files of a folder."""

    def __init__(self, folder: Path) -> None:
        """Read all of them."""
        self._folder = folder
        self._state: list[tuple[str, int, int]] = []
        self._files: dict[str, Asset] = {}
        self._hash = ""
        self._pages: dict[str, bytes] = {}

    def page(self, name: str) -> bytes:
        """Return a page, whose addresses have the hash of the present files."""
        self._refresh()
        return self._pages[name]

    def find(self, path: str) -> Found | None:
        """Return a file by its path behind `/static/`, with or without the hash; None: this version has none."""
        if not self._files:
            self._refresh()
        first, _, rest = path.partition("/")
        asset = self._files.get(rest if _HASH.fullmatch(first) and first == self._hash else path)
        if asset is None:
            return None
        return Found(asset, FOR_EVER if first == self._hash else "no-cache")

    def _refresh(self) -> None:
        paths = sorted(path for path in self._folder.rglob("*") if path.is_file())
        state = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
        if state == self._state:
            return
        read = {path.relative_to(self._folder).as_posix(): path.read_bytes() for path in paths}
        whole = hashlib.sha256()
        for name, data in read.items():
            whole.update(f"{name} {len(data)} ".encode() + data)
        self._hash = whole.hexdigest()[:HASH_DIGITS]
        pages = {name: read.pop(name).decode() for name in list(read) if name.endswith(PAGE)}
        for name, text in pages.items():
            read[_styles_of(name)] = b"".join(read[style] for style in _STYLE.findall(text))
        self._files = {name: _asset(name, data) for name, data in read.items()}
        self._pages = {name: self._linked(name, text, read) for name, text in pages.items()}
        self._state = state

    def _linked(self, name: str, text: str, files: Mapping[str, bytes]) -> bytes:
        """Return a page with all its styles in one file, which names the modules that it needs before the first one."""
        modules = [module for first in _MAIN.findall(text) for module in _needed(first, files)]
        links = f'<link rel="stylesheet" href="{OURS[1:]}{_styles_of(name)}">\n' + "".join(
            f'<link rel="modulepreload" href="{OURS[1:]}{module}">\n' for module in modules
        )
        page = _STYLE.sub("", text).replace("<script", f"{links}<script", 1)
        return page.replace(OURS, f"{OURS}{self._hash}/").encode()


def _styles_of(page: str) -> str:
    """Return the name of the file with all styles of a page, in the order in which it names them."""
    return f"{page.removesuffix(PAGE)}-page.css"


def _needed(name: str, files: Mapping[str, bytes]) -> list[str]:
    """Return a module and all that it imports, each once."""
    found = {name: None}  # in the order in which they are found
    todo = [name]
    while todo:
        here = todo.pop()
        for path in _IMPORT.findall(files[here]):
            module = posixpath.normpath(posixpath.join(posixpath.dirname(here), path.decode()))
            if module not in found and module in files:
                found[module] = None
                todo.append(module)
    return list(found)


def _asset(name: str, data: bytes) -> Asset:
    media_type = TYPES.get(Path(name).suffix, "application/octet-stream")
    gzipped = packed(data, "gzip", BEST)[0] if media_type.startswith("text/") else data
    return Asset(media_type, data, gzipped, f'"{hashlib.sha256(data).hexdigest()[:HASH_DIGITS]}"')
