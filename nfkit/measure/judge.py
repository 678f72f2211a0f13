"""A metric of the user's own over a model's outputs: what it is given, and what it may give.

A metric is a function of outputs and targets that gives a number a sample, [N], or one number for all of them, as a
word error rate is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.access.runtime import Runner
from nfkit.data.function import describe_failure
from nfkit.data.targets import Targets
from nfkit.errors import DataError, NfkitError
from nfkit.graph.input.spec import InputSpec

Outputs = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
Metric = Callable[[Any, Any], Any]
"""(outputs, targets) -> numbers [N], or one number. Outputs are an array, or arrays by name where there are several."""
Values = npt.NDArray[np.float64]


class Judge:
    """A metric with its samples and targets.

    Args:
        name: What messages call the metric.
        metric: The metric.
        given: Samples, and targets where there are any.
        spec: Input of the models that are judged.
    """

    def __init__(self, name: str, metric: Metric, given: Targets, spec: InputSpec) -> None:
        self._name, self._metric, self._given = name, metric, given
        self._x, self._targets, self._shape = spec.encode(given.x), given.y, ()

    def outputs(self, runner: Runner) -> Outputs:
        """All outputs of a model: an array where there is one, else by name."""
        names = runner.output_names
        found = runner.named(self._x, names)
        return found[names[0]] if len(names) == 1 else found

    def compare_with(self, clean: Outputs) -> None:
        """Takes the outputs of the base without errors for targets, where there are none."""
        if self._targets is None:
            self._targets = clean  # type: ignore[assignment]  # whatever outputs are, targets are then

    def values(self, outputs: Outputs, where: str) -> Values:
        """The metric's numbers, [N] or [1].

        Raises:
            DataError: When the metric fails, or gives anything else.
        """
        try:
            result = np.asarray(self._metric(outputs, self._targets), np.float64)
        except NfkitError:
            raise
        except (Exception, SystemExit) as error:  # it is the user's
            raise describe_failure(self._name, error) from error
        if result.size == 1:
            result = result.reshape(1)
        if result.shape not in ((1,), (len(self._given),)):
            raise DataError(
                f"{self._name} gives numbers of shape {list(result.shape)} for {len(self._given)} samples: give one a "
                "sample, or one for all"
            )
        if not np.isfinite(result).all():
            raise DataError(
                f"{self._name} gives {result[~np.isfinite(result)][0]} for {where}: say in it what such outputs are "
                "worth"
            )
        return result
