"""A sweeper that chooses the next job by the last one's value. Hydra takes sweepers from this package alone."""

import json
import os
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper


class Climber(Sweeper):
    """Its first seed is drawn by chance: the ranks of a job would differ if each of them ran the sweeper."""

    def __init__(self, jobs):
        self.jobs = jobs

    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        seed, values = int.from_bytes(os.urandom(2), "big"), []
        for number in range(self.jobs):
            (done,) = self.launcher.launch([[*arguments, f"seed={seed}"]], initial_job_idx=number)
            assert isinstance(done, JobReturn)
            values.append(done.return_value)
            seed += 1 + round(1000 * values[-1])
            Path("values.json").write_text(json.dumps(values))
