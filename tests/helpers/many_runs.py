"""A study of thousands of runs, quickly: one run's files with other values in them."""

from __future__ import annotations

import math
import random
import shutil
from pathlib import Path

from planted_studies import planted, write_run

WIDTHS, SHOTS = (8, 16, 32), (5, 10, 20, 50)


def write_many(study: Path, count: int) -> Path:
    """A random search without scratch: learning rate, width, shots and mode; the best rate is 0.003."""
    draw = random.Random(0)
    templates = {}
    for mode in ("fine_tuning", "gradual"):
        overrides = [f"mode={mode}", "optimizer.lr=0.987", "backbone.width=654", "target.shots=321", "seed=0"]
        folder = write_run(study, mode, 0, planted(0.4, 0.111, 0.3, 10), overrides, wall_s=777.5)
        files = [file for file in folder.rglob("*") if file.is_file()]
        templates[mode] = {file.relative_to(folder): file.read_text() for file in files}
        shutil.rmtree(folder)
    for number in range(count):
        mode, width, shots = draw.choice(sorted(templates)), draw.choice(WIDTHS), draw.choice(SHOTS)
        rate = float(f"{10 ** draw.uniform(-4, -1):.4g}")
        level = 0.9 - 0.1 * abs(math.log10(rate / 0.003)) + shots / 1000 + draw.gauss(0, 0.01)
        signs = {"0.987": str(rate), "654": str(width), "321": str(shots), "777.5": str(width * 2.0 + shots)}
        folder = study / f"mode={mode},optimizer.lr={rate},backbone.width={width},target.shots={shots}-{number:08x}"
        (folder / ".hydra").mkdir(parents=True)
        for name, text in templates[mode].items():
            if name.name == "metrics.csv":
                rows = [
                    f"{i},{50 * i},,{2 * i},,{value},{1 - value}"
                    for i, value in enumerate(planted(0.4, level, 0.3, 10))
                ]
                text = "\n".join([text.partition("\n")[0].strip(), *rows]) + "\n"
            for sign, value in signs.items():
                text = text.replace(sign, value)
            (folder / name).write_text(text)
    return study
