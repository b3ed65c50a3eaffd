"""What must be reachable from where."""

from __future__ import annotations

from tasks.door import ENV_HELP, ONLY_HELP, command, environment


@command(
    help={
        "env": ENV_HELP,
        "probe": "try each connection from the host that needs it; exit 9 when one is not possible",
        "only": f"with --probe: {ONLY_HELP}",
        "timeout": "with --probe: seconds to wait for each connection (default 3)",
        "json": "print JSON",
    }
)
def firewall(c, env="", probe=False, only="", timeout=3, json=False):
    """
    Tell which TCP connections the installation needs, from the inventory; with --probe also whether they are possible.

    Without --probe nothing is contacted. A probe tells a connection that is refused (nothing listens there, the way is
    free) from one that gets no answer (a firewall drops it, or the machine is down), and names what Redis, Flower
    and log servers without a filter let in beyond what the inventory says. Beside what is listed hosts need their
    package registries and DNS.
    """
    import json as as_json

    from airfleet import firewall as rules
    from airfleet import reach
    from tasks import screen

    report = screen.Screen()
    inventory, ways = reach.needed(environment(env))
    found = reach.Probe(inventory)
    if probe:
        found = reach.probe(environment(env), only=only, timeout_s=timeout)
    if json:
        report.say(as_json.dumps(rules.as_json(ways, found.seen, found.beyond), indent=1))
    else:
        for line in rules.table(ways, found.seen):
            report.say(line)
        for each in found.beyond:
            report.say(f"open beyond need: {each}", "yellow")
    reach.refuse_closed(found)
