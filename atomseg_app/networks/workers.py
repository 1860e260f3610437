"""The processes of ``torchrun`` that train one network together, or this one alone."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Workers:
    """``count`` processes, of which this is number ``rank``. The first alone writes files and speaks."""

    count: int = 1
    rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    @classmethod
    def join(cls) -> Workers:
        """Join the others that torchrun has started, if it has; each takes its own card where there are cards."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count > 1 and not torch.distributed.is_initialized():
            cards = torch.cuda.is_available()
            if cards:
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            torch.distributed.init_process_group("nccl" if cards else "gloo")
        return cls(count, int(os.environ.get("RANK", "0")))

    def average_gradients(self, module: nn.Module) -> None:
        """Mean of the gradients of all processes, in every process."""
        if self.count == 1:
            return
        for parameter in module.parameters():
            if parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= self.count

    def largest(self, *values: float) -> tuple[float, ...]:
        """The largest of each value over all processes, so that they decide alike."""
        if self.count == 1:
            return values
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        shared = torch.tensor(values, dtype=torch.float64, device=device)
        torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
        return tuple(shared.tolist())

    def leave(self) -> None:
        """End what :meth:`join` began."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
