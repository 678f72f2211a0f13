"""How a fused file in which both ends answer may be run: always both, early where the generator is sure, or that alone.

All three run the generator at the nominal voltage; trust and threshold are numbers of the file (`nfkit tune`).
"""

from __future__ import annotations

from nfkit.remedies.trained import NeuralFuse


class BothEnds(NeuralFuse):
    """Base and generator answer every image together."""

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return f"both-ends:{self.label}"

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        return f"base and generator ({self.label}) answer together"


class EarlyAnswers(NeuralFuse):
    """The generator answers where it is sure, and both answer together elsewhere."""

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return f"early:{self.label}"

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        return f"the generator ({self.label}) answers where it is sure, and base and generator together elsewhere"


class EarlyAtVmin(EarlyAnswers):
    """The same without a lower voltage: what that adds is stated against this."""

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return f"early-at-vmin:{self.label}"

    @property
    def needs(self) -> frozenset[str]:
        """See `Remedy.needs`."""
        return frozenset()


class GeneratorAlone(NeuralFuse):
    """The generator answers every image, and the base is left out."""

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return f"generator-alone:{self.label}"

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        return f"the generator ({self.label}) answers by itself, without the base"

    @property
    def needs(self) -> frozenset[str]:
        """See `Remedy.needs`."""
        return frozenset()
