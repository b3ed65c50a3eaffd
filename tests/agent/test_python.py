"""pyenv by git, what is made of a build, and its cache. The compiler's hours are left out: a small pyenv stands in."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

VERSION = platform.python_version()
MINOR = ".".join(VERSION.split(".")[:2])
PYENV = """\
#!/bin/sh
# A pyenv that installs a launcher of the Python that runs the tests.
[ "$1 $2" = "install --verbose" ] || exit 2
echo "built" >> "$PYENV_ROOT/builds"
case "$(cat "$PYENV_ROOT/mood" 2>/dev/null)" in
    checksum) echo "checksum mismatch: Python.tgz (file is corrupt)"; exit 1;;
    offline) echo "error: failed to download Python.tgz"; exit 1;;
    poor) modules=no;;
esac
mkdir -p "$PYENV_ROOT/versions/$3/bin"
if [ "$modules" ]; then
    printf '#!/bin/sh\\necho %s bz2 lzma\\n' "$3" > "$PYENV_ROOT/versions/$3/bin/python3"
else
    printf '#!/bin/sh\\nexec "%s" "$@"\\n' "PYTHON" > "$PYENV_ROOT/versions/$3/bin/python3"
fi
chmod +x "$PYENV_ROOT/versions/$3/bin/python3"
echo "compiled with $MAKE_OPTS in $TMPDIR from $PYTHON_BUILD_MIRROR_URL"
"""


@pytest.fixture
def repository(tmp_path):
    """A repository of a small pyenv with two tags."""
    path = tmp_path / "pyenv.git"
    definitions = path / "plugins" / "python-build" / "share" / "python-build"
    definitions.mkdir(parents=True)
    (path / "bin").mkdir()
    (path / "bin" / "pyenv").write_text(PYENV.replace("PYTHON", sys.executable, 1))
    (path / "bin" / "pyenv").chmod(0o755)
    (path / ".gitignore").write_text("/versions\n/builds\n/mood\n")
    for version in (VERSION, f"{MINOR}.90", f"{MINOR}.9", "2.7.18"):
        (definitions / version).write_text("install_package\n")

    def git(*words):
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        subprocess.run(["git", *who, *words], cwd=path, check=True, capture_output=True)

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "-m", "one")
    git("tag", "v1")
    (path / "CHANGELOG").write_text("two\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "two")
    git("tag", "v2")
    return f"file://{path}"


@pytest.fixture
def root(tmp_path, agent, account, repository):
    """A pyenv at tag v1."""
    root = tmp_path / "home" / ".pyenv"
    made = agent.make("pyenv", root, {"tag": "v1", "repository": repository}, account=account)
    assert made["t"] == "done", made
    return root


@pytest.fixture
def build(agent, account, root):
    def made(version=VERSION, **means):
        want = {"version": version, "imports": "ok"}
        words = {"account": account, "root": str(root), "mirror": None, "cache": None, **means}
        return agent.make("python", root / "versions" / version, want, **words)

    return made


def test_pyenv_is_absent_then_at_its_tag(agent, root, repository, tmp_path):
    """A folder without pyenv is absent; afterwards its state says tag and repository."""
    assert agent.state("pyenv", tmp_path / "nothing") is None
    assert agent.state("pyenv", root) == {"tag": "v1", "repository": repository}


def test_built_versions_survive_another_tag(agent, root, repository, account):
    """Changing the tag replaces pyenv and leaves what it built."""
    (root / "versions" / "3.11.0").mkdir(parents=True)
    assert agent.make("pyenv", root, {"tag": "v2", "repository": repository}, account=account)["t"] == "done"
    assert agent.state("pyenv", root) == {"tag": "v2", "repository": repository}
    assert (root / "CHANGELOG").exists()
    assert (root / "versions" / "3.11.0").is_dir()


def test_a_checkout_that_was_killed_heals(agent, root, repository, account):
    """Git's lock files and a half-written tree of a killed run do not matter."""
    (root / ".airfleet").unlink()
    (root / ".git" / "index.lock").write_text("")
    (root / ".git" / "shallow.lock").write_text("")
    (root / "bin" / "pyenv").write_text("half")
    assert agent.make("pyenv", root, {"tag": "v1", "repository": repository}, account=account)["t"] == "done"
    assert (root / "bin" / "pyenv").read_text().startswith("#!/bin/sh")


def test_a_pyenv_that_somebody_else_cloned_is_adopted(agent, tmp_path, repository, account):
    """A clone made by hand is at an unknown tag, and is brought to the wanted one in place."""
    root = tmp_path / "pyenv"
    subprocess.run(["git", "clone", "--quiet", repository, root], check=True)
    assert agent.state("pyenv", root) == {"tag": "unknown", "repository": "unknown"}
    assert agent.make("pyenv", root, {"tag": "v1", "repository": repository}, account=account)["t"] == "done"
    assert not (root / "CHANGELOG").exists()


