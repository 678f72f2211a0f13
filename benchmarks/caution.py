"""The caution of a trained hint as a dial: the same file with other values of that one number.

python benchmarks/caution.py MODEL.nf.onnx --data TEST.npz [--ber 0.002 --ber 0.01] [--json FILE]

A small caution lets the generator decide, a large one the base. All values are shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import speed

import nfkit
from nfkit.graph.fusion.caution import read_caution, with_caution
from nfkit.measure.evaluation import evaluate

VALUES = (2.0, 3.0, 4.0, 6.0, 12.0)
RATES = (0.001, 0.002, 0.005, 0.01)


def main() -> None:
    """Measures the file as it is, and with every other value."""
    parser = speed.arguments(__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--ber", type=float, action="append")
    options = parser.parse_args()
    fused, data = nfkit.load_model(options.model), nfkit.load_data(options.data, "test")
    data = data.take(64) if options.quick else data
    spec, errors = nfkit.find_input(fused), [nfkit.BitErrors(rate) for rate in options.ber or RATES]
    trained = read_caution(fused)
    known, rows = None, []
    for value in sorted({trained, *VALUES}):
        known = evaluate(with_caution(fused, value), data, spec, errors, known=known)
        row: dict[str, Any] = {"caution": f"{value:g}{' (as trained)' if value == trained else ''}"}
        row |= {"CA": 100 * known.clean_base, "CA (NF)": 100 * (known.clean_protected or 0.0)}
        row["alone"] = 100 * (known.alone or 0.0)
        for point in known.points():
            percent = f"{100 * point.ber:g} %"
            row |= {f"base, {percent}": 100 * point.base.mean}
            if point.protected is not None:
                row |= {f"pair, {percent}": 100 * point.protected.mean}
        rows.append(row)
    setting = {"model": options.model.name, "chips": 10, "samples": len(data), "kind": "stuck", "layout": "iid"}
    speed.report("caution", setting, rows, options.json)


if __name__ == "__main__":
    main()
