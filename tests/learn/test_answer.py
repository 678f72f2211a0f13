"""The answer of both ends in torch is that of the file, and EOPM through it gives the gradients of one whole graph."""

import numpy as np
import torch
from torch import nn

from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.learn.answer import FusedAnswer
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.objective import ModelInput, eopm_gradient

UNIT = InputSpec("image", "float32", "NCHW", (2, 4, 4), "N", (-1.0,), (1.0,), "given")


def set_to(trust: Trust) -> FusedAnswer:
    answer = FusedAnswer()
    with torch.no_grad():
        answer.log_sharpness.fill_(np.log(trust.sharpness))
        answer.logit_doubt.fill_(np.log(trust.doubt / (1 - trust.doubt)))
        answer.log_weight.fill_(np.log(trust.weight))
        answer.log_temperature.fill_(np.log(trust.temperature))
    return answer


def test_it_is_the_formula_of_the_file():
    rng = np.random.default_rng(0)
    scores, evidence = rng.normal(0, 5, (64, 7)), rng.normal(0, 3, (64, 7))
    for trust in (Trust(0.5, 0.2, 0.7, 2.0), Trust(3.0, 1e-3, 1.5, 0.8)):
        found = set_to(trust)(torch.tensor(scores), torch.tensor(evidence)).detach().numpy()
        np.testing.assert_allclose(found, combine(scores, evidence, trust), atol=1e-5)


def test_gradients_at_input_evidence_and_trust_are_those_of_one_graph(exact, images, read_by):
    frozen, entry = FrozenGraph(exact, fault_sites(exact)), ModelInput(UNIT, torch.device("cpu"))
    copies = [frozen.weights(read_by(exact, Chip(seed), BitErrors(0.05))) for seed in range(2)]
    y, x = torch.arange(16) % 3, images(16, 2, 4, 4).clone().requires_grad_()
    z = torch.randn(16, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    answer = set_to(Trust(0.5, 0.2, 0.7, 2.0))

    loss = nn.functional.cross_entropy(answer(frozen(entry(x), scores=True), z), y)
    for copy in copies:
        loss = loss + 1.5 * nn.functional.cross_entropy(answer(frozen(entry(x), copy, scores=True), z), y)
    wanted = torch.autograd.grad(loss, [x, z, *answer.parameters()])

    leaf = z.detach().requires_grad_()
    gradient, value = eopm_gradient(
        frozen, entry, x, y, copies, 3.0, 2, answer=lambda scores, part: answer(scores, leaf[part])
    )
    found = [gradient, leaf.grad, *(number.grad for number in answer.parameters())]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert abs(value - loss.item()) < 1e-4
    assert all(part.abs().max() > 1e-6 for part in found)
