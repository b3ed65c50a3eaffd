"""The environment of the units, read as systemd reads it, and the shell that has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airfleet.agent import become
from airfleet.airflow_cfg import environment_value

# What systemd 252 made of the same text: `systemd-run --pipe --property=EnvironmentFile=… env`.
TEXT = r"""# a comment
; another
PLAIN=a b  c   
 LEAD = spaced value
SINGLE='it is $HOME \n "q"'
DOUBLE="a \"b\" \$c \\ \x \`d"
JOINED='it'"'"'s'
CONTINUED=one \
two
DOUBLE_CONTINUED="one \
two"
SEVERAL="line 1
line 2"
ESCAPED=a\ b\\c\'d
TRAILING=x\  
MIDDLE=ab'c'd"e"
AFTER='a' b 'c'
HASH=a # b
EMPTY=
QUOTED_EMPTY=''
JSON='{"conn_type": "google_cloud_platform"}'
not an assignment
UNICODE=añ한
EQUALS=a=b=c
LAST=end\
"""  # noqa: W291  # blanks at the end of a line are what is tried
READ = {
    "PLAIN": "a b  c",
    "LEAD": "spaced value",
    "SINGLE": 'it is $HOME \\n "q"',
    "DOUBLE": 'a "b" $c \\ \\x `d',
    "JOINED": "it's",
    "CONTINUED": "one two",
    "DOUBLE_CONTINUED": "one two",
    "SEVERAL": "line 1\nline 2",
    "ESCAPED": "a b\\c'd",
    "TRAILING": "x ",
    "MIDDLE": "ab'c'd\"e\"",
    "AFTER": "ab 'c'",
    "HASH": "a # b",
    "EMPTY": "",
    "QUOTED_EMPTY": "",
    "JSON": '{"conn_type": "google_cloud_platform"}',
    "UNICODE": "añ한",
    "EQUALS": "a=b=c",
    "LAST": "end",
}


def test_a_file_is_read_as_systemd_reads_it():
    """Not as a shell would: `$HOME` is no variable, a quote in the middle of a word is a letter."""
    assert READ == become.parse(TEXT)


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text()))
def test_what_airfleet_writes_is_read_back(values):
    """Whatever value its own template can hold."""
    known = {name: value for name, value in values.items() if not any(ord(c) < 32 and c not in "\t\n" for c in value)}
    known = {name: value for name, value in known.items() if "\x7f" not in value}
    text = "".join(f"{name}={environment_value(value)}\n" for name, value in known.items())
    assert known == become.parse(f"# managed\n{text}")


@given(st.text(alphabet="AB=\"'\\ \t\n#;x$"))
def test_any_text_is_read_to_its_end(text):
    """A file that somebody broke gives what can be read of it."""
    assert isinstance(become.parse(text), dict)


def run(*words, stdin="", env=None):
    """Run the file as a login sends it."""
    program = f"{Path(become.__file__).read_text()}\nbecome(*sys.argv[1:])\n"
    argv = [sys.executable, "-I", "-c", program, *words]
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, env=env)


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another account takes root")
def test_the_shell_is_the_accounts_and_has_the_units_environment(tmp_path):
    """Nothing of the login's own environment comes along but the kind of terminal; the venv leads the path."""
    file = tmp_path / "environment"
    file.write_text("PATH=/usr/bin:/v/bin:/bin\nODD='it'\"'\"'s $HOME'\n")
    for folder in (*list(tmp_path.parents)[:3], tmp_path):
        folder.chmod(0o755)
    told = 'id -un; pwd; echo "$PATH"; echo "$ODD"; echo "$TERM"; echo "${LEAK-none}"; exit 5\n'
    done = run("daemon", str(file), "/v/bin", stdin=told, env={"TERM": "xterm-x", "LEAK": "x", "PATH": "/usr/bin"})
    home = os.path.expanduser("~daemon")  # noqa: PTH111  # of another account
    assert done.stdout.split("\n")[:-1] == ["daemon", home, "/v/bin:/usr/bin:/bin", "it's $HOME", "xterm-x", "none"]
    assert (done.returncode, done.stderr) == (5, "")
    assert run("daemon", str(file), "/v/bin", "-c", 'echo "$0 $1"', "zero", "one").stdout == "zero one\n"


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another account takes root")
def test_a_host_without_airflow_says_what_to_do(tmp_path):
    """No account, or no file: a line instead of a traceback."""
    for words in (("no-such-account", "/x", "/v"), ("daemon", str(tmp_path / "none"), "/v")):
        done = run(*words)
        assert done.returncode == 1
        assert done.stderr.strip().endswith("run fab bootstrap")
        assert "Traceback" not in done.stderr
