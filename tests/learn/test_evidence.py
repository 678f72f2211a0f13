"""A hint's own class scores, from torch through export, quantisation and fusing to what an evaluation reports."""

import numpy as np
import pytest
import torch
from torch import nn

from nfkit.access.runtime import Runner
from nfkit.data import Dataset
from nfkit.errors import ModelError
from nfkit.faults import BitErrors
from nfkit.graph.fusion.caution import read_caution, with_caution
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.split import evidence_model, split
from nfkit.learn.export import export_generator, transform
from nfkit.learn.probe import probe_accuracy
from nfkit.measure.evaluation import evaluate
from nfkit.model import to_bytes
from nfkit.models.generators import build


@pytest.fixture(scope="module")
def hint():
    """hint(channels, height, width, classes): a generator in evaluation mode that has seen images."""

    def make(channels, height, width, classes):
        torch.manual_seed(7)
        generator = build("hint-8", channels, (height, width), classes).train()
        nn.init.normal_(generator.pattern)
        with torch.no_grad():
            for _ in range(3):
                generator(torch.rand(8, channels, height, width) * 2 - 1)
        return generator.eval()

    return make


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize(("batch", "opset"), [("N", 18), (4, 13), ("N", 23)])
def test_fused_files_hold_the_evidence(zoo, hint, int8, batch, opset):
    generator = hint(1, 28, 28, 10)
    x = zoo.spec.normalise(zoo.spec.encode(zoo.test.x[:64]))
    calibration = x if int8 else None
    exported = export_generator(generator, (1, 28, 28), opset=opset, batch=batch, calibration=calibration)
    assert len(exported.graph.outputs) == 1
    if opset != zoo.model.opset_imports[""] or batch != zoo.spec.batch:
        scores = exported.clone()
        evidence = next(v for n in scores.graph for v in n.outputs if v.name == "evidence")
        scores.graph.outputs[:] = [evidence]
        feed = x
    else:
        fused = fuse(exported, zoo.model, zoo.spec, {})
        assert to_bytes(split(fused)[1]) == to_bytes(zoo.model)
        scores, feed = evidence_model(fused), zoo.spec.encode(zoo.test.x[:64])
    with torch.no_grad():
        expected = generator.explain(torch.from_numpy(x))[1].numpy()
    computed = Runner(scores, level="basic")(feed)
    # int8: each of some fifteen layers rounds to half a step in 255.
    tolerance = 0.15 * np.abs(expected).max() if int8 else 1e-4
    np.testing.assert_allclose(computed, expected, rtol=0, atol=tolerance)


def test_the_caution_can_be_changed_in_the_file(zoo, hint):
    generator = hint(1, 28, 28, 10)
    x = zoo.spec.normalise(zoo.spec.encode(zoo.test.x[:64]))
    exported = export_generator(generator, (1, 28, 28), opset=zoo.model.opset_imports[""], batch=zoo.spec.batch)
    fused = fuse(exported, zoo.model, zoo.spec, {"nfkit.results": "[]"})
    changed = with_caution(fused, 2.0)
    assert (read_caution(fused), read_caution(changed)) == (4.0, 2.0)
    prefix, base = split(changed)
    assert to_bytes(base) == to_bytes(zoo.model)
    assert "nfkit.results" not in changed.metadata_props
    before = transform(generator, x)
    generator.caution.fill_(2.0)
    after = transform(generator, x)
    assert np.abs(after - before).max() > 0.01
    restored = zoo.spec.normalise(Runner(prefix, level="basic")(zoo.spec.encode(zoo.test.x[:64])))
    np.testing.assert_allclose(restored, after, rtol=0, atol=1e-4)


def test_evaluation_reports_the_generator_alone(zoo, hint):
    generator = hint(1, 28, 28, 10)
    exported = export_generator(generator, (1, 28, 28), opset=zoo.model.opset_imports[""], batch=zoo.spec.batch)
    fused = fuse(exported, zoo.model, zoo.spec, {})
    data = zoo.test.take(60)
    first = evaluate(fused, data, zoo.spec, [BitErrors(0.01)], chips=[50_000, 50_001], level="basic")
    with torch.no_grad():
        scores = generator.explain(torch.from_numpy(zoo.spec.normalise(zoo.spec.encode(data.x))))[1]
    assert first.alone == pytest.approx(float((scores.argmax(1).numpy() == data.y).mean()))
    assert first.clean.generator_alone.accuracy == first.alone
    # What is known of the base is taken over: a wrong number would come back.
    again = evaluate(fused, data, zoo.spec, [BitErrors(0.01)], chips=[50_000, 50_001], level="basic", known=first)
    assert again.rows == first.rows


def test_generators_without_evidence_have_none(zoo):
    torch.manual_seed(0)
    exported = export_generator(build("unet-s", 1).eval(), (1, 28, 28), opset=zoo.model.opset_imports[""], batch="N")
    fused = fuse(exported, zoo.model, zoo.spec, {})
    assert evidence_model(fused) is None
    with pytest.raises(ModelError, match="nothing to split"):
        evidence_model(zoo.model)


def test_a_probe_reads_what_the_bottleneck_holds(zoo):
    """Bright and dark images are apart in the features of any encoder; shuffled labels are not."""
    random = np.random.default_rng(3)
    y = np.arange(300) % 2
    x = (random.integers(0, 60, (300, 28, 28)) + 150 * y[:, None, None]).astype(np.uint8)
    x = x[..., None]
    data = Dataset("bright", x, y)
    torch.manual_seed(1)
    generator = build("conv-s", 1).eval()
    train, test = data.take(200), Dataset("rest", x[200:], y[200:])
    assert probe_accuracy(generator, zoo.spec, train, test, 2) == 1.0
    wrong = Dataset("shuffled", x[200:], random.permutation(y[200:]))
    assert 0.3 < probe_accuracy(generator, zoo.spec, train, wrong, 2) < 0.7
    assert probe_accuracy(build("pattern", 1, (28, 28)), zoo.spec, train, test, 2) is None


@pytest.mark.parametrize("size", [(1, 7), (49, 10), (96, 64)])
@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (4, 100)])
def test_gradients_reach_encoder_and_patterns(size, channels, classes):
    torch.manual_seed(2)
    generator = build("hint-8", channels, size, classes)
    nn.init.normal_(generator.pattern)
    x = torch.rand(6, channels, *size)
    residual, evidence = generator.explain(x.contiguous(memory_format=torch.channels_last))
    assert residual.shape == x.shape
    assert evidence.shape == (6, classes)
    (residual.square().sum() + evidence.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in generator.parameters())
