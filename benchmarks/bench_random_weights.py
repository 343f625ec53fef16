"""Random weights that all ways begin with: bench_random_weights.py OUT writes a ResNet-18's state_dict."""

import sys

import torch
from torchvision import models

torch.manual_seed(0)
torch.save(models.resnet18(weights=None).state_dict(), sys.argv[1])
