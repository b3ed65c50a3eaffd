"""The command line of OpenSSH's client: strict with host keys, on the way as well, and one word for each value."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from inventories import changed, two_hosts

from airfleet.openssh import command_line

SSH = shutil.which("ssh")


def command(remote=("true",), *, config=True, **ssh):
    whole = changed(two_hosts(), ssh={"known_hosts": Path("/k"), "config": Path("/c"), **ssh})
    return command_line(whole, "af1", list(remote), config=config)


def settings_of(words):
    return [words[n + 1] for n, word in enumerate(words) if word == "-o"]


def test_only_trusted_keys_are_accepted():
    """Of the inventory's file alone, as everywhere else."""
    assert [
        *("ssh", "-t", "-F", "/c", "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=/k"),
        *("-o", "GlobalKnownHostsFile=/dev/null", "-o", "ConnectTimeout=10", "--", "192.0.2.10", "true"),
    ] == command()


def test_what_the_inventory_says_is_passed_on():
    """Key, user and port; a key that is named is the only one."""
    whole = changed(two_hosts(), ssh={"identity": Path("/i")})
    host = whole.hosts["af1"].model_copy(update={"user": "ops", "port": 2222})
    whole = whole.model_copy(update={"hosts": {"af1": host}})
    words = command_line(whole, "af1", ["true"], config=True)
    assert words[-7:] == ["-l", "ops", "-p", "2222", "--", "192.0.2.10", "true"]
    assert {"IdentityFile=/i", "IdentitiesOnly=yes"} < set(settings_of(words))


def test_without_the_file_no_other_configuration_is_read():
    """Neither the user's nor the system's."""
    assert command(config=False)[2:4] == ["-F", "none"]


def test_the_remote_words_survive_the_shell_there():
    """OpenSSH sends one text, which a shell takes apart again."""
    remote = ["sh", "-c", 'echo "$1"', "sh", "it's $HOME\n; `x` 한"]
    assert remote == shlex.split(command(remote)[-1])


def test_a_login_needs_no_remote_words():
    """Then it is the login's own shell."""
    assert command(())[-1] == "192.0.2.10"


@pytest.mark.parametrize(
    ("jump", "expected"),
    [
        ("bastion", ["-W", "[%h]:%p", "--", "bastion"]),
        ("ann@bastion:2222", ["-l", "ann", "-p", "2222", "-W", "[%h]:%p", "--", "bastion"]),
        ("ann@[2001:db9::1]:2222", ["-l", "ann", "-p", "2222", "-W", "[%h]:%p", "--", "2001:db9::1"]),
        ("2001:db9::1", ["-W", "[%h]:%p", "--", "2001:db9::1"]),
    ],
)
def test_the_jump_host_is_held_to_the_same_keys(jump, expected):
    """`ssh -J` would not take our known hosts there."""
    through = next(each for each in settings_of(command(proxy_jump=jump)) if each.startswith("ProxyCommand="))
    words = shlex.split(through.removeprefix("ProxyCommand="))
    assert words[: -len(expected)] == ["ssh", *command()[2:-3]]
    assert expected == words[-len(expected) :]


def test_through_two_jump_hosts_each_is_reached_by_the_one_before():
    """One command in the other; what OpenSSH and its shell read of each is what the next one gets."""
    words = settings_of(command(proxy_jump="ann@one:2222,two"))[-1].removeprefix("ProxyCommand=")
    outer = shlex.split(words.replace("[%h]:%p", "HOST").replace("%%", "%"))
    assert outer[-4:] == ["-W", "HOST", "--", "two"]
    inner = shlex.split(outer[outer.index("-W") - 1].removeprefix("ProxyCommand="))
    assert inner[-8:] == ["-l", "ann", "-p", "2222", "-W", "[%h]:%p", "--", "one"]
    assert inner[:-8] == outer[: outer.index("-W") - 2] == ["ssh", *command()[2:-3]]


def test_a_proxy_command_is_passed_on_with_the_name_of_the_host():
    """Its other tokens are OpenSSH's own, and no word of it becomes two for the shell that OpenSSH runs."""
    whole = two_hosts()
    host = whole.hosts["af1"].model_copy(update={"proxy_command": "gcloud tunnel %n %p '--note=a b; $X' 100%%"})
    words = command_line(whole.model_copy(update={"hosts": {"af1": host}}), "af1", [], config=True)
    assert "ProxyCommand=gcloud tunnel af1 %p '--note=a b; $X' 100%%" in settings_of(words)


@pytest.mark.skipif(SSH is None, reason="there is no OpenSSH client here")
def test_openssh_reads_the_paths_as_they_are_meant():
    """Blanks and percent signs in the names of files: OpenSSH itself says what it understood."""
    odd = Path("/keys of %h/known hosts")
    words = command(known_hosts=odd, identity=Path("/a %d/id"), config=False, proxy_jump="ann@bastion")
    argv = [words[0], "-G", *words[2:-2], words[-2]]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    understood = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
    assert understood["stricthostkeychecking"] == "true"
    assert understood["userknownhostsfile"].replace("%%", "%").strip('"') == str(odd)
    assert understood["identityfile"].replace("%%", "%") == "/a %d/id"
    assert "bastion" in understood["proxycommand"]
