"""Everything that a model stores and what reads it, found once: what sites, coverage, scales and energy start from."""

from __future__ import annotations

import onnx_ir as ir

from nfkit.graph.memory.bits import recorded_bits
from nfkit.graph.memory.flow import Flow
from nfkit.graph.memory.readings import Reading
from nfkit.graph.memory.storage import stored_tensors

LOOK_UPS = ("Gather", "GatherElements", "GatherND")


class Survey:
    """Everything that a model stores and what reads it, found once.

    Args:
        model: The model; not changed, nor to be changed while this is used.

    Raises:
        ModelError: When the model records bits of its codes that they do not have; see `nfkit.graph.memory.bits`.
    """

    def __init__(self, model: ir.Model) -> None:
        self.flow = Flow(model)
        self.stored = {
            name: entry
            for name, entry in stored_tensors(model).items()
            if entry.node is not None or entry.value.const_value is not None
        }
        self.narrow = recorded_bits(model)
        self._readings: dict[str, list[Reading]] = {}

    def readings(self, name: str) -> list[Reading]:
        """How a stored tensor is read."""
        if name not in self._readings:
            self._readings[name] = self.flow.readings(self.stored[name].value)
        return self._readings[name]

    def bits(self, name: str) -> int:
        """Bits of one element of a stored tensor, as its type, its palette or the model's own record says."""
        width = self.narrow.get(name, self.stored[name].dtype.bitwidth)
        return min((width, *(reading.looked_up for reading in self.readings(name) if reading.looked_up)))

    def quantised_inside(self) -> list[str]:
        """Names of floating weights that the graph turns into codes, as exports of fake quantisation hold them."""
        return [
            name
            for name, entry in self.stored.items()
            if entry.dtype.is_floating_point()
            and any(reading.role == "weight" and reading.quantised for reading in self.readings(name))
        ]

    def is_filler(self, name: str) -> bool:
        """Whether a tensor holds nothing but floating zeros, which weights are put into."""
        entry = self.stored[name]
        return entry.dtype.is_floating_point() and not entry.array().any()


def reads_weight(dtype: ir.DataType, reading: Reading) -> bool:
    """Whether a layer reads its weights from it; numbers of the graph's own are looked up, too, and are none."""
    if reading.role != "weight":
        return False
    quantisable = dtype.is_floating_point() or dtype.bitwidth <= 16
    return quantisable or any(end.role == "weight" and end.node.op_type not in LOOK_UPS for end in reading.ends)
