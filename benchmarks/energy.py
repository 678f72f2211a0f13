"""Writes the tables of docs/energy.md from the records of `nfkit energy --json`.

python benchmarks/energy.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- savings -->", "<!-- end of savings -->"


def main() -> None:
    """Replaces what stands between the two marks."""
    page = DOCS / "energy.md"
    records = [json.loads(path.read_text()) for path in sorted((DOCS / "results").glob("energy_*.json"))]
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    lines = [BEGIN]
    for preset in ("true", "paper"):
        chosen = [record for record in records if record["preset"] == preset]
        lines += ["", *_table(chosen), "", *[f"    {record['command']}" for record in chosen]]
    page.write_text("\n".join([before.rstrip("\n"), "", *lines, "", END]) + after)


def _table(records: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| base | its accesses | generator | its accesses | of the base's | saved at 1 % | by MACs | pays below |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        for entry in record["generators"]:
            even = entry["break_even"]
            lines.append(
                f"| {record['model'].removesuffix('.onnx')} | {record['base']['accesses']:,.10g} "
                f"| {entry['generator']} | {entry['accesses']:,.10g} | {100 * entry['overhead']:.1f} % "
                f"| **{100 * entry['saving_by_accesses']:.1f} %** | {100 * entry['saving_by_macs']:.1f} % "
                f"| {_break_even(even) if even else 'never'} |"
            )
    return lines


def _break_even(even: dict[str, Any]) -> str:
    rate = even["bit_error_rate"]
    return f"{even['volts_over_vmin']:.3f} Vmin" + (f", {100 * rate:.2g} %" if rate is not None else "")


if __name__ == "__main__":
    main()
