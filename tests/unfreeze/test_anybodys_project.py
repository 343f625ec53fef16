"""The lines of docs/how_to/lightning_project.md work in a project that has nothing of headstart's."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how_to" / "lightning_project.md"

PROJECT = """
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import resnet18


class YourModule(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = resnet18(num_classes=3)

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])


{lines}

class Seen(pl.Callback):
    def on_train_epoch_end(self, trainer, module):
        print("epoch", trainer.current_epoch, *(name for name, p in module.named_parameters() if p.requires_grad))


data = DataLoader(TensorDataset(torch.randn(8, 3, 32, 32), torch.randint(0, 3, (8,))), batch_size=4)
trainer = pl.Trainer(
    max_epochs=3, callbacks=[*callbacks, Seen()], accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
)
trainer.fit(Mine(), data)
"""


@pytest.fixture(scope="module")
def lines():
    section = PAGE.read_text(encoding="utf-8")
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def test_the_pages_lines_are_about_ten(lines):
    assert len([line for line in lines.splitlines() if line.strip()]) <= 14


def test_the_pages_lines_open_the_stages_that_they_say(lines, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(PROJECT.replace("{lines}", lines), {"__name__": "project"})
    opened = [line.split()[2:] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    stages = [{re.match(r"net\.(layer\d|fc|conv1|bn1)", name)[1] for name in names} for names in opened]
    assert stages == [{"fc"}, {"fc", "layer4"}, {"fc", "layer4", "layer3"}]
