"""Running models in ONNX Runtime: the one place that chooses threads, optimisation level and provider.

The default level is `all`: the graph that a device runs, with its Q/DQ pairs fused into integer kernels. It may move
a quantised output by one step against `basic`, which computes node by node; accuracies differ by up to a point. Every
result names its level.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime as ort

from nfkit.access import exact_products, float16_products, packed_products
from nfkit.errors import ModelError, NfkitError, OptionError, UnsupportedError
from nfkit.graph.memory.foreign import vendor_operators
from nfkit.graph.operators.vendors import explain
from nfkit.model import is_large, save, to_bytes
from nfkit.parallel import cores, each, lanes_for

Level = Literal["none", "basic", "extended", "all"]

_LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}

BATCH = 128
"""Samples of a batch, where the model leaves that free."""

_FATAL_ONLY = 4  # ORT's warnings go to stderr and speak to its own developers


class Runner:
    """A model, ready to run.

    Args:
        model: The model.
        level: Optimisation level.
        threads: Threads of one run; all cores by default.
        exact: Whether products of codes shall be those of a device on processors, too, where ONNX Runtime's own
            saturate (x86 without VNNI); it is so from level `extended` on. False is what a plain session computes.
        samples: How many samples a run will be given, where that is known: many batches are run side by side.

    Raises:
        ModelError: When ONNX Runtime refuses the model.
    """

    def __init__(
        self,
        model: ir.Model,
        *,
        level: Level = "all",
        threads: int | None = None,
        exact: bool = True,
        samples: int = 0,
    ) -> None:
        if level not in get_args(Level):
            raise OptionError(f"unknown optimisation level {level!r}: choose one of {', '.join(get_args(Level))}")
        if level == "extended" and isinstance(model, ir.Model) and float16_products.are_lost(model):
            raise UnsupportedError(
                f"ONNX Runtime {ort.__version__} computes zeros for this model's float16 products at level 'extended': "
                "use --optimization all, which a device runs, or basic"
            )
        packs = level in ("extended", "all") and isinstance(model, ir.Model)
        broken = packs and packed_products.are_broken(model)
        threads = threads or cores()
        self._lanes = lanes_for(-(-samples // batch_of(model)), threads)
        try:
            self._session = _session(model, partial(_options, level, threads // self._lanes), exact, broken)
        except NfkitError:
            raise
        except Exception as error:
            others = vendor_operators(model) if isinstance(model, ir.Model) else []
            if others:
                raise UnsupportedError(f"the model cannot run: it holds {explain(others)}") from error
            raise ModelError(f"ONNX Runtime {ort.__version__} refuses the model: {_sentence(error)}") from error
        self._input = _only_input(self._session)

    @classmethod
    def of_bytes(
        cls, content: bytes, *, level: Level, threads: int | None = None, exact: bool = False, lanes: int = 1
    ) -> Runner:
        """A serialised model as it is, ready to run.

        Args:
            content: The model; with `exact`, one that `nfkit.access.exact_products` prepared.
            level: Optimisation level.
            threads: Threads of one run; all cores by default.
            exact: Whether products of codes are asked to be exact.
            lanes: Batches of a run that are side by side and share the threads; they divide them evenly.

        Raises:
            ModelError: When ONNX Runtime refuses the model.
        """
        options = _options(level, (threads or cores()) // lanes)
        if exact:
            options.add_session_config_entry(exact_products.OPTION, "1")
        runner = cls.__new__(cls)
        runner._lanes = lanes
        try:
            runner._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(f"ONNX Runtime {ort.__version__} refuses the model: {_sentence(error)}") from error
        runner._input = _only_input(runner._session)
        return runner

    @property
    def fixed_batch(self) -> int | None:
        """The batch size that the model insists on, if it does."""
        size = self._input.shape[0]
        return size if isinstance(size, int) else None

    @property
    def output_names(self) -> list[str]:
        """Names of the model's outputs."""
        return [output.name for output in self._session.get_outputs()]

    def __call__(
        self, x: npt.NDArray[Any], *, batch: int = BATCH, extra: Mapping[str, npt.NDArray[Any]] | None = None
    ) -> npt.NDArray[Any]:
        """The model's first output for every sample.

        Args:
            x: Samples [N, ...] in the model's input space.
            batch: Samples to run at once, where the model leaves it free.
            extra: Values of overridable initializers, such as the masks of a chip.

        Raises:
            ModelError: When ONNX Runtime fails on the samples.
        """
        return self._run(x, None, batch, extra or {})[0]

    def named(self, x: npt.NDArray[Any], names: Sequence[str], *, batch: int = BATCH) -> dict[str, npt.NDArray[Any]]:
        """Outputs of given names for every sample.

        Args:
            x: Samples [N, ...] in the model's input space.
            names: Names of the outputs; what only others need is not computed.
            batch: Samples to run at once, where the model leaves it free.

        Raises:
            ModelError: When ONNX Runtime fails on the samples.
        """
        return dict(zip(names, self._run(x, list(names), batch, {}), strict=True))

    def resume(self, values: Mapping[str, npt.NDArray[Any]], *, batch: int = BATCH) -> npt.NDArray[Any]:
        """The first output for every sample of a model that takes several values of each.

        Args:
            values: All inputs by name, [N, ...] each.
            batch: Samples to run at once.

        Raises:
            ModelError: When ONNX Runtime fails on them.
        """
        return self._run(values, None, batch, {})[0]

    def _run(
        self, x: npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]], names: list[str] | None, batch: int,
        extra: Mapping[str, npt.NDArray[Any]],
    ) -> list[npt.NDArray[Any]]:  # fmt: skip
        step = self.fixed_batch or batch
        given = x if isinstance(x, Mapping) else {self._input.name: x}

        def run(start: int) -> list[npt.NDArray[Any]]:
            parts = {name: value[start : start + step] for name, value in given.items()}
            used = len(next(iter(parts.values())))
            if self.fixed_batch and used < step:
                parts = {n: np.concatenate([p, np.repeat(p[-1:], step - used, axis=0)]) for n, p in parts.items()}
            try:
                results = self._session.run(names, {**parts, **extra})
            except Exception as error:
                raise ModelError(f"ONNX Runtime {ort.__version__} fails on the data: {_sentence(error)}") from error
            return [result[:used] for result in results[: None if names else 1]]

        starts = range(0, len(next(iter(given.values()))), step)
        outputs = each(run, starts, self._lanes)
        return [np.concatenate(parts) for parts in zip(*outputs, strict=True)]

    def outputs(self, x: npt.NDArray[Any]) -> dict[str, Any]:
        """All outputs by name, for one batch of the size that the model takes.

        Raises:
            ModelError: When ONNX Runtime fails on the samples.
        """
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, {self._input.name: x}), strict=True))
        except Exception as error:
            raise ModelError(f"ONNX Runtime {ort.__version__} fails on the data: {_sentence(error)}") from error

    def classify(self, x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The class with the highest output, [N]; -1 where an output is not a number."""
        scores = self(x)
        flat = scores.reshape(len(scores), -1)
        best: npt.NDArray[np.int64] = flat.argmax(axis=1)
        if np.issubdtype(flat.dtype, np.floating):
            best[np.isnan(flat).any(axis=1)] = -1
        return best

    def classes(self, x: npt.NDArray[Any]) -> int:
        """Number of classes, found by running one batch.

        Raises:
            UnsupportedError: When the first output is no score a class.
        """
        scores = self(x[:1])
        if scores.ndim < 2 or int(np.prod(scores.shape[1:])) != max(scores.shape[1:]) or scores[0].size < 2:
            raise UnsupportedError(
                f"output '{self._session.get_outputs()[0].name}' has shape {list(scores.shape)}: accuracy needs one "
                "score a class as the first output, [N, classes]"
            )
        return int(scores[0].size)


def batch_of(model: ir.Model) -> int:
    """Samples of each batch that a model is run on."""
    shape = model.graph.inputs[0].shape if isinstance(model, ir.Model) and model.graph.inputs else None
    fixed = shape[0] if shape is not None and len(shape) else None
    return fixed if isinstance(fixed, int) and fixed > 0 else BATCH


def _only_input(session: ort.InferenceSession) -> Any:
    inputs = session.get_inputs()
    if not inputs:
        raise ModelError("the model takes no input, so there is nothing to run it on: export it again")
    return inputs[0]


def _options(level: Level, threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.graph_optimization_level = _LEVELS[level]
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Idle threads must not wait actively on cores that the next session needs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _session(
    model: ir.Model, make: Callable[[], ort.SessionOptions], exact: bool, unpacked: bool
) -> ort.InferenceSession:
    """A session of a model; with `unpacked` without the rewriting of `nfkit.access.packed_products`."""
    if exact and not is_large(model) and exact_products.are_needed(model):
        options = make()
        options.add_session_config_entry(exact_products.OPTION, "1")
        try:
            return _open(exact_products.prepare(model), options, unpacked)
        except NfkitError:
            raise
        except Exception:
            # It fails on some models of int8 activations, whose products never saturate. Whatever else is wrong with a
            # model fails again.
            pass
    try:
        return _open(model, make(), unpacked)
    except Exception as error:
        if unpacked or isinstance(error, NfkitError) or "MatMulNBits" not in str(error):
            raise
        return _open(model, make(), unpacked=True)


def _open(model: ir.Model, options: ort.SessionOptions, unpacked: bool) -> ort.InferenceSession:
    left_out = {"disabled_optimizers": [packed_products.REWRITING]} if unpacked else {}
    providers = ["CPUExecutionProvider"]
    if not is_large(model):
        return ort.InferenceSession(to_bytes(model), options, providers=providers, **left_out)
    with tempfile.TemporaryDirectory() as folder:  # the session has read all of it by the time it exists
        path = save(model, Path(folder, "model.onnx"))
        return ort.InferenceSession(path, options, providers=providers, **left_out)


def accuracy(runner: Runner, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> float:
    """Share of samples whose highest output is their label."""
    return float((runner.classify(x) == y).mean())


def _sentence(error: Exception) -> str:
    lines = str(error).split(" : ")[-1].splitlines() or [type(error).__name__]
    return lines[0][:300]
