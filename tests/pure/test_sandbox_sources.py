"""What the sandbox reads of this computer's apt, name servers and pyenv: text in, values out."""

from __future__ import annotations

import pytest

from airfleet.errors import UsageError
from sandbox.aptsources import (
    Mirror,
    choose_mirror,
    make_apt_settings,
    make_sources,
    read_deb822,
    read_mirror,
    read_one_line,
)
from sandbox.computer import choose_name_servers
from sandbox.site import Site
from sandbox.sources import pyenv_source, read_checksum

DEB822 = """Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
Suites: bookworm-security

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: sid
"""


def test_deb822_paragraphs_give_every_address_with_every_suite():
    assert read_deb822(DEB822) == [
        ("http://mirror.example/debian/", "bookworm"),
        ("http://mirror.example/debian/", "bookworm-updates"),
        ("http://mirror.example/debian-security", "bookworm-security"),
    ]


def test_a_deb822_field_may_go_on_in_the_next_line():
    text = "Types: deb\nURIs: http://a.example/debian\nSuites: bookworm\n bookworm-updates\n"
    assert [suite for _, suite in read_deb822(text)] == ["bookworm", "bookworm-updates"]


def test_one_line_sources_are_read_with_and_without_options():
    text = (
        "# deb http://off.example/debian sid main\n"
        "deb http://a.example/debian bookworm main contrib\n"
        "deb-src http://a.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] https://b.example/debian-security bookworm-security main\n"
    )
    assert read_one_line(text) == [
        ("http://a.example/debian", "bookworm"),
        ("https://b.example/debian-security", "bookworm-security"),
    ]


def test_the_mirror_is_debians_and_no_other_vendors():
    sources = [("https://deb.nodesource.com/node_20.x", "nodistro"), *read_deb822(DEB822)]
    assert choose_mirror(sources) == Mirror("http://mirror.example/debian", "http://mirror.example/debian-security")


def test_without_any_source_the_mirror_is_debians_own():
    assert choose_mirror([]) == Mirror()


def test_both_formats_are_found_where_apt_keeps_them(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://old.example/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert read_mirror(tmp_path) == Mirror("http://old.example/debian", "http://mirror.example/debian-security")


def test_the_machines_sources_come_back_as_the_mirror_that_made_them():
    mirror = Mirror("http://a.example/debian", "http://a.example/debian-security")
    text = make_sources(mirror, "trixie")
    assert choose_mirror(read_deb822(text)) == mirror
    assert {suite for _, suite in read_deb822(text)} == {"trixie", "trixie-updates", "trixie-security"}


def test_only_proxies_and_dates_of_apts_settings_are_carried_over():
    dump = (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Date "false";\nDPkg::Post-Invoke "";\n'
        'Acquire::Languages "none";\n'
    )
    assert (
        make_apt_settings(dump) == 'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Date "false";\n'
    )


def test_a_name_server_on_loopback_is_passed_over_for_the_real_one():
    stub, real = "# stub\nnameserver 127.0.0.53\noptions edns0\n", "nameserver ::1\nnameserver 192.0.2.53\n"
    assert choose_name_servers(stub, real) == ["192.0.2.53"]


def test_name_servers_only_on_loopback_are_an_error_that_says_so():
    with pytest.raises(UsageError, match="on loopback"):
        choose_name_servers("nameserver 127.0.0.1\n")


def test_the_checksum_is_that_of_the_tgz_and_not_of_the_xz():
    definition = (
        f'install_package "P" "https://x/P.tar.xz#{"a" * 64}"\ninstall_package "P" "https://x/P.tgz#{"b" * 64}"\n'
    )
    assert read_checksum(definition) == "b" * 64
    assert not read_checksum("nothing here")


def test_without_a_clone_of_pyenv_the_sandbox_says_what_it_takes_instead(tmp_path, monkeypatch):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    said: list[str] = []
    assert pyenv_source(Site(state=tmp_path), said.append) is None
    assert said == ["pyenv: no git clone at $PYENV_ROOT or ~/.pyenv; machines use their distribution's Python"]
