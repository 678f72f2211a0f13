"""Records of version 1 in the form of version 2.

Version 1 kept means and spreads, but no sample's correctness, and joined rates, voltages and savings by their rates: so
does this module, and no other. Its voltages were looked up by rates as they stood, whatever they counted.
"""

from __future__ import annotations

from typing import Any


def evaluation(old: dict[str, Any]) -> dict[str, Any]:
    """`nfkit.evaluate/1`."""
    advice = old.get("advice")
    points = [_point(entry, old) for entry in old["summary"]]
    record = {
        "schema": "nfkit.evaluate/2",
        **{key: old[key] for key in ("model", "data", "faults", "level", "versions")},
        "clean": _clean(old["clean"], advice),
        "points": points,
    }
    if curve := old.get("voltage", {}).get("curve"):
        record["curve"] = curve
    energy = old.get("energy", {})
    if "error" in energy:
        record["warnings"] = [f"energy: {energy['error']}"]
    elif energy:
        record["energy"] = {key: energy[key] for key in ("generator", "preset", "array", "base", "added")}
    if advice:
        record["verdict"] = _verdict(advice, points)
    for key in ("latency", "command"):
        if key in old:
            record[key] = old[key]
    return record


def protection(old: dict[str, Any]) -> dict[str, Any]:
    """`nfkit.protect/1`."""
    measured = dict(old["evaluate"])
    if "advice" in old:
        measured["advice"] = old["advice"]
    record = {key: value for key, value in old.items() if key not in ("advice", "evaluate")}
    record |= {"schema": "nfkit.protect/2", "evaluate": evaluation(measured)}
    if "float_generator" in old:
        floating = old["float_generator"]
        record["float_generator"] = {"clean": floating["clean"], "protected": _spread(floating["protected"], 2)}
    return record


def precision(old: dict[str, Any]) -> dict[str, Any]:
    """`nfkit.evaluate-bits/1`."""
    sweep = []
    for clean in old["clean"]:
        bits = clean["bits"]
        of_bits = {
            "rows": [{k: v for k, v in row.items() if k != "bits"} for row in old["rows"] if row["bits"] == bits],
            "summary": [entry for entry in old["summary"] if entry["bits"] == bits],
        }
        sweep.append(
            {
                "bits": bits,
                "clean": _clean({k: v for k, v in clean.items() if k != "bits"}, None),
                "points": [_point(entry, of_bits) for entry in of_bits["summary"]],
            }
        )
    kept = ("model", "data", "faults", "level", "versions", "command")
    return {"schema": "nfkit.evaluate-bits/2", "sweep": sweep, **{key: old[key] for key in kept if key in old}}


def _point(entry: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    ber = entry["ber"]
    rows = [row for row in old["rows"] if row["ber"] == ber]
    point = {"ber": ber, "rows": rows}
    for part in ("base", "protected", "recovery"):
        if part in entry:
            point[part] = _spread(entry[part], len(rows), [row[part] for row in rows if part in row])
    volts: dict[str, Any] = next((p for p in old.get("voltage", {}).get("points", ()) if p["ber"] == ber), {})
    if "volts_over_vmin" in volts:
        point["voltage"] = {key: value for key, value in volts.items() if key != "ber"}
    saved = next((p for p in old.get("energy", {}).get("points", ()) if p["ber"] == ber), None)
    if saved is not None:
        point["saving"] = {"by_accesses": saved["saving_by_accesses"], "by_macs": saved["saving_by_macs"]}
    return point


def _spread(old: dict[str, Any], chips: int, values: list[float] | None = None) -> dict[str, Any]:
    """A spread; of a single chip version 1 stated an interval of no width, which is none."""
    spread: dict[str, Any] = {"mean": old["mean"]}
    if chips > 1:
        spread |= {"std": old["std"], "ci95": old["ci95"]}
    if values:
        spread["worst"] = min(values)
    return spread


def _clean(old: dict[str, Any], advice: dict[str, Any] | None) -> dict[str, Any]:
    clean: dict[str, Any] = {key: {"accuracy": value} for key, value in old.items()}
    if advice:
        clean["generator_alone"] = {"accuracy": advice["generator_alone"]}
        clean["alone_by"] = advice["measured_by"]
    return clean


def _verdict(advice: dict[str, Any], points: list[dict[str, Any]]) -> dict[str, Any]:
    """The advice of version 1, which knew of no bare base at another voltage: 3 points over both halves, by means."""
    rates = [point["ber"] for point in points]
    comparisons = [
        {
            "point": rates.index(rate["ber"]),
            "outcome": "ahead" if rate["ber"] in advice["recommended"] else "undecided",
            "accuracy": rate["protected"],
            "rivals": [
                {"rival": name, "kind": kind, "accuracy": accuracy, "ahead": {"mean": rate["protected"] - accuracy}}
                for name, kind, accuracy in (
                    ("the faulty base", "base", rate["base"]),
                    ("the generator alone", "alone", advice["generator_alone"]),
                )
            ],
        }
        for rate in advice["rates"]
    ]
    verdict = {
        "choice": "pair" if advice["recommended"] else "undecided",
        "sentence": advice["sentence"],
        "comparisons": comparisons,
        "unchecked": ["the bare base at a milder voltage, which version 1 did not weigh together with the halves"],
    }
    if advice["recommended"]:
        best = max(advice["rates"], key=lambda rate: float(rate["gain_over_both"]))
        verdict["point"] = rates.index(best["ber"])
    return verdict
