"""The file that a person gives as `--cluster`."""

from pathlib import Path

import pytest

from bus.cluster.access import Access, parse_access
from bus.protocol.validation import InvalidInputError


def test_a_file_names_servers_and_credentials(tmp_path: Path) -> None:
    """Files that it names are found beside it."""
    path = tmp_path / "cluster.toml"
    (tmp_path / "seed").touch()
    path.write_text('servers = ["tls://a", "tls://b:1"]\ncredentials = "seed"\n', encoding="utf-8")
    assert parse_access(str(path)) == Access(servers=("tls://a:4222", "tls://b:1"), credentials=tmp_path / "seed")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("servers = []", "servers"),
        ('servers = ["nats://a"]\npassword = "x"', "password"),
        ('servers = ["nats://a"]\nca = "ca.pem"', "ca: there is no file"),
        ("servers = [", "no TOML file"),
    ],
)
def test_a_wrong_file_is_refused_by_its_field(tmp_path: Path, text: str, problem: str) -> None:
    """With the path of the file."""
    path = tmp_path / "cluster.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=problem) as caught:
        parse_access(str(path))
    assert str(path) in str(caught.value)
