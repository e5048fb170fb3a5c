"""What a module costs: multiply-accumulates, attention's products included."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def multiply_accumulates(module: nn.Module, *inputs: Tensor) -> int:
    """Multiply-accumulates of one call: convolutions, linear layers and matrix products."""
    training = module.training
    module.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    module.train(training)
    return int(counter.get_total_flops()) // 2
