"""The commands of docs/cluster.md that make certificates: servers and clients can trust what comes of them."""

import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
HOSTS = ("a.example.org", "b.example.org", "c.example.org")
COMMAND_SECONDS = 120.0  # keys are made, on a machine that may be busy


def commands() -> str:
    """Return the commands as they stand on the page."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("    openssl req"))
    last = next(number for number in range(first, len(lines)) if not lines[number])
    return "\n".join(lines[first:last])


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_the_commands_make_a_certificate_for_each_server(tmp_path: Path) -> None:
    """Each is for its own name, is no authority, and passes the strict rules of newer Pythons."""

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    if not run("openssl", "version").startswith("OpenSSL 3"):
        pytest.skip("needs OpenSSL 3")
    run("sh", "-ec", commands())

    for host in HOSTS:
        assert (tmp_path / f"{host}.key").stat().st_mode & 0o077 == 0
        strict = ("-x509_strict", "-verify_hostname", host)
        run("openssl", "verify", *strict, "-purpose", "sslserver", "-CAfile", "ca.pem", f"{host}.pem")
        run("openssl", "verify", "-purpose", "sslclient", "-CAfile", "ca.pem", f"{host}.pem")
        assert "CA:FALSE" in run("openssl", "x509", "-in", f"{host}.pem", "-noout", "-ext", "basicConstraints")
