"""The host keys of new machines."""

from __future__ import annotations

from tasks.door import ENV_HELP, ONLY_HELP, command, environment


@command(
    help={
        "env": ENV_HELP,
        "only": ONLY_HELP,
        "zone": "the zone of these instances (default: gcloud's own)",
        "project": "their project (default: gcloud's own)",
        "gcloud": "the program that asks Google (default gcloud)",
        "write": "append what is missing to ssh.known_hosts; a key that differs from one there is refused, exit 3",
    }
)
def host_keys(c, env="", only="", zone="", project="", gcloud="gcloud", write=False):
    """
    Print the hosts' keys as lines of a known_hosts file; Google is asked, not the hosts.

    A VM with the metadata enable-guest-attributes=TRUE tells Google its host keys at its first boot, and gcloud reads
    them there: nobody on the way to the VM can put in his own. Instances are called as the hosts in the inventory. No
    host is contacted. With --write they are trusted from then on: see docs/google-ways-in.md.
    """
    from airfleet import host_keys as flow
    from tasks import screen

    report = screen.Screen()
    inventory, found = flow.found(environment(env), only=only, asking=flow.Asking(gcloud, zone, project))
    if not write:
        for lines in found.values():
            for line in lines:
                report.say(line)
        return
    new = flow.write(inventory.ssh.known_hosts, found)
    for line in new:
        report.say(f"+ {line}")
    report.say(f"{len(new)} lines written to {inventory.ssh.known_hosts}" if new else "all of them are known already")
