"""Taking a host out of an installation."""

from __future__ import annotations

from tasks.door import ENV_HELP, command, environment


@command(
    positional=["host"],
    help={
        "host": "the host, by its name in the inventory, or by the one that it had there",
        "env": ENV_HELP,
        "max_wait": "seconds to wait for the running tasks of its workers; then they go on, exit 7 (default 3600)",
        "allow_gap": "go on although nobody else serves a queue that has work",
        "purge": "remove also the account with its home (logs, pyenv), Redis' data, and the history there",
        "gone": "the machine does not exist any more: contact it not, only remember that it is retired",
        "dry_run": "print what would be stopped and removed, and stop",
    },
)
def retire(c, host, env="", max_wait=3600, allow_gap=False, purge=False, gone=False, dry_run=False):
    """
    Drain a host's workers, stop its services, and remove what was installed there: units, secrets, deploy key, code.

    Works before the host is deleted from the inventory, and after it: `fab plan`, `fab bootstrap` and `fab status` name
    hosts that were left behind. Refused (exit 8) for the only host with a role that is needed, and for the last
    consumer of a queue that has work. No task is lost. Typed twice it does nothing twice.
    """
    from airfleet import retire as flow
    from airfleet.workers import Wish
    from tasks import screen

    wish = flow.Wish(purge, gone, dry_run, Wish(max_wait, allow_gap))
    flow.retire(environment(env), host, wish, screen.Screen())
