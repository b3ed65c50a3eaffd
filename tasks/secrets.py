"""What there is to do about secrets: where each comes from, and the way into Google's Secret Manager."""

from __future__ import annotations

from tasks.door import ENV_HELP, command, environment


@command(help={"env": ENV_HELP, "json": "print JSON"})
def check(c, env="", json=False):
    """
    Tell which secrets there are and where each comes from: environment, file or Secret Manager; never a value.

    No host is contacted, nothing is changed. Exit code 2 when one that you have to give is missing or can't be used,
    8 when one may not be read, 3 when the Secret Manager does not answer.
    """
    import json as as_json

    from airfleet import safekeeping

    found = safekeeping.check(environment(env))
    if json:
        print(as_json.dumps(found.plain, indent=2))
    else:
        width = max(len(each.name) for each in found.origins)
        for each in found.origins:
            print(f"{each.name:{width}}  {each.says}")
    if found.error:
        raise found.error


@command(help={"env": ENV_HELP, "dry_run": "say what would be uploaded, and stop; exit 10 when something would"})
def push(c, env="", dry_run=False):
    """
    Upload to Google's Secret Manager what the secrets file has and the manager lacks, or has otherwise.

    A secret that is not there is created; one that differs gets a new version, the earlier ones stay. What is the
    same is not uploaded again. Secrets of the environment are left out.
    """
    from airfleet import safekeeping

    safekeeping.push(environment(env), print, dry_run=dry_run)


@command(help={"env": ENV_HELP})
def pull(c, env=""):
    """
    Write what Google's Secret Manager has into the secrets file (0600): the way back, or a copy to put away.

    Only what the inventory has a use for; refused, exit 8, where the file has another value.
    """
    from airfleet import safekeeping

    safekeeping.pull(environment(env), print)


@command(
    help={
        "name": "which secret: redis_password, fernet_key, database_password, jwt_secret, … (without --name too)",
        "env": ENV_HELP,
        "from_stdin": "take the new value from stdin, one line (default: one is made)",
        "max_wait": "seconds to wait for running tasks before giving up (default 3600)",
        "dry_run": "print the phases that would run, and stop; contacts nobody",
    },
    positional=["name"],
)
def rotate(c, name, env="", from_stdin=False, max_wait=3600, dry_run=False):
    """
    Give a secret another value on all hosts, in the order in which nothing fails: fab secrets.rotate redis_password

    One of redis_password, fernet_key, database_password, jwt_secret, webserver_secret_key, flower_password, and
    admin_password, which is shown once. No task is lost: workers are drained before they are restarted. How far it came
    is in the secrets file; cut short at any step, typed again it goes on. See docs/secrets.md.
    """
    from airfleet import rotate
    from tasks import screen

    wish = rotate.Wish(dry_run=dry_run, from_stdin=from_stdin, max_wait_s=max_wait)
    rotate.rotate(environment(env), name, wish, screen.Screen())
