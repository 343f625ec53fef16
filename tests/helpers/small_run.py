"""The command line of a run of a second, in the folder mine/."""

from composed import TINY

RUN = [*TINY, "mode=scratch", "trainer.max_epochs=1", "logger=csv", "callbacks.figures=null", "hydra.run.dir=mine"]
