"""Models held against every target, for docs/targets.md.

    python benchmarks/targets.py --samples 1000 MODEL=DATA ...    prints a line of the table for each model
    python benchmarks/targets.py --forms MODEL=DATA ...           and for each form that protect gives it (needs torch)

The forms hold a generator that was not trained: whether runtimes compute the same does not depend on that, and of the
accuracies only their difference means anything.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx_ir as ir

import nfkit
from nfkit.access.runtime import Runner
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.split import evidence_model
from nfkit.graph.fusion.trust import Trust
from nfkit.measure.early import sureness
from nfkit.model import load
from nfkit.reports.shipping import Checked
from nfkit.workflows import inputs

TARGETS = ("onnxruntime", "ort-format", "onnxruntime-web", "openvino", "tract", "reference")
SLOW = {"reference": 100}
"""Samples that a slow target is given at most."""
SIGNS = {"opset": "v", "softmax": "s", "batch": "b", "branch": "f"}
"""What had to change, by a letter."""


def cell(checked: Checked) -> str:
    """A target's entry: share of equal answers, accuracy against ONNX Runtime's, and what had to change."""
    if checked.refused:
        return "refused"
    if checked.failure:
        return "fails"
    changes = "".join(sorted(SIGNS[finding.kind] for finding in checked.findings))
    if checked.parity is None:
        return f"not run {changes}".strip()
    text = f"{100 * checked.parity.equal / checked.parity.samples:.1f}"
    if checked.parity.here is not None and checked.parity.there is not None:
        text += f" ({100 * (checked.parity.there - checked.parity.here):+.1f})"
    return f"{text} {changes}".strip()


def forms(base: ir.Model, data: nfkit.Dataset) -> dict[str, ir.Model]:
    """A base behind an untrained generator: by itself, with answers of both ends, and with half of them early."""
    import torch

    from nfkit.learn.export import export_generator
    from nfkit.models.generators import build

    spec = inputs.find_spec(base)
    x = spec.encode(data.take(256).x)
    scores = Runner(base)(x)
    form = find_form(base, scores)
    torch.manual_seed(0)
    generator = build("hint-16", spec.image_shape[0], spec.image_shape[1:], form.classes)
    made = export_generator(
        generator, spec.image_shape, opset=base.opset_imports[""], batch=spec.batch, calibration=spec.normalise(x)
    )
    both = fuse(made, base, spec, {}, Answer(form, Trust()))
    evidence = evidence_model(both)
    assert evidence is not None
    # Within the widest gap near the median: how a runtime rounds must not decide who is sure.
    sure = np.sort(sureness(Runner(evidence)(x), Trust()))[len(x) // 3 : 2 * len(x) // 3]
    widest = int(np.diff(sure).argmax())
    half = float(sure[widest : widest + 2].mean())
    return {
        "prefix": fuse(made, base, spec, {}),
        "both ends": both,
        "early": fuse(made, base, spec, {}, Answer(form, Trust(), half)),
    }


def main() -> None:
    """Checks every model on every target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--forms", action="store_true")
    parser.add_argument("models", nargs="+", metavar="MODEL=DATA")
    options = parser.parse_args()
    print(f"| file | {' | '.join(TARGETS)} |\n|---|{'---|' * len(TARGETS)}", flush=True)
    for text in options.models:
        path, _, source = text.partition("=")
        base = load(path)
        data = inputs.find_data(source, "test", inputs.find_spec(base))
        for form, model in {"": base, **(forms(base, data) if options.forms else {})}.items():
            cells = []
            for name in TARGETS:
                samples = min(options.samples, SLOW.get(name, options.samples))
                (checked,) = nfkit.check(model, [name], data, samples=samples).checked
                cells.append(cell(checked))
            print(f"| {f'{Path(path).name}, {form}'.removesuffix(', ')} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
