"""Small clouds of features for the tests of adaptation terms."""

import torch
from torch import nn

S, T, D, C = 14, 10, 6, 3


def a_head():
    torch.manual_seed(5)
    return nn.Linear(D, C)