def test_an_unknown_tag_names_the_newest_and_changes_nothing(agent, root, repository, account):
    """A tag that is not there is refused, and pyenv stays as it was."""
    answer = agent.make("pyenv", root, {"tag": "v9", "repository": repository}, account=account)
    assert (answer["t"], answer["class"]) == ("failed", "missing")
    assert "v2, v1" in answer["remedy"]
    assert agent.state("pyenv", root) == {"tag": "v1", "repository": repository}


def test_a_python_is_built_verified_and_marked(agent, build, root):
    """A build leaves a Python whose modules were imported, and no building site."""
    path = root / "versions" / VERSION
    assert agent.state("python", path) is None
    assert build()["t"] == "done"
    assert agent.state("python", path) == {"version": VERSION, "imports": "ok"}
    assert [name for name in os.listdir(root) if name.startswith(".airfleet-")] == []


def test_a_build_without_a_mark_is_done_again(agent, build, root):
    """What a killed build left is absent, is removed and built anew."""
    path = root / "versions" / VERSION
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python3").write_text("half")
    (path / "bin" / "python3").chmod(0o755)
    assert agent.state("python", path) is None
    assert build()["t"] == "done"
    assert (root / "builds").read_text() == "built\n"


def test_a_version_unknown_to_this_pyenv_names_the_newest(build):
    """The newest is the greatest number, not the last word: 3.x.90 is newer than 3.x.9."""
    answer = build(f"{MINOR}.99")
    assert (answer["t"], answer["class"]) == ("failed", "missing")
    assert f"{MINOR}.90" in answer["error"]


def test_a_python_without_its_modules_is_refused_by_name(agent, build, root):
    """A build that lacks modules names them and the packages that they need; the next run builds again."""
    (root / "mood").write_text("poor")
    answer = build()
    assert (answer["t"], answer["class"]) == ("failed", "missing")
    assert "bz2, lzma" in answer["error"]
    assert "libbz2-dev liblzma-dev" in answer["remedy"]
    assert agent.state("python", root / "versions" / VERSION) is None


@pytest.mark.parametrize(("mood", "kind"), [("checksum", "checksum"), ("offline", "unreachable")])
def test_a_failed_build_says_why(build, root, mood, kind):
    """A wrong checksum and sources out of reach are told apart."""
    (root / "mood").write_text(mood)
    answer = build()
    assert (answer["t"], answer["class"]) == ("failed", kind)


def test_a_built_python_is_taken_from_the_cache(agent, build, root, tmp_path):
    """The second host of the same kind unpacks what the first one built."""
    cache = tmp_path / "cache"
    assert build(cache=str(cache))["t"] == "done"
    (kept,) = cache.iterdir()
    path = root / "versions" / VERSION
    subprocess.run(["rm", "-r", path], check=True)
    assert build(cache=str(cache))["told"] == {"from": str(kept)}
    assert agent.state("python", path) == {"version": VERSION, "imports": "ok"}
    assert (root / "builds").read_text() == "built\n"
    assert os.listdir(root / "versions") == [VERSION]


def test_a_broken_cache_costs_a_build_and_no_more(build, root, tmp_path):
    """A tar that cannot be unpacked is passed over, and replaced by what is built."""
    cache = tmp_path / "cache"
    build(cache=str(cache))
    (kept,) = cache.iterdir()
    kept.write_bytes(b"rubbish")
    subprocess.run(["rm", "-r", root / "versions" / VERSION], check=True)
    assert build(cache=str(cache))["t"] == "done"
    assert (root / "builds").read_text() == "built\nbuilt\n"
    assert kept.stat().st_size > 1000


def test_a_killed_builder_is_ended_before_the_next_build(agent, build, root):
    """A process that an earlier, killed agent started for this Python is ended first."""
    path = root / "versions" / VERSION
    env = {**os.environ, "AIRFLEET_MAKES": str(path)}
    stray = subprocess.Popen(["sleep", "60"], env=env)
    try:
        assert build()["t"] == "done"
        assert stray.wait(timeout=5) == -9
    finally:
        stray.kill()


def test_the_distributions_python_is_supported_or_not(agent):
    """Its minor version decides; making it is refused with what to do instead."""
    path = Path(sys.executable)
    assert agent.state("system_python", path, minors=[MINOR]) == {"supported": "yes"}
    assert agent.state("system_python", path, minors=["3.1"]) == {"supported": f"no: it is {VERSION}"}
    assert agent.state("system_python", "/nothing/python3", minors=[MINOR]) is None
    answer = agent.make("system_python", path, {"supported": "yes"}, {"minors": ["3.1"]}, minors=["3.1"])
    assert (answer["t"], answer["class"]) == ("failed", "unsupported")
    assert VERSION in answer["error"]
    assert "airflow.python" in answer["remedy"]
