"""One thread per process, set before torch is imported.

The networks are small: with more, processes that share the cores wait for each other,
and the tests take forty times as long.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
