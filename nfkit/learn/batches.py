"""Batches for training: seeded order, encoding into the model's input space, and augmentation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nfkit.data import Dataset
from nfkit.graph.input.spec import InputSpec


class Batches:
    """Endless batches of a data set.

    Args:
        data: Labelled samples.
        spec: The model's input, which says how samples become images in [-1, 1].
        size: Samples a batch.
        seed: Seed of order and augmentation.
        mirror: Whether to mirror half of the images left to right.
        shift: By how many pixels to move images at most, in both directions; the border is filled with its edge.
        device: Where the batches are wanted.
        labels: What to give beside the images, [len(data)]; their labels by default.
    """

    def __init__(
        self,
        data: Dataset,
        spec: InputSpec,
        *,
        size: int,
        seed: int,
        mirror: bool,
        shift: int,
        device: torch.device,
        labels: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.labels = data.y if labels is None else labels
        self.data, self.spec, self.size, self.seed = data, spec, min(size, len(data)), seed
        self.mirror, self.shift, self.device = mirror, shift, device
        self.per_epoch = max(1, len(data) // self.size)

    def starting_at(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches from the given step on: images [N, C, H, W] in [-1, 1] (channels last in memory) and labels [N].

        A batch depends on its step alone, so a resumed run goes on where it stopped.
        """
        ordered = -1
        while True:
            epoch, index = divmod(step, self.per_epoch)
            if epoch != ordered:
                order = np.random.Generator(np.random.Philox(key=[self.seed, epoch])).permutation(len(self.data))
                ordered = epoch
            chosen = order[index * self.size : (index + 1) * self.size]
            x = self.spec.normalise(self.spec.encode(self.data.x[chosen]))
            x = self._augment(x, np.random.Generator(np.random.Philox(key=[self.seed + 1, step])))
            yield self._place(x), torch.from_numpy(self.labels[chosen]).to(self.device)
            step += 1

    def _augment(self, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if self.mirror:
            mirrored = random.random(len(x)) < 0.5
            x[mirrored] = x[mirrored, ..., ::-1]
        if self.shift:
            s, (height, width) = self.shift, x.shape[-2:]
            padded = np.pad(x, ((0, 0), (0, 0), (s, s), (s, s)), mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
            down, right = random.integers(0, 2 * s + 1, (2, len(x)))
            x = windows[np.arange(len(x)), :, down, right]
        return x

    def _place(self, x: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(x)).to(self.device)
        return tensor.contiguous(memory_format=torch.channels_last)
