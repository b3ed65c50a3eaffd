"""The proxy before the web pages: what its hosts get, what Airflow is told, and what an inventory may not say."""

import shutil
import subprocess
from types import SimpleNamespace

import pytest
from desired_rig import CONSTRAINTS, cfg_of, resources
from given_secrets import Given, all_secrets
from inventories import SHIPPED, shipped_with

from airfleet import airflow_cfg, firewall, inventory, probes, retire, tls_proxy, units
from airfleet.desired import Target
from airfleet.doctor.settings import drift
from airfleet.errors import UsageError
from airfleet.secrets import Secret, Secrets

KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
ALL = "[redis, proxy, webserver, scheduler, triggerer, worker, flower]"


def proxied(tls="self_signed: true", version="3.3.2", url="https://airflow.internal", port=8080, more="", roles=ALL):
    text = SHIPPED.read_text()
    written = inventory.load(SHIPPED).airflow.version
    for old, new in (
        (f"version: {written} ", f"version: {version} "),
        ("base_url: http://airflow.example.com", f"base_url: {url}"),
        ("web_port: 80 ", f"web_port: {port} "),
        ("roles: [redis, webserver, scheduler, triggerer, worker, flower]", f"roles: {roles}{more}"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    head, _, rest = text.partition("\ntls: ")
    rest = rest[rest.index("\n\n") :]
    return inventory.parse(f"{head}\ntls: {{{tls}}}{rest}", SHIPPED)


def conf(whole, host="af1"):
    files = tls_proxy.files(whole, whole.hosts[host], all_secrets())
    return next(file.text for file in files if getattr(file, "path", "") == tls_proxy.CONF)


@pytest.mark.parametrize(
    ("version", "section", "where"), [("2.11.2", "webserver", "webserver"), ("3.3.2", "fab", "api")]
)
def test_airflow_listens_on_loopback_and_its_cookies_are_secure(version, section, where):
    """With the proxy on the same host nobody else reaches the plain pages; what the proxy says counts."""
    whole = proxied(version=version)
    cfg = cfg_of(whole)
    key = "web_server_host" if where == "webserver" else "host"
    assert (cfg[section]["enable_proxy_fix"], cfg[section]["cookie_secure"]) == ("True", "True")
    assert cfg[where][key] == "127.0.0.1"
    assert airflow_cfg.environment(whole)["FORWARDED_ALLOW_IPS"] == "127.0.0.1,192.0.2.10"


def test_airflow_3_is_told_to_believe_the_proxy():
    """Without its flag it would call itself http, and set cookies that go over anything."""
    text = next(f.text for f in units.unit_files(proxied(), proxied().hosts["af1"]) if "api-server" in f.path)
    assert "api-server --proxy-headers\n" in text
    plain = shipped_with("3.3.2")
    assert "--proxy-headers" not in "".join(f.text for f in units.unit_files(plain, plain.hosts["af1"]))


def test_without_tls_nothing_is_different():
    """No proxy, an address with http: no setting, no package, no unit."""
    plain = shipped_with("3.3.2")
    assert "enable_proxy_fix" not in cfg_of(plain)["fab"]
    assert "FORWARDED_ALLOW_IPS" not in airflow_cfg.environment(plain)
    there = resources(Target(plain, all_secrets(), CONSTRAINTS, "c" * 40), "af1")
    assert [] == [key for _, key in there if "nginx" in key]
    assert "nginx" not in there["packages", "apt"].state


def test_before_a_load_balancer_its_word_counts():
    """The other choice: https in `base_url`, no proxy. Airflow listens as before, and its cookies are Secure."""
    whole = proxied(tls="", roles=ALL.replace("proxy, ", ""), port=80)
    assert cfg_of(whole)["fab"]["cookie_secure"] == "True"
    assert "host" not in cfg_of(whole)["api"]
    assert airflow_cfg.environment(whole)["FORWARDED_ALLOW_IPS"] == "*"


def test_the_way_of_tasks_on_other_hosts_stays_open():
    """Their API is the same port: with workers elsewhere Airflow 3 listens on all addresses; Airflow 2 need not."""
    more = "\n  af2: {address: 192.0.2.11, roles: [worker]}"
    assert cfg_of(proxied(more=more))["api"]["host"] == "0.0.0.0"
    assert cfg_of(proxied(version="2.11.2", more=more))["webserver"]["web_server_host"] == "127.0.0.1"


def test_a_proxy_of_its_own_asks_all_web_servers():
    """A host with the role proxy alone: the pages' hosts are its upstream, and a way through the firewall."""
    more = "\n  af2: {address: 192.0.2.11, roles: [proxy]}\n  af3: {address: 192.0.2.12, roles: [webserver]}"
    whole = proxied(more=more, roles=ALL.replace("proxy, ", ""))
    text = conf(whole, "af2")
    assert "server 192.0.2.10:8080 max_fails=2" in text
    assert "server 192.0.2.12:8080 max_fails=2" in text
    ways = {(way.source, way.target, way.port) for way in firewall.ways(whole)}
    assert {("users", "af2", 443), ("users", "af2", 80), ("af2", "af1", 8080), ("af2", "af3", 8080)} <= ways
    assert ("users", "af1", 8080) not in ways


def test_what_nginx_is_told():
    """Http leads to the one public address, whatever a visitor calls it; modern protocols; nobody is believed."""
    text = conf(proxied(url="https://airflow.internal:8443", tls="self_signed: true, hsts_s: 60"))
    for line in (
        "return 301 https://airflow.internal:8443$request_uri;",
        "listen 8443 ssl http2 default_server;",
        "server 127.0.0.1:8080 max_fails=0",
        "ssl_protocols TLSv1.2 TLSv1.3;",
        'add_header Strict-Transport-Security "max-age=60" always;',
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_set_header X-Forwarded-Port 8443;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_buffering off;",
    ):
        assert line in text
    assert "Strict-Transport-Security" not in conf(proxied(tls="self_signed: true, hsts_s: 0"))


@pytest.fixture
def given(tmp_path):
    """An inventory with a certificate of the operator's own."""
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "9",
    ]
    argv += ["-subj", "/CN=airflow.internal", "-keyout", tmp_path / "key", "-out", tmp_path / "chain.pem"]
    subprocess.run(argv, check=True, capture_output=True)
    return proxied(tls=f'certificate: "{tmp_path / "chain.pem"}"')


def test_a_certificate_that_is_given_goes_to_the_proxy_and_its_key_to_root_alone(given, tmp_path):
    """The key is a secret: mode 0600, never in a diff. A new one is read without a restart, a new drop-in is not."""
    secrets = Secrets({**all_secrets().values, "tls_key": Secret(KEY)})
    there = resources(Target(given, secrets, CONSTRAINTS, "c" * 40), "af1")
    key, chain = there["file", tls_proxy.KEY], there["file", tls_proxy.CERTIFICATE]
    assert (key.mode, key.owner, key.secret, key.text) == ("0600", "root", True, KEY)
    assert chain.text == (tmp_path / "chain.pem").read_text()
    unit = there["unit", tls_proxy.UNIT]
    assert unit.means["reloads"] == [tls_proxy.CONF, tls_proxy.CERTIFICATE, tls_proxy.KEY]
    assert (unit.enabled, unit.active, dict(unit.reads).keys()) == (True, True, {*unit.reloads, tls_proxy.DROP_IN})


def test_a_key_that_is_missing_is_asked_for(given):
    """Before anything is contacted, with both ways to give it."""
    with pytest.raises(UsageError, match="AIRFLEET_SECRET_TLS_KEY"):
        tls_proxy.files(given, given.hosts["af1"], Secrets({}))


def test_the_files_of_an_acme_client_are_watched():
    """They are not airfleet's: a unit has the proxy read them again when they change."""
    live = "/etc/letsencrypt/live/airflow.internal"
    whole = proxied(tls=f"host_certificate: {live}/fullchain.pem, host_key: {live}/privkey.pem")
    there = resources(Target(whole, all_secrets(), CONSTRAINTS, "c" * 40), "af1")
    assert f"ssl_certificate_key {live}/privkey.pem;" in conf(whole)
    assert f"PathChanged={live}/fullchain.pem" in there["file", f"/etc/systemd/system/{tls_proxy.WATCH}"].text
    assert there["unit", tls_proxy.WATCH].state["active"] == "active"
    assert ("file", tls_proxy.KEY) not in there


def test_a_host_makes_its_own_for_a_trial():
    """For the name in `base_url`; no secret is needed."""
    there = resources(Target(proxied(), all_secrets(), CONSTRAINTS, "c" * 40), "af1")
    made = there["self_signed", tls_proxy.CERTIFICATE]
    assert made.state == {"for": "airflow.internal", "time left": "enough"}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"tls": ""}, "tls: needs `certificate`, `host_certificate` or `self_signed`"),
        (
            {"tls": "self_signed: true, host_certificate: /a, host_key: /b"},
            "tls: says host_certificate and self_signed: one",
        ),
        ({"tls": "host_certificate: /a"}, "tls.host_key: `host_certificate` and `host_key` need each other"),
        ({"url": "http://airflow.internal"}, "airflow.base_url: hosts.af1 is a proxy for https"),
        ({"port": 80}, "airflow.web_port: 80 is the proxy's on hosts.af1: write 8080"),
        ({"port": 443}, "airflow.web_port: 443 is the proxy's"),
        ({"roles": ALL.replace("proxy, ", "")}, "tls.self_signed: no host has the role proxy"),
        ({"tls": "certificate: nowhere.pem"}, "tls.certificate: '"),
    ],
)
def test_what_does_not_fit_together_is_refused(said, problem):
    """With its line, before anything is contacted."""
    with pytest.raises(UsageError) as caught:
        proxied(**said)
    assert problem in str(caught.value)


