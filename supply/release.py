"""A release: the archive of a tag, its bill of materials and their checksums; the same bytes for everybody."""

from __future__ import annotations

import gzip
import hashlib
import io
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from airfleet.errors import UsageError
from supply.bill import bill_of
from supply.programs import GIT, git, run, run_bytes

SUMS = "SHA256SUMS"


def build(repository: Path, tag: str, out: Path) -> list[Path]:
    """Write airfleet-VERSION.tar.gz, its SBOM and SHA256SUMS of a tag ("": HEAD's) into a folder; return their paths.

    Files have the order, the owners (root) and the modes of `git archive`, and the time of the tagged commit; what is
    not committed is no part of it.
    """
    tag = tag or _tag_of_head(repository)
    commit = _commit(repository, tag)
    version = _version(repository, tag, commit)
    name = f"airfleet-{version}"
    tar = run_bytes([*GIT, "archive", "--format=tar", f"--prefix={name}/", commit], cwd=repository)
    contents = {f"{name}.tar.gz": _packed(tar), f"{name}.cdx.json": _bill(repository, commit).encode()}
    sums = [f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in contents.items()]
    contents[SUMS] = "".join(sums).encode()
    out.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (out / file).write_bytes(content)
    return [out / file for file in contents]


def _tag_of_head(repository: Path) -> str:
    tags = git("tag", "--points-at", "HEAD", cwd=repository).split()
    if len(tags) == 1:
        return tags[0]
    problem = f"HEAD has {len(tags)} tags: {', '.join(tags)}" if tags else "HEAD has no tag"
    raise UsageError(problem, place=str(repository), remedy="name one: make release TAG=v1.2.0")


def _commit(repository: Path, tag: str) -> str:
    known = git("tag", "--list", cwd=repository).split()
    if tag not in known:
        raise UsageError(f"there is no tag {tag}", place=str(repository), remedy=f"git tag --annotate {tag}")
    return git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}", cwd=repository)


def _version(repository: Path, tag: str, commit: str) -> str:
    version = str(tomllib.loads(_file(repository, commit, "pyproject.toml"))["project"]["version"])
    if tag != f"v{version}":
        raise UsageError(
            f"the tag {tag} is of a tree whose pyproject.toml says {version}",
            place="pyproject.toml",
            remedy=f"tag it v{version}, or set the version, commit and tag that",
        )
    if f"\n## {version} " not in _file(repository, commit, "CHANGELOG.md").replace(f"## {version}\n", f"## {version} "):
        raise UsageError(
            f"the changelog has no section {version}",
            place="CHANGELOG.md",
            remedy=f'write "## {version} (DATE)" over what is under Unreleased, commit, and tag that',
        )
    return version


def _packed(tar: bytes) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, filename="", mode="wb", compresslevel=9, mtime=0) as file:
        file.write(tar)
    return packed.getvalue()


def _bill(repository: Path, commit: str) -> str:
    seconds = int(git("show", "--no-patch", "--format=%ct", commit, cwd=repository))
    with tempfile.TemporaryDirectory(prefix="airfleet-release-") as folder:
        for name in ("pyproject.toml", "uv.lock"):
            (Path(folder) / name).write_text(_file(repository, commit, name), encoding="utf-8")
        return bill_of(Path(folder), datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _file(repository: Path, commit: str, name: str) -> str:
    return run([*GIT, "show", f"{commit}:{name}"], cwd=repository)
