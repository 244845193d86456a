"""What a server holds for good is not looked through for garbage, and goes all the same when it is replaced."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.store.records import SqliteStore

BEGINNING = """
import gc, weakref
from fhir_facade import garbage

class Node:
    def __init__(self):
        self.me = self  # only the search for cycles takes it away

def left(node):
    seen = weakref.ref(node)
    return lambda: seen() is not None
"""


@pytest.mark.parametrize(
    "story",
    [
        # nothing is looked for at start, all that comes later is
        "garbage.begin(); assert not gc.isenabled(); garbage.settle(); assert gc.isenabled()",
        "garbage.settle(); kept = left(Node()); gc.collect(); assert not kept()",
        # what was there when it settled is left alone until it is renewed
        (
            "node = Node(); kept = left(node); garbage.settle(); del node; gc.collect(); assert kept();"
            "garbage.renew(); assert not kept(); assert gc.get_freeze_count()"
        ),
        (
            "garbage.settle(); node = Node(); kept = left(node); garbage.settle_more(); del node; gc.collect();"
            "assert kept(); garbage.renew(); assert not kept()"
        ),
        # a program that is no server is left as it is
        "garbage.settle_more(); garbage.renew(); assert not gc.get_freeze_count(); assert gc.isenabled()",
    ],
)
def test_garbage_is_looked_for_where_there_may_be_some(story: str) -> None:
    ran = subprocess.run([sys.executable, "-c", BEGINNING + story], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


SERVED = """
import atexit, gc, runpy, sys
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 50_000))
sys.argv[1:] = ["serve", "--db", sys.argv[1], "--port", "0"]
runpy.run_module("fhir_facade.cli", run_name="__main__")
"""


def test_a_server_settles_once_it_is_put_together(tmp_path: Path, mapping_set: MappingSet) -> None:
    path = tmp_path / "served.db"
    SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns).close()
    with subprocess.Popen([sys.executable, "-c", SERVED, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("FHIR R4 at ")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate()
    assert (process.returncode, said.splitlines()[-1]) == (0, "True True")
