"""The same work written by hand, with what is frozen computed once."""

from __future__ import annotations

from typing import Any

import torch
from bench_job import BATCH, DECAY, RATE, Job
from bench_network import Learned, loaders, network, parts_of
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

Set = tuple[Tensor, Tensor]  # what enters the layers that learn, labels


def floor(job: Job, *, channels_last: bool = False) -> dict[str, Any]:
    """In each phase one inference_mode pass through what is frozen, then the rest on what it gave.

    Where nothing is frozen, each epoch is from the images.
    """
    torch.manual_seed(job.seed)
    backbone, head = network(job)
    if channels_last:
        backbone.to(memory_format=torch.channels_last)
    learned = Learned(parts_of(job, backbone, head))
    train, val = loaders(job)
    plain_train, _ = loaders(job, shuffle=False)
    kept: tuple[Set, Set] | None = None
    accuracy, before, optimizer = 0.0, (), None
    stages = list(backbone.children())
    for epoch in range(job.epochs):
        opens = job.opens(epoch)
        border = len(job.parts) - len(opens)  # so many stages are frozen
        frozen = stages if opens == ("head",) else stages[:border]
        learning = nn.Sequential(*stages[len(frozen) :], head)
        if opens != before:
            kept = None  # before the next pass: not twice in memory
            kept = (_passed(frozen, plain_train), _passed(frozen, val)) if frozen else None
            for stage in stages:
                stage.requires_grad_(stage not in frozen)
            optimizer = torch.optim.AdamW(learning.parameters(), lr=RATE, weight_decay=DECAY)
            before = opens
        learning.train()
        for x, label in _shuffled(kept[0]) if kept else train:
            optimizer.zero_grad()
            cross_entropy(learning(x), label).backward()
            optimizer.step()
        learning.eval()
        accuracy = _accuracy(learning, _batches(*kept[1]) if kept else val)
        learned.epoch_ended()
    return {"accuracy": accuracy, "learned": learned.epochs}


def channels_last(job: Job) -> dict[str, Any]:
    return floor(job, channels_last=True)


@torch.inference_mode()
def _passed(frozen: list[nn.Module], loader: DataLoader[Any]) -> Set:
    whole = nn.Sequential(*frozen).eval()
    given = [(whole(image), label) for image, label in loader]
    with torch.inference_mode(False):  # what is made in that mode cannot be trained on
        return torch.cat([x for x, _ in given]).clone(), torch.cat([label for _, label in given]).clone()


def _shuffled(of: Set) -> Any:
    order = torch.randperm(len(of[1]))
    for index in order.split(BATCH):
        yield of[0][index], of[1][index]


def _batches(x: Tensor, label: Tensor) -> Any:
    yield from zip(x.split(BATCH), label.split(BATCH), strict=True)


@torch.no_grad()
def _accuracy(learning: nn.Module, batches: Any) -> float:
    hits = [(learning(x).argmax(dim=1) == label).float() for x, label in batches]
    return float(torch.cat(hits).mean())
