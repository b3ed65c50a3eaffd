"""The bucket of task logs, tried from this host: may its own login write, read, list and delete there?"""

from __future__ import annotations

from airfleet.agent import inside

PROGRAM, BESIDE = "inside_log_bucket", ("inside_storage",)
TIMEOUT_S = 90


def probe_bucket(words, tell):
    """Return {"did": what was done, "who": the login}; refused is what that login may not, or what is not there.

    `venv` and `account`, `environment` (variables by which the library finds an emulator), `bucket`, `prefix`.
    """
    env = {"HOME": "/nonexistent", **words["environment"]}  # no personal login of the account's: only the machine's
    kept = {"account": words["account"], "env": env, "timeout_s": TIMEOUT_S, "also": BESIDE}
    return inside.ask(words["venv"], PROGRAM, words, **kept)
