"""The configured head as a probe, against torch's own AdamW and scheduler on the same batches."""

import math

import numpy as np
import torch
from omegaconf import OmegaConf
from torch.nn.functional import cross_entropy

from headstart.features.probing.probe_kinds import ProbeSettings
from headstart.features.probing.probes import LabelledFeatures, ProbeData
from headstart.modules.heads.mlp_head import MLPHead
from headstart.runs.probing.probed_head import own_kinds

MLP = {
    "_target_": "headstart.modules.heads.mlp_head.MLPHead", "init": "class_means", "standardise": True,
    "hidden_width": 8, "activation": "relu", "dropout": 0.0,
}  # fmt: skip


def settings(**changed):
    usual = {
        "lr": [0.02],
        "weight_decay": [0.1],
        "epochs": 3,
        "batch_size": 10,
        "stops": False,
        "measures": [],
        "ks": [],
    }
    return ProbeSettings(**usual | {"temperature": 0.1, "ridge": [], "logistic": [], "seed": 5} | changed)


def moons(count, seed):
    """Two classes that no line divides: the sign of a product."""
    features = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return LabelledFeatures(features, (features[:, 0] * features[:, 1] > 0).long())


def learned(kinds, train, val):
    cfg = OmegaConf.create({"head": MLP})
    (learn,) = own_kinds(cfg, None, kinds, "stage4").values()
    return learn(ProbeData(train, val, 2))


def test_it_is_what_torch_s_adamw_and_cosine_make_of_the_head_on_standardised_features():
    train, val = moons(25, 0), moons(30, 1)
    got = learned(settings(), train, val).predict(val.features, [0])[0]
    mean, deviation = train.features.mean(dim=0), train.features.std(dim=0, correction=0)
    torch.manual_seed(5)
    head = MLPHead(width=2, num_classes=2, init="random", hidden_width=8, activation="relu", dropout=0.0)
    optimizer = torch.optim.AdamW(
        [
            {"params": [head.hidden.weight, head.linear.weight], "weight_decay": 0.1},
            {"params": [head.hidden.bias, head.linear.bias], "weight_decay": 0.0},
        ],
        lr=0.02,
    )
    for epoch in range(3):
        order = np.random.default_rng([5, epoch]).permutation(25)
        for number, batch in enumerate((order[:10], order[10:20], order[20:])):
            for group in optimizer.param_groups:
                group["lr"] = 0.02 * (1 + math.cos(math.pi * (3 * epoch + number) / 9)) / 2
            optimizer.zero_grad()
            x = (train.features[batch] - mean) / deviation
            cross_entropy(head(x), train.labels[batch]).backward()
            optimizer.step()
    want = head((val.features - mean) / deviation).argmax(dim=1)
    assert torch.equal(got, want)


def test_a_hidden_layer_learns_what_no_line_divides():
    train, val = moons(200, 0), moons(200, 1)
    probe = learned(settings(epochs=60, lr=[0.03], weight_decay=[0.0], stops=True), train, val)
    assert float((probe.predict(val.features, [0])[0] == val.labels).float().mean()) > 0.9
    assert 1 <= probe.settings[0]["epoch"] <= 60


def test_random_numbers_of_the_run_stay_as_they_are():
    torch.manual_seed(3)
    want = torch.rand(3)
    torch.manual_seed(3)
    learned(settings(epochs=1), moons(20, 0), moons(5, 1))
    assert torch.equal(torch.rand(3), want)
