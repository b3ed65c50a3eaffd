"""Services started, stopped and restarted, in the order in which they depend on each other."""

from __future__ import annotations

from tasks.door import ENV_HELP, ONLY_HELP, command, environment

SERVICE_HELP = (
    "scheduler, dag-processor, triggerer, trigger-logs, webserver (api-server), logs, worker, flower, redis, proxy"
    " or all"
)
MAX_WAIT_HELP = "seconds to wait for the running tasks of a worker; then it takes tasks again, exit 7 (default 3600)"
GAP_HELP = "go on although a queue that has work is served by nobody, or Redis is taken away from running tasks"


@command(help={"env": ENV_HELP, "service": SERVICE_HELP, "only": ONLY_HELP})
def start(c, env="", service="", only=""):
    """
    Start a service on each host that has it, or all of them, and see that it is well.
    """
    _steer("start", env, service, only)


@command(
    help={
        "env": ENV_HELP,
        "service": SERVICE_HELP,
        "only": ONLY_HELP,
        "max_wait": MAX_WAIT_HELP,
        "allow_gap": GAP_HELP,
    }
)
def stop(c, env="", service="", only="", max_wait=3600, allow_gap=False):
    """
    Stop a service on each host that has it, or all of them; workers finish their running tasks first.

    It starts again at the next boot; `fab plan` shows that it is stopped, and `fab bootstrap` starts it.
    """
    _steer("stop", env, service, only, max_wait, allow_gap=allow_gap)


@command(
    help={
        "env": ENV_HELP,
        "service": SERVICE_HELP,
        "only": ONLY_HELP,
        "max_wait": MAX_WAIT_HELP,
        "allow_gap": GAP_HELP,
    }
)
def restart(c, env="", service="", only="", max_wait=3600, allow_gap=False):
    """
    Restart a service on each host that has it, or all of them, one host after the other, and see that it is well.

    Workers are drained as by `fab restart-workers`; a scheduler must beat afresh. Says how long the web page was away.
    """
    _steer("restart", env, service, only, max_wait, allow_gap=allow_gap)


def _steer(verb: str, env: str, service: str, only: str, max_wait: int = 3600, *, allow_gap: bool = False) -> None:
    from airfleet.services import steer_service
    from airfleet.workers import Wish
    from tasks import screen

    wish = Wish(max_wait, allow_gap)
    steer_service(environment(env), verb=verb, name=service, only=only, wish=wish, screen=screen.Screen())
