"""What is installed on hosts: the modules that it needs, put together by several threads at once."""

from __future__ import annotations

import ast
import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airfleet import bundle


@pytest.fixture
def hasty():
    """Have threads take turns wherever they can, in the midst of a parse too: when memory is tidied up."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()

    def give_way(*_):
        time.sleep(0)

    sys.setswitchinterval(1e-6)
    gc.set_threshold(200)
    gc.callbacks.append(give_way)
    yield
    gc.callbacks.remove(give_way)
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


def test_hosts_that_are_armed_at_the_same_time_get_the_same_program(hasty):
    """Two threads that parse at once may end in a SystemError (python/cpython#106905): one does after the other."""
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(bundle.sources_of, [("resp",)] * 8))
    assert len({*made}) == 1


@pytest.mark.parametrize("path", sorted(bundle.AGENT.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_comes_with_all_that_it_imports(path):
    """As Python itself understands its imports."""
    wanted = {path.stem}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "airfleet.agent":
            wanted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airfleet.agent."):
            wanted.add(node.module.rpartition(".")[2])
    there = {
        line.rpartition(".")[2] for line in bundle.sources_of([path.stem]).splitlines() if line[:5] == bundle.BEGINS
    }
    assert wanted <= there
