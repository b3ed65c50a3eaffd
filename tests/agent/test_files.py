"""Files, directories and links on a real disk, by the agent as it is run."""

import grp
import hashlib
import os
import pwd
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

USER = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name
OWNED = {"owner": USER, "group": GROUP}
NAMES = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
AWKWARD = ["a b", "quo'te", 'dou"ble', "per%cent", "$(touch x)", "new\nline", "한국어", "-rf", "*", "`id`", "\\back"]


def want(text, mode="0600"):
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "mode": mode, **OWNED}


@pytest.mark.parametrize("name", AWKWARD)
def test_a_file_of_any_name_and_text(agent, tmp_path, name):
    """What was asked for is there, byte for byte, and is seen as such; no shell has seen the name."""
    path, text = tmp_path / name, f"{name}\n{name}"
    assert agent.make("file", path, want(text), text=text)["t"] == "done"
    assert path.read_bytes() == text.encode()
    assert agent.state("file", path) == want(text)
    assert os.listdir(tmp_path) == [name]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_name_and_any_text(agent, tmp_path_factory, name, text):
    """Whatever the name and the text are."""
    path = tmp_path_factory.mktemp("files") / name
    assert agent.make("file", path, want(text), text=text)["t"] == "done"
    assert path.read_bytes() == text.encode()


def test_the_text_comes_back_only_where_it_differs(agent, tmp_path):
    """A look at a file that is as wanted carries no content."""
    path = tmp_path / "f"
    path.write_text("secret")
    assert agent.look("file", path, sha256="other")["detail"] == {"text": "secret"}
    assert agent.look("file", path, sha256=hashlib.sha256(b"secret").hexdigest())["detail"] == {}


def test_what_was_changed_since_the_look_is_not_overwritten(agent, tmp_path):
    """Compare-and-swap: the file stays as somebody else made it, and the refusal says so."""
    path = tmp_path / "f"
    path.write_text("theirs")
    change = {"kind": "file", "key": str(path), "seen": None, "want": want("ours"), "means": {"text": "ours"}}
    answers = agent("apply", changes=[change])
    assert [a["class"] for a in answers if a["t"] == "failed"] == ["changed"]
    assert path.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["f"]


def test_a_link_changed_since_the_look_is_not_flipped(agent, tmp_path):
    """The same for links."""
    link = tmp_path / "current"
    link.symlink_to("theirs")
    change = {
        "kind": "link",
        "key": str(link),
        "seen": {"target": "old"},
        "want": {"target": "new"},
        "means": {"owner": USER},
    }
    assert [a["class"] for a in agent("apply", changes=[change]) if a["t"] == "failed"] == ["changed"]
    assert link.readlink().name == "theirs"


def test_a_link_is_flipped(agent, tmp_path):
    """From absent to one target to another."""
    link = tmp_path / "current"
    for target in ("releases/a", "releases/b"):
        assert agent.make("link", link, {"target": target}, owner=USER)["t"] == "done"
        assert str(link.readlink()) == target


def test_a_link_does_not_replace_what_is_no_link(agent, tmp_path):
    """A directory in the link's place is somebody's: it is refused, not removed."""
    place = tmp_path / "current"
    place.mkdir()
    assert agent.make("link", place, {"target": "x"}, owner=USER)["t"] == "failed"
    assert place.is_dir()


def test_a_file_is_never_wider_than_it_should_be(agent, tmp_path):
    """The mode is there before the content: a file of 0600 that replaces a wide one is never readable by others."""
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o644)
    assert agent.make("file", path, want("new"), text="new")["t"] == "done"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a link that is another account's")
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_another_accounts_link_is_not_followed(agent, tmp_path, kind):
    """A folder that the account replaced by a link does not lead root's hands elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "logs"
    link.symlink_to(elsewhere)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    answer = agent.look(kind, f"{link}/x" if kind == "file" else str(link))
    assert answer["t"] == "failed"
    assert "not followed" in answer["error"]
    assert os.listdir(elsewhere) == []


@pytest.mark.skipif(os.getuid() != 0, reason="the link is root's only when root runs the tests")
def test_roots_own_link_is_followed(agent, tmp_path):
    """/home on another disk, linked by root, works."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to("disk")
    assert agent.make("directory", tmp_path / "home" / "airflow", {"mode": "0750", **OWNED})["t"] == "done"
    assert stat.S_IMODE((tmp_path / "disk" / "airflow").stat().st_mode) == 0o750


def test_changes_are_made_in_order_until_one_fails(agent, tmp_path):
    """The rest is untouched, and what was begun is told."""
    (tmp_path / "is-a-file").write_text("")
    keys = [str(tmp_path / name) for name in ("one", "is-a-file/two", "three")]
    changes = [{"kind": "file", "key": key, "seen": None, "want": want("x"), "means": {"text": "x"}} for key in keys]
    answers = agent("apply", changes=changes)
    assert [(a["t"], a["key"]) for a in answers] == [
        ("begin", keys[0]),
        ("done", keys[0]),
        ("begin", keys[1]),
        ("failed", keys[1]),
    ]
    assert sorted(os.listdir(tmp_path)) == ["is-a-file", "one"]