def test_the_proxy_is_asked_and_retired_like_the_others():
    """A probe after its stage; nothing of it is left behind."""
    whole = proxied()
    (probe,) = probes.probes_of("tls", probes.Known(whole, Given()), ["af1"])
    assert (probe.name, probe.words["port"], probe.words["origin"]) == ("probe_proxy", 443, "https://airflow.internal")
    words = retire.clear_words(whole, "af1", purge=False)
    assert {tls_proxy.UNIT, tls_proxy.WATCH} <= set(words["units"])
    assert {tls_proxy.CONF, tls_proxy.FOLDER} <= set(words["root"])


def test_the_doctor_knows_our_drop_in():
    """One of somebody else's is a drift, ours is not."""
    host = {"units": {tls_proxy.UNIT: {"drop_ins": [tls_proxy.DROP_IN]}}}
    known = SimpleNamespace(plans={"af1": SimpleNamespace(changes=[])}, hosts={"af1": host})
    assert [] == list(drift(known))
    host["units"][tls_proxy.UNIT]["drop_ins"].append("/etc/systemd/system/nginx.service.d/other.conf")
    assert ["unit-drift"] == [finding.id for finding in drift(known)]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this computer has no systemd-analyze")
def test_systemd_itself_rates_the_proxy_at_most_3(tmp_path):
    """The distribution's unit, as far as it matters here, with our drop-in."""
    folder = tmp_path / "etc" / "systemd" / "system"
    (folder / "nginx.service.d").mkdir(parents=True)
    (folder / tls_proxy.UNIT).write_text("[Service]\nType=forking\nExecStart=/usr/sbin/nginx\n")
    files = tls_proxy.files(proxied(), proxied().hosts["af1"], all_secrets())
    text = next(file.text for file in files if getattr(file, "path", "") == tls_proxy.DROP_IN)
    (folder / "nginx.service.d" / "airfleet.conf").write_text(text)
    argv = ["systemd-analyze", "security", "--offline=true", "--threshold=30", f"--root={tmp_path}", tls_proxy.UNIT]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
