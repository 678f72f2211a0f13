"""What a protected model has to beat besides its halves: the bare base at a milder voltage, without a generator.

A lower voltage saves more and errs more; a generator takes back some of the errors and some of the saving. Where the
base alone, run at fewer errors, both saves and scores as much, the generator is not worth its reads.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Milder:
    """A protected model at one bit error rate, and a bare base at another that saves and scores as much.

    Attributes:
        ber: Bit error rate of the protected model.
        accuracy: Its mean accuracy over chips.
        saving: Share of the weight memory's energy that it saves, by accesses, its generator paid for.
        bare_ber: Bit error rate of the bare base.
        bare_accuracy: Its mean accuracy over the same chips.
        bare_saving: Share that its voltage saves.
    """

    ber: float
    accuracy: float
    saving: float
    bare_ber: float
    bare_accuracy: float
    bare_saving: float


def find_milder(measured: dict[str, Any]) -> list[Milder] | None:
    """Finds, for each measured rate, the most accurate bare base that saves and scores as much as the pair.

    Args:
        measured: A record `nfkit.evaluate/1` with `voltage` and, for a protected model, `energy`, as
            `Strengths.to_record` gives them.

    Returns:
        An entry for every rate at which there is one; None where voltage, energy or the pair is not known.
    """
    energy = {p["ber"]: p["saving_by_accesses"] for p in measured.get("energy", {}).get("points", ())}
    voltage = {
        p["ber"]: 1 - p["energy_per_access"]
        for p in measured.get("voltage", {}).get("points", ())
        if p.get("energy_per_access") is not None
    }
    summary = [entry for entry in measured["summary"] if entry["ber"] in energy and entry["ber"] in voltage]
    if not summary or "protected" not in measured["clean"]:
        return None
    bare = [(entry["base"]["mean"], voltage[entry["ber"]], entry["ber"]) for entry in summary]
    found = []
    for entry in sorted(summary, key=lambda entry: float(entry["ber"])):
        pair, saving = entry["protected"]["mean"], energy[entry["ber"]]
        as_good = [rival for rival in bare if rival[0] >= pair and rival[1] >= saving]
        if as_good:
            accuracy, saved, rate = max(as_good)
            found.append(Milder(entry["ber"], pair, saving, rate, accuracy, saved))
    return found


def describe_milder(found: list[Milder]) -> str:
    """The finding in a sentence."""
    if not found:
        return "at no measured rate does the bare base save and score as much as the pair at another"
    best = max(found, key=lambda m: m.accuracy + m.saving)
    rates = ", ".join(f"{100 * m.ber:.3g} %" for m in found)
    return (
        f"against the bare base at a milder voltage the pair loses at {rates}: at {100 * best.bare_ber:.3g} % the "
        f"bare base scores {100 * best.bare_accuracy:.1f} % and saves {100 * best.bare_saving:.1f} %, the pair at "
        f"{100 * best.ber:.3g} % scores {100 * best.accuracy:.1f} % and saves {100 * best.saving:.1f} %; a smaller "
        "generator may pay (nfkit search)"
    )


def milder_record(measured: dict[str, Any]) -> dict[str, Any]:
    """What a record says of it: `milder_voltage`, or nothing where it is not known."""
    found = find_milder(measured)
    if found is None:
        return {}
    return {"milder_voltage": {"sentence": describe_milder(found), "rates": [asdict(m) for m in found]}}
