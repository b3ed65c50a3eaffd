"""The ways to a host over a real SSH transport: proxy commands and jump hosts: well, dead, dying in mid-sentence."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from airfleet.address import Address, connect
from airfleet.errors import HostKeyRefused, HostUnreachable
from airfleet.proxy_command import ProxySocket
from airfleet.remote import SshHost
from tests.flows.ways import ends, output_of

ROOT = Path(__file__).resolve().parents[2]
RELAY = Path(__file__).with_name("relay.py")
DEAD = "127.0.0.1:9"  # nothing listens at the port of `discard`


def relay(tmp_path, *options):
    return f"{sys.executable} -S {RELAY} {tmp_path / 'pids'} %h %p {' '.join(options)}"


def pids(tmp_path):
    return [int(pid) for pid in (tmp_path / "pids").read_text().split()]


def test_a_host_is_reached_by_a_proxy_command_of_which_nothing_is_left(box, address, tmp_path):
    """Megabytes come through; at the end the command, its child too, is gone and no zombie."""
    connection = connect("af1", address(box, proxy_command=relay(tmp_path)))
    assert output_of(connection, "head -c 3000000 /dev/zero") == bytes(3000000)
    mine, childs = pids(tmp_path)
    connection.close()
    assert not Path(f"/proc/{mine}").exists()
    assert ends(childs)


def test_what_a_command_prints_waits_for_its_reader_though_its_input_does_not_block():
    """As gcloud's tunnel has it: with one socket for both, what there is no room for would be lost."""
    program = (
        "import os, sys; os.set_blocking(0, False); os.write(2, b'go\\n'); sys.stdout.buffer.write(bytes(4000000))"
    )
    proxy = ProxySocket([sys.executable, "-S", "-c", program])
    deadline = time.monotonic() + 20
    while proxy.said() != "go" and time.monotonic() < deadline:
        time.sleep(0.01)
    received = 0
    while data := proxy.recv(65536):
        received += len(data)
    proxy.close()
    assert (received, proxy.said()) == (4000000, "go")


def test_a_command_that_ends_at_once_has_its_last_line_in_the_error(box, address):
    """Long before the timeout; and each token was one word, whatever is in it."""
    program = "import sys; print('first', file=sys.stderr); sys.exit('no: ' + '|'.join(sys.argv[1:]))"
    way = f'{sys.executable} -S -c "{program}" %h %p %r %n 100%%'
    began = time.monotonic()
    with pytest.raises(HostUnreachable) as caught:
        connect("af1", address(box, proxy_command=way, timeout_s=60))
    assert time.monotonic() - began < 20
    assert f"the proxy command said: no: 127.0.0.1|{box.port}|ops|af1|100%" in caught.value.problem
    assert box.asked == []


def test_a_command_that_says_nothing_is_given_up_in_time(box, address, tmp_path):
    """Within the connect timeout and what its end takes, with all that it has started."""
    began = time.monotonic()
    with pytest.raises(HostUnreachable, match=r"no SSH with ops@127.0.0.1"):
        connect("af1", address(box, proxy_command=relay(tmp_path, "silent"), timeout_s=1))
    assert time.monotonic() - began < 8
    assert [ends(pid) for pid in pids(tmp_path)] == [True, True]


def test_a_command_does_not_outlive_a_run_that_nobody_waits_for(tmp_path):
    """Connections are begun in the background: what ends meanwhile takes its proxy commands with it."""
    words = [sys.executable, "-S", RELAY, tmp_path / "pids", "h", "1", "silent"]
    program = "import pathlib, sys, time\nfrom airfleet.proxy_command import ProxySocket\nProxySocket(sys.argv[1:])\n"
    program += "while not pathlib.Path(sys.argv[4]).exists():\n    time.sleep(0.01)\n"
    subprocess.run([sys.executable, "-c", program, *map(str, words)], check=True, cwd=ROOT, timeout=60)
    assert [ends(pid) for pid in pids(tmp_path)] == [True, True]


def test_a_stubborn_command_is_ended_too(box, address, tmp_path):
    """One that does not hear a SIGTERM, nor the end of its input."""
    connection = connect("af1", address(box, proxy_command=relay(tmp_path, "stubborn")))
    connection.close()
    assert [ends(pid) for pid in pids(tmp_path)] == [True, True]


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("/nowhere/gcloud start %h", "the proxy command /nowhere/gcloud can't be run: No such file or directory"),
        ("gcloud 'x", "the proxy command can't be read: No closing quotation"),
    ],
)
def test_a_command_that_is_none_is_named(box, address, tmp_path, way, said):
    """From an ssh config too, which nobody has checked before."""
    config = tmp_path / "config"
    config.write_text(f"Host 127.0.0.1\n    ProxyCommand {way}\n")
    place = address(box)
    with pytest.raises(HostUnreachable) as caught:
        connect("af1", Address(place.host, "ops", box.port, place.identity, config, place.known_hosts, 5))
    assert said in caught.value.problem


