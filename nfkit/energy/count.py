"""What one inference of a graph costs: weights, operations, and accesses to the weight memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

import onnx_ir as ir

from nfkit.energy.branches import Choice, dearest
from nfkit.energy.layers import Layer, Part, Uncounted
from nfkit.energy.parameters import count_parameters
from nfkit.energy.read import Preset, read_layers
from nfkit.energy.systolic import SystolicArray
from nfkit.errors import OptionError, UnsupportedError
from nfkit.graph.fusion.modes.taking import run_always
from nfkit.graph.memory.foreign import refuse_hidden_weights
from nfkit.graph.memory.survey import Survey

PRESETS: tuple[Preset, ...] = get_args(Preset)


@dataclass(frozen=True)
class Count:
    """Layers of a graph, and what they cost on an array.

    Attributes:
        layers: All that was counted.
        uncounted: What was not, and why; empty for an exact count.
        parameters: Numbers that the model stores as weights, biases and constants of normalisations.
        array: The accelerator.
        preset: The conventions.
        float_bits: Bits of the floating weights, where some are counted as stored; None where none are.
        choices: Ifs whose branches depend on data, and which of them is counted.
    """

    layers: tuple[Layer, ...]
    uncounted: tuple[Uncounted, ...]
    parameters: int
    array: SystolicArray
    preset: Preset
    float_bits: int | None = None
    choices: tuple[Choice, ...] = ()

    @property
    def weights(self) -> int:
        """Weights in memory, each once, however many layers share a memory or read a part of it."""
        read: dict[str, list[Layer]] = {}
        for layer in self.layers:
            if layer.storage is not None:
                read.setdefault(layer.storage, []).append(layer)
        return sum(
            min(layers[0].held, sum(layer.weights for layer in layers))
            if layers[0].held
            else max(layer.weights for layer in layers)
            for layers in read.values()
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of an inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def reads(self) -> int:
        """Weights that an inference reads, each as often as it is read."""
        return sum(self.array.weight_reads(layer) for layer in self.layers)

    @property
    def accesses(self) -> float:
        """Words that an inference reads from the weight memory (TWMA)."""
        bits = sum(self.array.weight_reads(layer) * layer.bits for layer in self.layers)
        return bits / self.array.word_bits

    @property
    def gap(self) -> str | None:
        """What is in no sum, in a sentence; None for an exact count."""
        if not self.uncounted:
            return None
        first, more = self.uncounted[0], len(self.uncounted) - 1
        rest = f", and {more} more" if more else ""
        return f"energy leaves out what could not be counted in the {first.part}: {first}{rest} (nfkit energy lists it)"

    def to_dict(self, *, layers: bool = True) -> dict[str, Any]:
        """The count for a record.

        Args:
            layers: Whether to list every layer.
        """
        record: dict[str, Any] = {
            "weights": self.weights,
            "parameters": self.parameters,
            "macs": self.macs,
            "weight_reads": self.reads,
            "accesses": self.accesses,
            "float_weight_bits": self.float_bits,
            "uncounted": [entry.to_dict() for entry in self.uncounted],
            "choices": [choice.to_dict() for choice in self.choices],
        }
        if layers:
            record["layers"] = [self._row(layer) for layer in self.layers]
        return record

    def _row(self, layer: Layer) -> dict[str, Any]:
        return {
            "name": layer.name,
            "op": layer.op,
            "part": layer.part,
            "positions": layer.positions,
            "depth": layer.depth,
            "outputs": layer.outputs,
            "groups": layer.groups,
            "repeats": layer.repeats,
            "bits": layer.bits,
            "weights": layer.weights,
            "macs": layer.macs,
            "weight_reads": self.array.weight_reads(layer),
            "accesses": self.array.accesses(layer),
        }


def count(
    model: ir.Model,
    array: SystolicArray | None = None,
    *,
    preset: Preset = "true",
    weight_bits: int | None = None,
    part: Part = "base",
) -> Count:
    """Counts what one inference at batch 1 costs.

    Args:
        model: A base, a generator or a fused file; not changed.
        array: The accelerator; 32x32, output-stationary, with words of 64 bits by default.
        preset: `true` counts shapes as they are, `paper` by the conventions of `nfkit.energy.paper`.
        weight_bits: Bits that every weight is held in; by default those that the file stores, and 8 for `paper`.
        part: What the model is, as far as nfkit has not marked its nodes.

    Raises:
        OptionError: When there is no such preset or number of bits.
        UnsupportedError: When operators of other makers hide weights.
    """
    refuse_hidden_weights(model)
    if preset not in PRESETS:
        raise OptionError(f"unknown preset {preset!r}: choose one of {', '.join(PRESETS)}")
    if weight_bits is not None and weight_bits < 1:
        raise OptionError(f"weights of {weight_bits} bits do not exist: give a number from 1 on")
    survey = Survey(model)
    layers, uncounted = read_layers(model, preset=preset, weight_bits=weight_bits, part=part, survey=survey)
    array = array or SystolicArray()
    layers, choices = dearest(layers, array)
    used = [layer.bits for layer in layers if layer.is_float]
    as_stored = weight_bits is None and preset == "true"
    return Count(
        tuple(layers),
        tuple(uncounted),
        count_parameters(model, survey=survey),
        array,
        preset,
        max(used) if used and as_stored else None,
        tuple(choices),
    )


def count_fused(
    model: ir.Model,
    array: SystolicArray | None = None,
    *,
    preset: Preset = "true",
    weight_bits: int | None = None,
) -> tuple[Count, Count]:
    """Counts the base and the generator of a fused file, each on its own, for an inference that runs both.

    Args:
        model: A fused file; not changed.
        array: As for `count`.
        preset: As for `count`.
        weight_bits: As for `count`.

    Returns:
        (base, generator).
    """
    model = run_always(model)  # what the base costs where it runs
    whole = count(model, array, preset=preset, weight_bits=weight_bits)

    survey = Survey(model)

    def share(part: Part) -> Count:
        return replace(
            whole,
            layers=tuple(layer for layer in whole.layers if layer.part == part),
            uncounted=tuple(entry for entry in whole.uncounted if entry.part == part),
            choices=tuple(choice for choice in whole.choices if choice.part == part),
            parameters=count_parameters(model, part, survey=survey),
        )

    return share("base"), share("generator")


def count_macs(model: ir.Model) -> int:
    """Multiply-accumulate operations of one inference at batch 1, at true shapes.

    Args:
        model: The model; not changed.

    Raises:
        UnsupportedError: When a node cannot be counted.
    """
    counted = count(model)
    if counted.uncounted:
        entry = counted.uncounted[0]
        raise UnsupportedError(f"node '{entry.name}' ({entry.op}) can't be counted: {entry.reason}")
    return counted.macs
