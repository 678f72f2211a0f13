"""A frozen ONNX graph as a differentiable torch function of its input, with its weights as arguments.

The graph is read once, through its canonical view (`nfkit.graph.canonical.view`), so that operators on codes, constants
in nodes, functions and constant branches are all the same to what follows. What depends on constants alone is computed
then; what depends on weight sites (usually one DequantizeLinear each) is computed once a set of codes, so that a faulty
copy of the model costs its changed weights and nothing else; the rest is run for every batch. Gradients flow to the
input. They pass straight through rounding, and are zero where a quantiser saturates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor

from nfkit.graph.canonical.view import canonical
from nfkit.graph.memory.sites import WeightSite
from nfkit.learn.gradients.obstacles import refuse_operators
from nfkit.learn.gradients.steps import Environment, Step, as_tensor, make_steps
from nfkit.learn.quantisers import fuse_quantisers


class FrozenGraph:
    """A model as a function of its input and its weights.

    Args:
        model: The model; not changed.
        sites: Weight sites whose codes will be given; their own codes are the default.
        dtype: Floating type to compute in. bfloat16 is about four times as fast on CPUs that know it, and holds 8-bit
            codes exactly, but rounds sums: fit for gradients, not for parity.
        device: Where to compute.

    Raises:
        UnsupportedError: When operators cannot be differentiated; all of them are named at once.
    """

    def __init__(
        self,
        model: ir.Model,
        sites: list[WeightSite] | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        model = canonical(model)
        refuse_operators(model)
        self.dtype, self.device = dtype, torch.device(device)
        graph = model.graph
        self.input = next(str(v.name) for v in graph.inputs if v.name not in graph.initializers)
        self.output = str(graph.outputs[0].name)
        self.scores = _scores(graph.outputs[0])
        self._chunk = _fixed_batch(model, self.input)
        names = {site.name for site in sites or []}
        steps = make_steps(model)
        constants = {
            str(v.name): as_tensor(np.array(v.const_value.numpy()))
            for v in graph.initializers.values()
            if v.const_value is not None
        }
        fixed, self._weight_steps, self._steps = _partition(steps, set(constants), names)
        for step in fixed:
            step.run(constants)
        self._steps = fuse_quantisers(self._steps, constants, keep={self.output, self.scores})
        read = {name for step in self._steps for name in step.inputs} | {self.output}
        self._constants = {name: self._place(tensor) for name, tensor in constants.items() if name in read}
        # The weight steps compute in the model's own precision, on the host; only their results are converted.
        self._exact = constants
        for step in self._weight_steps:
            step.run(self._exact)
        made = [*sorted(names), *(name for step in self._weight_steps for name in step.outputs)]
        self._clean = {name: self._place(self._exact[name]) for name in made if name in read}
        self._last_use = {name: i for i, step in enumerate(self._steps) for name in step.inputs if name is not None}

    def weights(self, codes: Mapping[str, npt.NDArray[Any] | Tensor]) -> Environment:
        """Weights of a copy of the model that stores other codes.

        Args:
            codes: Codes of some sites, of the type and shape of the site; the others keep their own.

        Returns:
            Dequantised weights, to be given to `__call__`.
        """
        values: Environment = {**self._exact, **{name: as_tensor(array) for name, array in codes.items()}}
        changed = set(codes)
        for step in self._weight_steps:
            if changed.intersection(name for name in step.inputs if name is not None):
                step.run(values)
                changed.update(step.outputs)
        return {name: self._place(values[name]) if name in changed else own for name, own in self._clean.items()}

    def __call__(self, x: Tensor, weights: Environment | None = None, *, scores: bool = False) -> Tensor:
        """Runs the model.

        Args:
            x: Samples [N, ...] in the model's input space; integer inputs as integer-valued floats.
            weights: Result of `weights`; the model's own by default.
            scores: Whether to return the values in front of a final softmax and its quantisers, as a loss needs
                them, instead of the first output.

        Returns:
            float32 tensor, differentiable with respect to `x`.
        """
        if self._chunk is None or len(x) == self._chunk:
            return self._run(x, weights, self.scores if scores else self.output)
        missing = -len(x) % self._chunk
        padded = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) if missing else x
        parts = [self(part, weights, scores=scores) for part in torch.split(padded, self._chunk)]
        return torch.cat(parts)[: len(x)]

    def _run(self, x: Tensor, weights: Environment | None, wanted: str) -> Tensor:
        values: Environment = {**self._constants, **(self._clean if weights is None else weights)}
        values[self.input] = x.to(self.dtype)
        for i, step in enumerate(self._steps):
            step.run(values)
            if wanted in step.outputs:
                break
            for name in step.inputs:  # free what nobody reads again, so that large batches fit the cache
                if name is not None and self._last_use[name] == i:
                    values.pop(name, None)
        return values[wanted].float()

    def _place(self, tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            # Shapes and axes are read by the host; codes are converted where they are used.
            return tensor if tensor.dtype == torch.int64 else tensor.to(self.device)
        tensor = tensor.to(device=self.device, dtype=self.dtype)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def run(model: ir.Model, x: npt.NDArray[Any], batch: int) -> npt.NDArray[np.float32]:
    """The first output of a model for every sample, computed here in float32: what parity is checked on.

    Args:
        model: The model.
        x: Samples [N, ...] in its input space; a remainder that fills no batch is left out.
        batch: Samples to run at once.
    """
    frozen = FrozenGraph(model)
    whole = len(x) - len(x) % batch
    with torch.no_grad():
        parts = [frozen(torch.from_numpy(x[i : i + batch].astype(np.float32))) for i in range(0, whole, batch)]
    output: npt.NDArray[np.float32] = torch.cat(parts).reshape(whole, -1).numpy()
    return output


def _fixed_batch(model: ir.Model, name: str) -> int | None:
    """The only batch size that a model can run at: one that a Reshape inside it spells out."""
    shape = next(v.shape for v in model.graph.inputs if v.name == name)
    batch = shape[0] if shape is not None and len(shape) else None
    for node in model.graph:
        target = node.inputs[1].const_value if node.op_type == "Reshape" and node.inputs[1] is not None else None
        if isinstance(batch, int) and target is not None and target.size and int(target.numpy().ravel()[0]) == batch:
            return batch
    return None


def _partition(steps: list[Step], constants: set[str], sites: set[str]) -> tuple[list[Step], list[Step], list[Step]]:
    """Splits steps into those of constants alone, those of weights, and those of the input."""
    fixed_values, weight_values = constants - sites, set(sites)
    fixed, weight, active = [], [], []
    for step in steps:
        read = {name for name in step.inputs if name is not None}
        if read <= fixed_values:
            fixed.append(step)
            fixed_values.update(step.outputs)
        elif read <= fixed_values | weight_values:
            weight.append(step)
            weight_values.update(step.outputs)
        else:
            active.append(step)
    return fixed, weight, active


def _scores(output: ir.Value) -> str:
    """Name of the value in front of a final softmax and the quantisers around it, or of the output itself."""
    value = output
    while (node := value.producer()) is not None:
        operand = node.inputs[0] if node.inputs else None
        if operand is None or operand.is_initializer():
            break
        producer = operand.producer()
        quantiser = node.op_type == "DequantizeLinear" and producer is not None and producer.op_type == "QuantizeLinear"
        # Behind any other DequantizeLinear lie codes, which are no scores.
        if not quantiser and node.op_type not in ("Softmax", "QuantizeLinear", "Identity", "Cast"):
            break
        value = operand
    return str(value.name)