def test_a_command_that_dies_in_mid_conversation_ends_it_at_once(sshd, address, tmp_path):
    """And what it said last is told, where paramiko's own would spin for ever."""
    box = sshd(lambda _: ["sh", "-c", "cat > /dev/null"])
    host = SshHost("af1", address(box, proxy_command=relay(tmp_path)), lambda _: "")
    host.open()
    os.kill(pids(tmp_path)[0], signal.SIGUSR1)
    with pytest.raises(HostUnreachable, match=r"the connection was lost.*the proxy command said: 4003: tunnel closed"):
        host.call("who", {})
    host.close()


def test_jump_hosts_are_passed_in_their_order(sshd, address):
    """The first leads to the second, and that to the host."""
    one, two, box = sshd(), sshd(), sshd()
    jumps = (f"ops@127.0.0.1:{one.port}", f"ops@127.0.0.1:{two.port}")
    connection = connect("af1", address(box, one, two, jumps=jumps))
    assert output_of(connection, "echo here") == b"here\n"
    connection.close()
    assert (one.led_to, two.led_to) == ([("127.0.0.1", two.port)], [("127.0.0.1", box.port)])


def test_a_jump_host_is_reached_by_the_proxy_command_of_the_ssh_config(sshd, address, tmp_path):
    """A bastion behind IAP, and what is behind it; at the end nothing of the command is left."""
    jump, box = sshd(), sshd()
    config = tmp_path / "config"
    config.write_text(
        f"Host bastion\n    HostName 127.0.0.1\n    Port {jump.port}\n    ProxyCommand {relay(tmp_path)}\n"
    )
    place = address(box, jump)
    way = Address("127.0.0.1", "ops", box.port, place.identity, config, place.known_hosts, 10, ("ops@bastion",))
    connection = connect("af1", way)
    assert output_of(connection, "echo here") == b"here\n"
    connection.close()
    assert [ends(pid) for pid in pids(tmp_path)] == [True, True]


def test_a_jump_host_whose_key_is_unknown_is_refused_by_its_name(sshd, address):
    """Not the host behind it, which nobody has asked."""
    jump, box = sshd(), sshd()
    with pytest.raises(HostKeyRefused, match=rf"the host key of the jump host ops@127.0.0.1:{jump.port} is unknown"):
        connect("af1", address(box, jumps=(f"ops@127.0.0.1:{jump.port}",)))
    assert jump.led_to == []


def test_a_jump_host_that_is_away_is_named(box, address):
    """Its port is closed."""
    with pytest.raises(HostUnreachable, match=rf"the jump host ops@{DEAD} is not reachable: Connection refused"):
        connect("af1", address(box, jumps=(f"ops@{DEAD}",)))


def test_a_jump_host_that_says_nothing_is_given_up_in_time(box, address):
    """It takes the connection, and that is all."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        with pytest.raises(HostUnreachable, match=r"no SSH with the jump host ops@127.0.0.1"):
            connect("af1", address(box, jumps=(f"ops@127.0.0.1:{mute.getsockname()[1]}",), timeout_s=1))
        assert time.monotonic() - began < 8


def test_a_host_that_its_jump_host_does_not_reach_is_named(sshd, address):
    """It is the host that is away, as the jump host sees it."""
    jump, box = sshd(), sshd()
    place = replace(address(box, jump, jumps=(f"ops@127.0.0.1:{jump.port}",)), port=9)
    with pytest.raises(HostUnreachable, match=r"ops@127.0.0.1:9 is not reachable from the jump host: Connect failed"):
        connect("af1", place)


def test_a_jump_host_that_does_not_get_there_is_given_up_in_time(sshd, address):
    """A firewall behind it drops what it sends: Fabric would wait as long as it does."""
    jump, box = sshd(), sshd()
    jump.silent = True
    began = time.monotonic()
    with pytest.raises(HostUnreachable, match=rf"no SSH with ops@127.0.0.1:{box.port}"):
        connect("af1", address(box, jump, jumps=(f"ops@127.0.0.1:{jump.port}",), timeout_s=1))
    assert time.monotonic() - began < 8
