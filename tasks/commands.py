"""The page of all commands."""

from __future__ import annotations

from tasks.door import command


@command(help={})
def commands(c):
    """
    Print the reference of all commands, as in docs/commands.md.
    """
    import fabfile
    from airfleet.command_reference import page
    from tasks import screen

    names = {name.replace("_", "-"): fabfile.namespace[name] for name in fabfile.namespace.task_names}
    screen.Screen().say(page(names).rstrip())
