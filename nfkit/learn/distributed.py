"""Several processes that train one generator, as torchrun starts them: what costs in a step is divided among them.

The first process trains, as it would alone. What costs is the frozen model: the clean one and the perturbed copies each
see their part of a batch, and their gradients at F(x) are a sum. So the first process sends F(x) to the others, each
takes some terms of the sum, draws only the chips of these, and sends back what it found. The generator itself, its
batch normalisation, the order of the batches, checkpoints and all files are those of the first process alone: the
result is that of one process up to the order in which the terms are added.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any, NamedTuple

import onnx
import onnx_ir as ir
import torch
from torch import Tensor
from torch import distributed as dist

from nfkit.errors import AccessError
from nfkit.faults import BitErrors
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import WeightSite
from nfkit.learn.config import TrainConfig
from nfkit.learn.subject import Subject, make_subject
from nfkit.model import load, to_bytes

_PATIENCE = timedelta(days=30)  # the others wait while the first one plans and measures
_groups: list[ProcessGroup] = []


class Share(NamedTuple):
    """Which terms of a sum are whose.

    Attributes:
        rank: The process.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    def has(self, term: int) -> bool:
        """Whether the term of this index is one of the process."""
        return term % self.size == self.rank


@dataclass(frozen=True, eq=False)
class Driven:
    """What every process needs of a frozen model.

    Attributes:
        name: What it is called.
        model: Its graph.
        sites: Weight sites that err.
        spec: Its input.
        errors: Their errors.
        config: The settings of the run.
        dtype: What it computes in, as the first process has chosen.
    """

    name: str
    model: ir.Model
    sites: list[WeightSite]
    spec: InputSpec
    errors: BitErrors
    config: TrainConfig
    dtype: torch.dtype

    def subject(self, device: torch.device) -> Subject:
        """The model in torch.

        Raises:
            UnsupportedError: When it has operators without a gradient.
        """
        return make_subject(
            self.name, self.model, self.sites, self.spec, self.errors, self.config, self.dtype, device
        )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "model": to_bytes(self.model)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "model": load(onnx.load_from_string(state["model"]))})


class ProcessGroup:
    """The processes of a run.

    Attributes:
        together: Whether the first process is still there.

    Args:
        share: Which of them this is.
    """

    def __init__(self, share: Share) -> None:
        self.share = share
        self.together = True
        if not self.leads:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the first one's, which ends the others

    @property
    def leads(self) -> bool:
        """Whether this is the process that trains, and writes."""
        return self.share.rank == 0

    def send(self, message: Any) -> None:
        """Sends something to all others; None says that no more will come."""
        dist.broadcast_object_list([message], src=0)

    @contextmanager
    def asked(self, message: Any) -> Iterator[None]:
        """Sends something that all work on in a `with` block; Ctrl-C waits for its end, so that all stay together."""
        waiting: list[tuple[int, FrameType | None]] = []
        before = signal.signal(signal.SIGINT, lambda number, frame: waiting.append((number, frame)))
        try:
            self.send(message.to("cpu"))
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        if waiting and callable(before):
            before(*waiting[0])

    def receive(self) -> Any:
        """What the first process sends.

        Raises:
            AccessError: When it is gone.
        """
        holder = [None]
        try:
            dist.broadcast_object_list(holder, src=0)
        except RuntimeError as error:
            self.together = False
            raise AccessError("the first process of the run ended, and this one with it") from error
        return holder[0]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Adds up tensors over all processes, in place; all get the sums."""
        flat = torch.cat([tensor.detach().reshape(-1).float().cpu() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.reshape(tensor.shape))

    def end(self) -> None:
        """Parts with the others, all at once; the first one tells them, unless they wait for something else.

        The group is not taken down: that is left to the end of the process.
        """
        _groups.remove(self)
        if self.together:
            if self.leads:
                self.send(None)
            dist.barrier()  # who goes while another still reads from it ends that one


def present() -> ProcessGroup | None:
    """The processes that this one works with; None where it works alone."""
    return _groups[0] if _groups else None


def join() -> ProcessGroup | None:
    """Meets the processes that torchrun started beside this one; None where it did not, or only one."""
    known = os.environ
    if int(known.get("WORLD_SIZE", "1")) < 2 or not {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= known.keys():
        return None
    if torch.cuda.is_available():
        torch.cuda.set_device(int(known.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    dist.init_process_group("gloo", timeout=_PATIENCE)
    _groups.append(ProcessGroup(Share(dist.get_rank(), dist.get_world_size())))
    return _groups[0]
