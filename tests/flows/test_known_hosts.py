"""The host keys that are trusted, over a real SSH transport: read once for many hosts, and never too late."""

from __future__ import annotations

from dataclasses import replace

import paramiko
import pytest

from airfleet.address import connect
from airfleet.errors import HostKeyRefused

ALIAS = "the-name-of-its-key"


def close(*connections):
    for each in connections:
        each.close()


def test_read_once_for_all_hosts(sshd, address, monkeypatch):
    """Forty hosts whose connections read forty lines each: that is what a run spent a fifth of its time on."""
    load, read = paramiko.HostKeys.load, []
    monkeypatch.setattr(paramiko.HostKeys, "load", lambda keys, path: read.append(path) or load(keys, path))
    one, two = sshd(), sshd()
    place = address(one, two)
    close(connect("af1", place), connect("af2", replace(place, port=two.port)), connect("af1", place))
    assert read == [str(place.known_hosts)]


def test_a_host_that_is_not_in_the_file_is_refused_though_others_are(sshd, address):
    """Also behind one that was let in."""
    known, unknown = sshd(), sshd()
    place = address(known)
    close(connect("af1", place))
    with pytest.raises(HostKeyRefused, match="is unknown"):
        connect("af2", replace(place, port=unknown.port))
    assert unknown.asked == []


def test_what_was_written_since_counts(box, address):
    """`fab host-keys` adds a line while a session waits; a line that was taken away is gone."""
    place = address(box)
    lines = place.known_hosts.read_text()
    for text, refused in (("", True), (lines, False), ("# none\n", True), (lines, False)):
        place.known_hosts.write_text(text)
        if refused:
            with pytest.raises(HostKeyRefused, match="is unknown"):
                connect("af1", place)
        else:
            close(connect("af1", place))


def test_another_key_than_the_trusted_one(box, address):
    """The file has one of the host, and the host shows another."""
    place = address(box)
    other = paramiko.ECDSAKey.generate()
    place.known_hosts.write_text(f"[127.0.0.1]:{box.port} {other.get_name()} {other.get_base64()}\n")
    with pytest.raises(HostKeyRefused, match="is not the one that is trusted"):
        connect("af1", place)
    assert box.asked == []


def test_hashed_names(box, address):
    """As `HashKnownHosts yes` writes them."""
    place = address(box)
    kind, key = box.line.split()[1:]
    hashed = paramiko.HostKeys.hash_host(f"[127.0.0.1]:{box.port}")
    place.known_hosts.write_text(f"{hashed} {kind} {key}\n")
    close(connect("af1", place))


def test_the_ssh_configs_own_file_and_alias(box, address, tmp_path):
    """UserKnownHostsFile and HostKeyAlias."""
    place = address(box)
    kind, key = box.line.split()[1:]
    place.known_hosts.unlink()
    (tmp_path / "theirs").write_text(f"{ALIAS} {kind} {key}\n")
    config = tmp_path / "config"
    config.write_text(f"Host 127.0.0.1\n  UserKnownHostsFile {tmp_path / 'theirs'}\n  HostKeyAlias {ALIAS}\n")
    close(connect("af1", replace(place, ssh_config=config)))
    with pytest.raises(HostKeyRefused, match="is unknown"):
        connect("af1", place)


def test_the_first_file_has_the_first_word(box, address, tmp_path):
    """The ssh config's own does not take back what the inventory's says of a host; nor the name what an alias says."""
    place = address(box)
    own, other = box.line.split()[2], paramiko.ECDSAKey.generate().get_base64()
    kind, name, theirs = box.line.split()[1], f"[127.0.0.1]:{box.port}", tmp_path / "theirs"
    config = tmp_path / "config"
    config.write_text(f"Host 127.0.0.1\n  UserKnownHostsFile {theirs}\n")
    place = replace(place, ssh_config=config)
    theirs.write_text(f"{name} {kind} {other}\n")
    close(connect("af1", place))
    place.known_hosts.write_text(f"{name} {kind} {other}\n")
    theirs.write_text(f"{ALIAS} {kind} {own}\n")
    with pytest.raises(HostKeyRefused):
        connect("af1", place)
    config.write_text(f"Host 127.0.0.1\n  UserKnownHostsFile {theirs}\n  HostKeyAlias {ALIAS}\n")
    close(connect("af1", place))
