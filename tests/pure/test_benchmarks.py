"""What the benchmark makes of figures and of the tools' words, without a machine."""

from __future__ import annotations

import pytest

from benchmarks import firstrun, playbook, report, state, tools
from benchmarks.measure import BenchmarkFailed, Run, figures, run, run_for_memory

TABLE = "    Operation   Hosts   Success   Error   No Change\n    Grand total   {}      {}      {}      {}   \n"
RECAP = "bench{:02}   : ok={}    changed={}    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0\n"


def test_figures_are_the_median_the_span_and_the_largest():
    runs = [Run("", seconds, kib) for seconds, kib in ((3.0, 10), (1.0, 30), (2.0, 20))]
    made = figures(runs, 99)
    assert (made.median_s, made.least_s, made.most_s, made.rounds) == (2.0, 1.0, 3.0, 3)
    assert (made.largest_kib, made.all_kib) == (30, 99)


def test_a_command_that_fails_fails_the_benchmark(tmp_path):
    assert run([["echo", "well"]], {"PATH": "/usr/bin:/bin"}, tmp_path).output == "well\n"
    with pytest.raises(BenchmarkFailed, match="ended with 1"):
        run([["true"], ["false"]], {"PATH": "/usr/bin:/bin"}, tmp_path)


def test_the_memory_of_all_processes_counts_the_children_too(tmp_path):
    """A shell whose two children hold memory is counted with them: more than either alone."""
    hold = "x = 'm' * 40_000_000; import time; time.sleep(0.5)"
    shell = f'python3 -c "{hold}" & python3 -c "{hold}"; wait'
    assert run_for_memory([["sh", "-c", shell]], {"PATH": "/usr/bin:/bin"}, tmp_path)[1] > 75_000


def test_only_a_table_without_any_change_is_pyinfras_no_change():
    total = 2 * state.ITEMS
    assert tools.pyinfra_unchanged(TABLE.format(total, "-", "-", total), 2)
    assert not tools.pyinfra_unchanged(TABLE.format(total, 1, "-", total - 1), 2)
    assert not tools.pyinfra_unchanged(TABLE.format(total, "-", 1, total - 1), 2)
    assert not tools.pyinfra_unchanged(TABLE.format(total // 2, "-", "-", total // 2), 2)
    assert not tools.pyinfra_unchanged("", 2)


def test_only_a_recap_of_every_host_without_any_change_is_ansibles_no_change():
    tasks = len(playbook.playbook()[0]["tasks"])
    fine = RECAP.format(1, tasks, 0) + RECAP.format(2, tasks, 0)
    assert tools.ansible_unchanged(fine, 2)
    assert not tools.ansible_unchanged(fine, 3)
    assert not tools.ansible_unchanged(RECAP.format(1, tasks, 0) + RECAP.format(2, tasks, 1), 2)
    assert not tools.ansible_unchanged(RECAP.format(1, tasks - 1, 0), 1)


def test_only_a_look_at_everything_without_any_change_is_our_no_change():
    assert tools.airfleet_unchanged(f"{2 * state.ITEMS} resources on 2 hosts: 0 changes\n", 2)
    assert not tools.airfleet_unchanged(f"{2 * state.ITEMS} resources on 2 hosts: 1 changes\n", 2)
    assert not tools.airfleet_unchanged(f"{state.ITEMS} resources on 2 hosts: 0 changes\n", 2)


def test_a_status_counts_only_when_every_host_answered():
    assert tools.airfleet_answered("40 hosts answered, 0 did not; 14 lines\n", 40)
    assert not tools.airfleet_answered("39 hosts answered, 1 did not; 14 lines\n", 40)


def test_each_tool_is_asked_for_the_same_state():
    """The benchmark's resources and the playbook name the same packages, account, files and services."""
    from benchmarks.fabfile import stages

    words = {(r.kind, r.key): r for stage in stages() for r in stage.resources}
    assert len(words) == state.ITEMS
    apt, user, copy, systemd = playbook.playbook()[0]["tasks"]
    assert words["packages", "apt"].names == tuple(apt["ansible.builtin.apt"]["name"])
    account = words["account", user["ansible.builtin.user"]["name"]]
    assert (account.home, account.shell) == (
        user["ansible.builtin.user"]["home"],
        user["ansible.builtin.user"]["shell"],
    )
    assert {path: r.text for (kind, path), r in words.items() if kind == "file"} == {
        item["path"]: item["text"] for item in copy["loop"]
    }
    assert [name for kind, name in words if kind == "unit"] == systemd["loop"]


def test_stages_are_timed_from_the_commands_own_words():
    said = "[    2 s] system: 3 changes on af1\n[   12 s]   af1: file /x\n[   40 s] code: 2 changes on af1, af2\n"
    assert firstrun.stages(said + "done: 5 changes in 55 s; every service\n") == [("system", 38), ("code", 15)]
    with pytest.raises(BenchmarkFailed):
        firstrun.stages(said)


def test_the_page_says_which_aims_were_missed():
    """An aim that was not met stands on the page as such."""

    def one(seconds):
        return {"median_s": seconds, "least_s": seconds, "most_s": seconds, "rounds": 5, "largest_kib": 1, "all_kib": 2}

    hosts = {
        "1": {"ssh": one(0.2), "airfleet": one(0.5), "pyinfra": one(3.5), "ansible": one(8.0)},
        "4": {"airfleet": one(0.6), "pyinfra": one(4.0)},
        "20": {"airfleet": one(1.6), "status": one(9.9), "pyinfra": one(9.0)},
    }
    lines = report.aims({"hosts": hosts, "startup": {"list": 0.33, "fabric": 0.30}})
    assert [line.rstrip(" |").rsplit("| ", 1)[1] for line in lines] == ["yes", "**no**", "yes", "yes", "yes"]
    assert "1/7.0" in lines[0]
    assert "1/16.0" in lines[1]


def test_forty_hosts_are_measured_against_the_handshakes_of_bare_ssh():
    """The growth from 4 to 40 is at most that of `ssh HOST true`, or the page says that it is not."""

    def one(seconds):
        return {"median_s": seconds}

    few = {"ssh": one(0.3), "airfleet": one(0.7), "status": one(0.8)}
    for seconds, met in ((2.6, "yes"), (2.8, "**no**")):
        hosts = {"4": few, "40": {"ssh": one(2.3), "airfleet": one(seconds), "status": one(3.0), "pyinfra": one(17.0)}}
        (line,) = report.aims({"hosts": hosts})
        assert line.startswith("| from 4 to 40 hosts: no more growth than bare ssh's handshakes |")
        assert line.endswith(f"| {met} |")
        assert "pyinfra" not in line
