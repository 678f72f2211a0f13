"""What every generator has in common: an encoder, a decoder, and padding, so that any image size will do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from nfkit.errors import OptionError


class Generator(nn.Module, ABC):
    """The network in front of a frozen model: F(x) = clip(x + G(x), -1, 1).

    Subclasses split G in two, so that a training objective may look at the bottleneck between the halves.
    """

    stride: int
    """By how much the encoder shrinks height and width."""

    bottleneck_channels: int
    """Channels of the last of the encoder's features; 0 where there is no bottleneck."""

    classes: int = 0
    """Number of classes that the generator tells apart by itself; 0 where it yields no such evidence."""

    head: nn.Linear
    """From pooled features of the bottleneck to class scores, where the generator has evidence."""

    def add_head(self, classes: int) -> None:
        """Gives the generator evidence of its own: a linear head on its bottleneck.

        Args:
            classes: Number of classes.

        Raises:
            OptionError: When the generator has no bottleneck to look at.
        """
        if not self.bottleneck_channels:
            raise OptionError(
                f"{type(self).__name__} looks at no image, so it has no evidence: choose another generator"
            )
        self.classes = classes
        self.head = nn.Linear(self.bottleneck_channels, classes)

    @abstractmethod
    def encode(self, x: Tensor) -> list[Tensor]:
        """Computes the features of an image.

        Args:
            x: [N, C, H, W], H and W multiples of `stride`.

        Returns:
            The skips from shallow to deep, if any, and last the bottleneck
            [N, bottleneck_channels, H / stride, W / stride].
        """

    @abstractmethod
    def decode(self, features: list[Tensor]) -> Tensor:
        """Computes the residual [N, C, H, W] from the features that `encode` returned."""

    def evidence(self, features: list[Tensor]) -> Tensor:
        """Computes the scores [N, classes] by which the generator itself tells classes apart, where it does.

        Args:
            features: What `encode` returned.
        """
        if not self.classes:
            raise NotImplementedError(f"{type(self).__name__} yields no class evidence")
        deepest = features[-1]
        # A pooling of the whole image, not a mean: ONNX's ReduceMean changed its operands at opset 18.
        pooled = nn.functional.avg_pool2d(deepest, (int(deepest.shape[-2]), int(deepest.shape[-1])))
        scores: Tensor = self.head(pooled.flatten(1))
        return scores

    def look(self, x: Tensor) -> Tensor:
        """Computes the evidence [N, classes] alone, for x as in `forward`."""
        return self.evidence(self.encode(self.pad(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Computes the residual G(x).

        Args:
            x: [N, C, H, W] in [-1, 1], of any height and width.

        Returns:
            The residual, of the shape of `x`.
        """
        return self._residual(x, self.encode(self.pad(x)))

    def explain(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the residual, and the evidence [N, classes] behind it, for x as in `forward`."""
        features = self.encode(self.pad(x))
        return self._residual(x, features), self.evidence(features)

    def pad(self, x: Tensor) -> Tensor:
        """Zeros below and to the right, up to the next multiples of the stride."""
        below, right = -int(x.shape[-2]) % self.stride, -int(x.shape[-1]) % self.stride
        return nn.functional.pad(x, (0, right, 0, below)) if below or right else x

    def _residual(self, x: Tensor, features: list[Tensor]) -> Tensor:
        residual = self.decode(features)
        return residual if residual.shape[-2:] == x.shape[-2:] else residual[..., : x.shape[-2], : x.shape[-1]]
