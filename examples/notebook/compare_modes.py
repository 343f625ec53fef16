# %% [markdown]
# # Does a source model help on few digits?
#
# The source is printed characters, the target handwritten digits, five of each. Each cell takes seconds on a CPU.
# An editor (VS Code, PyCharm, Spyder) runs the cells between `# %%`; `python compare_modes.py` runs all of them.

# %%
import numpy as np
from sklearn.datasets import load_digits

import headstart

SMALL = ["backbone.width=8", "trainer.max_epochs=4", "source.characters=digits", "source.per_class=40",
         "weights.max_epochs=4", "weights.require_better=false", "trainer.accelerator=cpu"]  # fmt: skip

# %% [markdown]
# ## What would run
# `compose` checks every key and value, and runs nothing. A wrong name is a `headstart.UserError` with the right one.

# %%
cfg = headstart.compose(["mode=fine_tuning", *SMALL])
print(cfg.optimizer.lr, cfg.target.shots, cfg.run_dir)
try:
    headstart.compose(["target.shotz=5"])
except headstart.UserError as error:
    print(error)

# %% [markdown]
# ## Two ways, two seeds
# The same as `headstart -m mode=scratch,fine_tuning seed=0,1 ...`. Runs that are finished are found, not run again.

# %%
sweep = headstart.sweep(["mode=scratch,fine_tuning", "seed=0,1", *SMALL])
print(sweep.report)

# %% [markdown]
# ## Their metrics
# A DataFrame where pandas is installed, else a list of dicts.

# %%
records = headstart.results(sweep.folder, frame=False)
for record in records:
    print(f"{record['mode']:<12} seed {record['seed']}  test accuracy {record['test/accuracy']:.3f}")
accuracy = {
    mode: np.mean([record["test/accuracy"] for record in records if record["mode"] == mode])
    for mode in ("scratch", "fine_tuning")
}
print(accuracy)

# %% [markdown]
# ## The best model on images of your own
# `predict` takes a folder, files, or an array of the size that the backbone expects.

# %%
best = max(sweep.runs, key=lambda run: run.metrics["val/accuracy"])
model = best.load_model()
digits = load_digits()
images = np.kron(digits.images[:20], np.ones((4, 4)))  # 8 x 8 -> 32 x 32
predictions = model.predict((images / 16 * 255).astype(np.uint8))
for prediction, digit in zip(predictions, digits.target, strict=False):
    print(prediction.image, prediction.predicted, f"{max(prediction.probabilities.values()):.2f}", "truth", digit)
