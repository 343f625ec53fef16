"""What do all tests need?"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes on two cores: threads would wait for each other
os.environ.setdefault("MPLBACKEND", "agg")
