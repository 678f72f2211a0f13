"""The answer of both ends in torch, so that a generator can be trained for it with its trust numbers inside.

    answer = log((1 - e) softmax(t s) + e / C) + b log softmax(z / T)

as `nfkit.graph.fusion.trust` has it. The numbers that come out of training are not those of the file: these are fitted
afterwards, at every voltage, on data that neither base nor generator was trained on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_DOUBT = 0.1  # at the start: a tenth of all answers of a faulty base tell nothing


class FusedAnswer(nn.Module):
    """Base and generator together, with trust numbers that learn.

    They are kept as logarithms, and doubt as a logit, so that every step leaves them within their ranges.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.zeros(()))
        self.logit_doubt = nn.Parameter(torch.tensor(math.log(_DOUBT / (1 - _DOUBT))))
        self.log_weight = nn.Parameter(torch.zeros(()))
        self.log_temperature = nn.Parameter(torch.zeros(()))

    def forward(self, scores: Tensor, evidence: Tensor) -> Tensor:
        """Scores s [N, classes] of the base in log form, evidence z [N, classes] -> the answer [N, classes]."""
        shares = torch.softmax(self.log_sharpness.exp() * scores, dim=1)
        doubt = torch.sigmoid(self.logit_doubt)
        base = torch.log((1 - doubt) * shares + doubt / scores.shape[1])
        alone = torch.log_softmax(evidence / self.log_temperature.exp(), dim=1)
        return base + self.log_weight.exp() * alone
