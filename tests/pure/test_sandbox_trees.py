"""Taking a machine's disk away."""

from __future__ import annotations

import os

import pytest

from sandbox.trees import remove_tree


def test_a_tree_is_gone_and_what_its_links_lead_to_stays(tmp_path):
    """Files, pipes, folders without rights for others, links to files and folders, links to nothing."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    tree = tmp_path / "tree"
    for number in range(40):
        folder = tree / f"a{number}" / "b"
        folder.mkdir(parents=True)
        for name in ("one", "two words", "셋"):
            (folder / name).write_text(name)
        (folder / "file-link").symlink_to(outside / "kept")
        (folder / "folder-link").symlink_to(outside)
        (folder / "nowhere").symlink_to("nowhere at all")
        os.mkfifo(folder / "pipe")
        folder.chmod(0o700)
    remove_tree(tree)
    assert not tree.exists()
    assert (outside / "kept").read_text() == "kept"


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    """Nobody is told that something was removed which never was."""
    with pytest.raises(FileNotFoundError):
        remove_tree(tmp_path / "absent")
