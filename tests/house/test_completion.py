"""Tab completion in bash and zsh, as docs/completion.md has it: commands, and the options of a command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BASH = """\
source <(fab --print-completion-script bash)
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_complete_fab fab "${{COMP_WORDS[$COMP_CWORD]}}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """\
compdef() {{ : }}; compctl() {{ : }}
source <(fab --print-completion-script zsh)
reply=(); words=({words})
_complete_fab {words}
print -l -- $reply
"""


def complete(shell, template, words):
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    argv = [shell, *(["-f"] if shell == "zsh" else ["--norc"]), "-c", template.format(words=words)]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(("shell", "template"), [("bash", BASH), ("zsh", ZSH)])
def test_commands_and_their_options_are_completed(shell, template):
    """`fab restart-<Tab>` offers the commands, `fab deploy --<Tab>` the options of deploy."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    assert {"restart-workers", "restart"} <= complete(shell, template, "fab rest")
    assert {"--restart", "--max-wait", "--dry-run"} <= complete(shell, template, "fab deploy --")


def test_the_page_says_how():
    """One line for each shell, in docs/completion.md."""
    text = (ROOT / "docs" / "completion.md").read_text()
    for shell in ("bash", "zsh"):
        assert f"source <(fab --print-completion-script {shell})" in text
