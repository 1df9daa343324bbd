"""Full collections are short, whatever has been loaded."""

import subprocess
import sys

LOADED = """
import gc, weakref
from gatehouse.server.garbage import leave_out_what_is_loaded

class Node:
    pass

loaded = [Node() for _ in range(1000)]
leave_out_what_is_loaded()
print(gc.get_freeze_count() >= 1000, any(type(each) is Node for each in gc.get_objects()))
later = Node()
later.itself = later
seen = weakref.ref(later)
freed = weakref.ref(loaded[0])
del later, loaded
gc.collect()
print(seen() is None, freed() is None)
"""


def test_row_63_what_is_loaded_is_looked_at_by_no_collection_and_freed_all_the_same() -> None:
    told = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True", "False", "True", "True"]
