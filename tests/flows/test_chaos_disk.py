"""The full disk of the matrix of chaos, in a mount namespace of its own: full, and gone with all that was written."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.live.chaos.faults import EMPTY, FILL, HOME

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
SCRIPT = """
mount --make-r{propagation} /
sh -eu -c "$1"
cat {home}/airflow.cfg {home}/logs/old
echo more > {home}/more 2>/dev/null; [ -s {home}/more ] || echo full
echo more > {tmp}/more 2>/dev/null; [ -s {tmp}/more ] || echo full
rm {home}/gone {home}/more
printf NEW > {home}/airflow.cfg.new 2>/dev/null
printf new 1<> {home}/airflow.cfg
echo line > {home}/logs/new
sh -c "$2"
grep -c airfleet-chaos /proc/self/mounts
"""


@pytest.mark.parametrize("propagation", ["shared", "private"])
def test_a_disk_is_full_and_has_afterwards_what_was_done_to_it(tmp_path, propagation):
    """Files, owners and modes are there all the while, logs go on; what was changed or removed is so on the disk."""
    home, run, tmp = tmp_path / "home", tmp_path / "run", tmp_path / "tmp"
    for folder in (home / "logs", run, tmp):
        folder.mkdir(parents=True)
    home.chmod(0o750)
    for name, text in (("airflow.cfg", "old\n"), ("gone", "x"), ("logs/old", "log\n")):
        (home / name).write_text(text)
    os.chown(home / "airflow.cfg", 1234, 1234)
    (home / "airflow.cfg").chmod(0o600)
    fill, empty = (
        script.replace("/tmp", str(tmp)).replace(HOME, str(home)).replace("/run/chaos", f"{run}/chaos")
        for script in (FILL, EMPTY.replace("timeout 100 systemctl", ": systemctl"))
    )
    script = SCRIPT.format(propagation=propagation, home=home, tmp=tmp)
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "chaos", fill, empty]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False).stdout
    assert said == "old\nlog\nfull\nfull\n0\n"
    found = {str(each.relative_to(home)): each.read_text() for each in home.rglob("*") if each.is_file()}
    found.pop("airflow.cfg.new")  # empty: there was no room
    assert found == {"airflow.cfg": "new\n", "logs/old": "log\n", "logs/new": "line\n"}
    about = (home / "airflow.cfg").stat()
    assert (about.st_uid, about.st_gid, oct(about.st_mode)) == (1234, 1234, "0o100600")
    assert oct(home.stat().st_mode) == "0o40750"
    assert list(run.iterdir()) == []
