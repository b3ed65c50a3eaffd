"""Authorities of the tests' own, made by openssl, and the certificates that they give a database server."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

OVER = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
GOOD = ("-days", "10")
CONFIG = """
[ca]
default_ca = c
[c]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
unique_subject = no
policy = p
[p]
commonName = supplied
[authority]
basicConstraints = critical,CA:TRUE
"""


def authority(folder: Path, name: str, span: tuple[str, ...] = GOOD) -> Path:
    """Make an authority: its certificate NAME.pem, which is returned, and NAME.key."""
    _request(folder, name, f"/CN={name}")
    _sign(folder, name, *span, "-selfsign", "-keyfile", f"{name}.key", "-extensions", "authority")
    return folder / f"{name}.pem"


def server(folder: Path, by: str, name: str, span: tuple[str, ...] = GOOD) -> None:
    """Make NAME.pem and NAME.key for a server that is called by an instance's name, as Cloud SQL's are."""
    _request(folder, name, "/CN=project:instance")
    _sign(folder, name, *span, "-cert", f"{by}.pem", "-keyfile", f"{by}.key")


def _request(folder: Path, name: str, subject: str) -> None:
    (folder / "openssl.cnf").write_text(CONFIG)
    (folder / "index.txt").touch()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")
    _openssl(folder, "req", *key, "-subj", subject, "-out", f"{name}.csr")


def _sign(folder: Path, name: str, *words: str) -> None:
    files = ("-config", "openssl.cnf", "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext")
    _openssl(folder, "ca", "-batch", *files, *words)


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
