"""What must hold for a backbone of any library: at every cut, and where it is frozen."""

import torch

from headstart.backbones.stages import Backbone, pooled
from headstart.unfreeze.freezing import Freezing


def check_every_cut(whole, image):
    """Each cut is the same chain up to there, and each stage hands on to the rest -> what reached each stage."""
    with torch.no_grad():
        reached = [image]
        for stage in whole.stages.values():
            reached.append(stage(reached[-1]))
        features = whole(image)
        for start in range(1, len(whole.names)):
            assert torch.equal(whole(reached[start], start=start), features)
        for keep in range(1, len(whole.names) + 1):
            cut = Backbone(dict(whole.stages), pixels=whole.pixels, keep=keep).eval()
            assert cut.names == whole.names[:keep]
            assert torch.equal(cut(image), pooled(reached[keep]))
            assert cut.width == cut(image).shape[1]
    return reached


def check_frozen(backbone, image):
    """After a step with weight decay and momentum, in train(): the last stage has moved, and nothing below it."""
    backbone.train()
    last = next(name for name in reversed(backbone.names) if list(backbone.stages[name].parameters()))
    prefix = f"stages.{last}."
    freezing = Freezing(backbone, {name for name, _ in backbone.named_parameters()})
    freezing.train_only({name for name, _ in backbone.named_parameters() if name.startswith(prefix)})
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    backbone(image).square().sum().backward()
    optimizer.step()
    changed = {name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith(prefix) for name in changed)
