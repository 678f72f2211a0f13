"""`nfkit inject`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import BASIC, Faults, Rate, Record
from nfkit.errors import OptionError


@dataclass(frozen=True)
class Target:
    """What is written, and of which chip."""

    TITLE: ClassVar[str] = BASIC
    output: options.Output
    chip: options.Chip = 50_000
    remove: Annotated[bool, typer.Option("--remove", help="Take injected faults out again.")] = False
    force: options.Force = False


@dataclass(frozen=True)
class Place:
    """Where in the graph the faults are, and in whose weights."""

    TITLE: ClassVar[str] = "Injection"
    mode: Annotated[
        str,
        typer.Option("--mode", metavar="node|input|baked", help="As nodes, as masks that can be fed, or in the codes."),
    ] = "node"
    biases: Annotated[bool, typer.Option("--biases", help="Fault biases and other constants as well.")] = False
    fault_generator: Annotated[
        bool, typer.Option("--fault-generator", help="Fault the generator of a fused file too.")
    ] = False


@grouped
def inject(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    *,
    target: Target,
    rate: Rate,
    place: Place,
    faults: Faults,
    record_file: Record,
) -> None:
    """Write a copy of a model with the bit errors of one chip in it, or take them out again."""
    from msgspec.structs import asdict

    from nfkit.cli import console
    from nfkit.faults import Chip
    from nfkit.graph.injection.inject import MODES, count_faults, count_inexact
    from nfkit.graph.injection.inject import inject as inject_faults
    from nfkit.graph.injection.inject import remove as remove_faults
    from nfkit.graph.injection.record import ORIGINAL_KEY
    from nfkit.graph.memory.coverage import coverage
    from nfkit.graph.memory.original import EQUALITY, save_as_it_was
    from nfkit.graph.memory.scales import odd_scales
    from nfkit.graph.memory.sites import fault_sites
    from nfkit.graph.memory.survey import Survey
    from nfkit.model import load, save
    from nfkit.reports.written import ChipVoltage, Injection
    from nfkit.workflows.inputs import find_strengths
    from nfkit.workflows.memory import Memory

    output, mode, chip, fault_generator = target.output, place.mode, target.chip, place.fault_generator
    console.check_outputs(
        record_file.json, {"-o": output}, models={"the model": model}, files={"the curve": faults.curve},
        force=target.force,
    )  # fmt: skip
    if mode not in MODES:
        raise OptionError(f"unknown mode {mode!r}: choose one of {', '.join(MODES)}")
    graph = load(model)
    notes: list[str] = []
    if target.remove:
        equal = save_as_it_was(graph.metadata_props.get(ORIGINAL_KEY), remove_faults(graph), output)
        done = f"faults removed; {EQUALITY[equal]}"
        record = Injection(output=str(output), equal=equal)
    else:
        memory = Memory(**faults.settings())
        layout, scale = memory.cells, memory.scale(graph)
        (strength, *_), _ = find_strengths(scale, **rate.settings())
        errors = strength.errors
        roles = ("weight", "bias", "constant") if place.biases else ("weight",)
        sites = fault_sites(graph, generator=fault_generator, roles=roles)  # type: ignore[arg-type]
        errors.check_sites([site.name for site in sites])
        device = Chip(chip, layout)
        result = inject_faults(graph, sites, device, errors, mode)  # type: ignore[arg-type]
        cells, bits = count_faults(graph, sites, device, errors)
        voltage = {} if strength.voltage is None else asdict(strength.voltage)
        survey = Survey(graph)
        covered = coverage(survey, [site.name for site in sites], generator=fault_generator)
        notes = [covered.sentence(), *map(str, odd_scales(survey))]
        inexact = count_inexact(graph, sites, errors)
        record = Injection(
            output=str(output), ber=strength.rate, chip=chip, kind=errors.kind, set_share=errors.set_share,
            protected_bits=errors.protected_bits, protected_sites=errors.protected_sites,
            protected_top=errors.protected_top, storage=errors.storage, ecc=errors.ecc,
            faulty_cells=cells, flipped_bits=bits,
            voltage=ChipVoltage(curve=scale.facts, flips=strength.flips, **voltage),
            coverage=covered.to_dict(), odd_scales=tuple(notes[1:]), inexact_codes=inexact or None,
        )  # fmt: skip
        done = f"chip {chip} at {strength.describe()}: {cells} faulty cells, {bits} flipped bits in {len(sites)} sites"
        if inexact:
            done += f"; {inexact} codes have no word in {faults.storage} and are held as the nearest one"
        if mode == "input":
            done += "; the file is fault-free until the masks are fed"
        save(result, output)
    console.write_record(record, record_file.json)
    if record_file.json != "-":
        print(f"{output}: {done}")
        for note in notes:
            print(note)
