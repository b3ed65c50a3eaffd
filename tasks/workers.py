"""What on-call does to Celery workers."""

from __future__ import annotations

from tasks.door import BATCH_HELP, ENV_HELP, MAX_FAILURES_HELP, ONLY_HELP, command, environment

MAX_WAIT_HELP = "seconds to wait for the running tasks of a worker; then it takes tasks again, exit 7 (default 3600)"
GAP_HELP = "go on although nobody else serves a queue that has work"
KILL_HELP = "at --max-wait end the tasks that still run, and name them, instead of giving up"
PLAN_HELP = "print the plan and stop"


@command(
    help={
        "env": ENV_HELP,
        "count": "restart worker instances 1..N on each host (default: all that the inventory has there)",
        "only": ONLY_HELP,
        "max_wait": MAX_WAIT_HELP,
        "dry_run": PLAN_HELP,
        "allow_gap": GAP_HELP,
        "kill_after_wait": KILL_HELP,
        "batch": BATCH_HELP,
        "max_failures": MAX_FAILURES_HELP,
    }
)
def restart_workers(
    c,
    env="",
    count=0,
    only="",
    max_wait=3600,
    dry_run=False,
    allow_gap=False,
    kill_after_wait=False,
    batch="1",
    max_failures=0,
):
    """
    Restart the Celery workers, on each host one at a time, each after its running tasks have finished.

    A worker first takes no new tasks (others do), then is waited for, restarted, and must run a task before the next
    one's turn. At --max-wait nothing is killed: it takes tasks again, and exit 7 names the task.
    Ctrl-C, a lost connection or a killed terminal are safe at any moment: the worker takes tasks again by itself.
    """
    from airfleet import workers
    from airfleet.batches import batch_of
    from tasks import screen

    workers.restart_workers(
        environment(env),
        count=count,
        only=only,
        dry_run=dry_run,
        wish=workers.Wish(max_wait, allow_gap, kill_after_wait),
        screen=screen.Screen(),
        over=workers.Rollout(batch_of(batch), max_failures),
    )


@command(
    help={
        "env": ENV_HELP,
        "count": "how many worker instances there shall be on each host",
        "only": ONLY_HELP,
        "max_wait": MAX_WAIT_HELP,
        "dry_run": PLAN_HELP,
        "allow_gap": GAP_HELP,
        "kill_after_wait": KILL_HELP,
    }
)
def scale_workers(c, env="", count=0, only="", max_wait=3600, dry_run=False, allow_gap=False, kill_after_wait=False):
    """
    Start more worker instances on each host, or drain, stop and disable those above N.

    The inventory stays as it is: `fab plan` shows the difference, and `fab bootstrap` undoes it.
    """
    from airfleet import staffing
    from airfleet.workers import Wish
    from tasks import screen

    wish = Wish(max_wait, allow_gap, kill_after_wait)
    staffing.scale_workers(environment(env), count=count, only=only, dry_run=dry_run, wish=wish, screen=screen.Screen())


@command(help={"env": ENV_HELP, "only": ONLY_HELP, "max_wait": MAX_WAIT_HELP, "allow_gap": GAP_HELP})
def drain_workers(c, env="", only="", max_wait=3600, allow_gap=False):
    """
    Let the workers finish their tasks and take no new ones, until `fab resume-workers` or a restart.
    """
    from airfleet import staffing
    from airfleet.workers import Wish
    from tasks import screen

    staffing.drain_workers(environment(env), only=only, wish=Wish(max_wait, allow_gap), screen=screen.Screen())


@command(help={"env": ENV_HELP, "only": ONLY_HELP})
def resume_workers(c, env="", only=""):
    """
    Let drained workers take tasks again.
    """
    from airfleet import staffing
    from tasks import screen

    staffing.resume_workers(environment(env), only=only, screen=screen.Screen())
