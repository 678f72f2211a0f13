"""The answer of both ends against each end by itself, over bit error rates, kinds of fault and layouts.

    python benchmarks/both_ends.py model.nf.onnx test.npz --json both_ends_model.json

Trust is fitted anew for every row, as `nfkit plan` does for every voltage: on one half of the images and on chips that
choose, and measured on the other half and on chips that confirm; then the halves change places, so that every image is
measured, and none by a fit that has seen it. The base runs for every image: early answers are a matter of energy.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec
import numpy as np

import nfkit
from nfkit.access.runtime import Runner
from nfkit.faults import BitErrors
from nfkit.graph.fusion.dial import answer_of
from nfkit.graph.fusion.split import evidence_model, split
from nfkit.graph.fusion.trust import combine
from nfkit.measure.faulty_scores import faulty_scores
from nfkit.measure.statistics import accuracy_spread, difference_spread, share
from nfkit.measure.trust import fit_trust
from nfkit.model import sha256
from nfkit.plans.halves import CHOOSING_CHIPS, CONFIRMING_CHIPS
from nfkit.reports.provenance import versions
from nfkit.workflows import inputs

FAULTS = (("stuck", "iid"), ("flip", "iid"), ("stuck", "reference"))


def main() -> None:
    """Fits, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("data")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--chips", type=int, default=10)
    parser.add_argument("--fitting-chips", type=int, default=6)
    parser.add_argument("--ber", default="0.0002,0.001,0.002,0.005,0.01,0.02")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    fused = nfkit.load_model(given.file)
    data = nfkit.load_data(given.data, "test").take(given.samples)
    base, evidence_part, form = split(fused)[1], evidence_model(fused), answer_of(fused).form
    assert evidence_part is not None, "this file has no evidence: it was made with --answer base"
    x = inputs.find_spec(fused).encode(data.x)
    evidence = Runner(evidence_part)(x)
    halves = np.arange(len(data)) % 2 == 0
    rows = []
    alone = (evidence.argmax(1) == data.y)[None]

    alone_share = msgspec.to_builtins(share(alone[0]))
    alone_share.pop("correct", None)

    def scores(errors: BitErrors, chips, layout):
        return faulty_scores(base, form, x, errors, chips, layout=inputs.find_layout(layout))

    def row(kind: str, layout: str, rate: float) -> dict:
        errors = BitErrors(rate, kind)
        choosing = scores(errors, CHOOSING_CHIPS[: given.fitting_chips], layout)
        confirming = scores(errors, CONFIRMING_CHIPS[: given.chips], layout)
        right = np.empty(confirming.shape[:2], bool)
        trusts = []
        for half in (halves, ~halves):
            fit = fit_trust(choosing[:, half], evidence[half], data.y[half])
            right[:, ~half] = combine(confirming[:, ~half], evidence[~half], fit.trust).argmax(-1) == data.y[~half]
            trusts.append(fit.trust.to_dict())
        bare = confirming.argmax(-1) == data.y
        best = bare if bare.mean() >= alone.mean() else np.broadcast_to(alone, bare.shape)
        measured = {
            "base": accuracy_spread(bare), "both": accuracy_spread(right), "over_best": difference_spread(right, best),
        }  # fmt: skip
        return {"kind": kind, "layout": layout, "ber": rate, **msgspec.to_builtins(measured), "trust": trusts}

    wanted = [("stuck", "iid", 0.0)]
    wanted += [(kind, layout, float(rate)) for kind, layout in FAULTS for rate in given.ber.split(",")]
    for kind, layout, rate in wanted:
        rows.append(row(kind, layout, rate))
        means = [100 * rows[-1][name]["mean"] for name in ("base", "both", "over_best")]
        base_is, both_are, gain = means
        where = f"{kind}, {layout}, {100 * rate:g} %"
        print(f"{where}: base {base_is:.1f}, both {both_are:.1f}, over the best {gain:+.2f}", flush=True)
    record = {
        "schema": "nfkit.speed/1", "benchmark": "both_ends",
        "command": f"python benchmarks/both_ends.py {given.file.name} {Path(given.data).name} "
        f"--samples {given.samples} --chips {given.chips} --fitting-chips {given.fitting_chips}",
        "model": {"path": given.file.name, "sha256": sha256(given.file)},
        "data": {"name": data.name, "sha256": data.sha256, "samples": len(data)},
        "generator_alone": alone_share, "rows": rows, "versions": versions(),
    }  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
