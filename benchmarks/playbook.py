"""Ansible's side of the benchmark: a playbook with the same state, and its configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks import state

if TYPE_CHECKING:
    from pathlib import Path

FORKS = 20
CONFIGURATION = f"""[defaults]
forks = {FORKS}
host_key_checking = True
gathering = explicit
retry_files_enabled = False
local_tmp = {{folder}}/ansible-tmp
[connection]
pipelining = True
[ssh_connection]
pipelining = True
ssh_args = -o ControlMaster=auto -o ControlPersist=60s
control_path_dir = {{folder}}/cp
"""


def playbook() -> list[dict[str, object]]:
    """One play without facts (no task needs them): four tasks, two of them loops."""
    tasks = [
        {"ansible.builtin.apt": {"name": list(state.PACKAGES), "state": "present"}},
        {
            "ansible.builtin.user": {
                "name": state.ACCOUNT,
                "home": state.HOME,
                "shell": state.SHELL,
                "system": True,
            }
        },
        {
            "ansible.builtin.copy": {
                "content": "{{ item.text }}",
                "dest": "{{ item.path }}",
                "owner": "root",
                "group": "root",
                "mode": "0644",
            },
            "loop": [{"path": state.unit_path(name), "text": state.unit_text(name)} for name in state.SERVICES],
        },
        {
            "ansible.builtin.systemd_service": {"name": "{{ item }}", "state": "started", "enabled": True},
            "loop": [f"{name}.service" for name in state.SERVICES],
        },
    ]
    return [{"hosts": "all", "gather_facts": False, "become": True, "tasks": tasks}]


def write(folder: Path) -> None:
    """Write playbook and configuration; ssh limits the length of a control socket's path, so the folder is short."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "playbook.json").write_text(json.dumps(playbook(), indent=1))
    (folder / "ansible.cfg").write_text(CONFIGURATION.format(folder=folder))
