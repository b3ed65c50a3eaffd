"""The people who write DAGs: a clone of their repository, pushed to with the deploy key."""

from __future__ import annotations

import os
import subprocess

CURRENT = "/home/airflow/dags/current"
DAG = """\
import datetime

try:  # Airflow 3
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG
    from airflow.operators.empty import EmptyOperator

with DAG("{dag}", schedule=None, start_date=datetime.datetime(2026, 1, 1), is_paused_upon_creation=False):
    EmptyOperator(task_id="only", queue="{queue}")
"""


class Team:
    """A clone of the DAG repository, as a team has it: pushes with the deploy key."""

    def __init__(self, installation, folder):
        self.folder = folder
        site = installation.site
        address = installation.machines["svc"].address
        ssh = f"ssh -i {site.deploy_key} -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null"
        self.env = {**os.environ, "GIT_SSH_COMMAND": f"{ssh} -o StrictHostKeyChecking=no"}
        self.git("clone", "--quiet", f"ssh://git@{address}/srv/git/dags.git", str(folder), cwd=folder.parent)
        self.first = self.git("rev-parse", "HEAD")

    def git(self, *words, cwd=None):
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        done = subprocess.run(
            ["git", *who, *words], cwd=cwd or self.folder, env=self.env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def push(self, message, *, force=False, **files):
        """Write files (None removes one) into the folder of DAGs, commit, push; return the commit."""
        for name, text in files.items():
            path = self.folder / "dags" / f"{name}.py"
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        self.git("push", "--quiet", *(["--force"] if force else []), "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def restore(self):
        """Bring the repository's files back to what they were when it was cloned."""
        self.git("rm", "-r", "--quiet", ".")
        self.git("checkout", self.first, "--", ".")
        return self.push("as it was")


def currents(installation):
    """Return the commit that each host is on."""
    return {name: installation.on(name, "readlink", CURRENT).strip().rpartition("/")[2] for name in ("af1", "af2")}


def both(commit):
    return {"af1": commit, "af2": commit}
