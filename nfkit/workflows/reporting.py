"""`nfkit.report`: records, and models on single samples, as one HTML file that anyone can open."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Union

import msgspec

from nfkit.campaigns.kept_plans import commands_again
from nfkit.campaigns.results import read_campaign
from nfkit.campaigns.store import MeasurementStore, is_store
from nfkit.errors import DataError, OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, Chip
from nfkit.measure.single_samples import look
from nfkit.outputs import write_atomically
from nfkit.reports.comparison import over_energy
from nfkit.reports.document.samples import section_of_looks
from nfkit.reports.document.sections import Section, flat_facts, section_of
from nfkit.reports.document.writing import render
from nfkit.reports.provenance import Provenance
from nfkit.reports.reading import read
from nfkit.reports.rendering import Readable
from nfkit.workflows import inputs
from nfkit.workflows.inputs import DataLike
from nfkit.workflows.intake import data_for_measuring

Source = Union[str, "os.PathLike[str]", Readable]
"""What a report is made of: a record, the JSON file or the folder of a campaign that holds one, or a model."""

DEFAULT_SAMPLES = 300


def report(
    sources: Source | Sequence[Source],
    output: str | os.PathLike[str],
    *,
    data: DataLike | None = None,
    ber: float = 0.01,
    kind: str = "stuck",
    chip: int = EVALUATION_CHIPS[0],
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    input_layout: str | None = None,
    value_range: tuple[float, float] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    command: str = "",
) -> Path:
    """Writes one HTML file: verdicts, pictures, tables, and what the numbers depend on.

        nfkit.report(nfkit.evaluate("model.nf.onnx", "test.npz", ber=[0.01, 0.005]), "report.html")

    Args:
        sources: Records, JSON files that hold them, folders of campaigns, or ONNX files, run on single samples.
        output: The file; it is replaced.
        data: Samples for the ONNX files; by default looked for beside each.
        ber: Bit error rate for them.
        kind: What a faulty cell does.
        chip: Seed of the chip that has the errors.
        samples: How many samples to run, the first of the data.
        seed: Seed of the map of scores.
        input_layout: Layout of the models' input, if it cannot be told.
        value_range: Valid range of it.
        mean: Mean that images in [0, 1] were normalised with.
        std: Standard deviation to go with it.
        on_stage: Called with a sentence about data that was found.
        command: How to make it again, for its foot.

    Returns:
        The file. It needs no network and no script, and has 2 MB at most.

    Raises:
        DataError: When a file is no whole record, or samples do not fit.
        ModelError: When a model cannot be read or run.
        OptionError: When there is nothing to report, a library is missing, or the file would be too large.
        OutputError: When it cannot be written.
    """
    given = [sources] if isinstance(sources, (str, os.PathLike, Readable)) else list(sources)
    if not given:
        raise OptionError("nothing to report: give records, or files that nfkit wrote with --json")
    sections: list[Section] = []
    seen: list[Section] = []
    records: list[tuple[str, Readable]] = []

    def add(name: str, record: Readable, again: Sequence[str] = ()) -> None:
        records.append((name, record))
        sections.append(section_of(record, name, again))

    for source in given:
        if isinstance(source, Readable):
            add(_name(source), source)
            continue
        path = inputs.as_path(source, "a record")
        if path.is_dir():
            add(path.resolve().name, _campaign_in(path), commands_again(path))
        elif path.suffix == ".onnx":
            form = {"input_layout": input_layout, "value_range": value_range, "mean": mean, "std": std}
            errors = BitErrors(ber, kind)
            seen.append(_looked_at(path, data, form, errors, Chip(chip), samples, seed, on_stage))
        else:
            add(path.name, read(path))
    sections += seen  # what was measured on many chips says more than single samples on one
    title = f"nfkit report: {sections[0].name}" if len(sections) == 1 else "nfkit report"
    return write_atomically(output, render(sections, title=title, made=command, comparison=over_energy(records)))


def _looked_at(
    path: Path,
    data: DataLike | None,
    form: dict[str, Any],
    errors: BitErrors,
    chip: Chip,
    samples: int,
    seed: int,
    on_stage: Callable[[str], None],
) -> Section:
    """The section of a model that is run on single samples."""
    model = inputs.find_model(path)
    spec = inputs.find_spec(model, **form)
    taken = data_for_measuring(model, path, data, spec, samples=samples)
    for sentence in taken.sentences:
        on_stage(sentence)
    seen = look(model, taken.test, taken.spec, errors, chip, name=path.name, seed=seed)
    facts = msgspec.to_builtins(Provenance.of(path, model, taken.test))
    settings = {"errors": repr(errors), "chip": chip.seed, "seed of the map": seed}
    return section_of_looks(seen, (("model, data and versions", flat_facts(facts)), ("settings", flat_facts(settings))))


def _campaign_in(folder: Path) -> Readable:
    """What the campaign in a folder has come to so far."""
    if not is_store(folder):
        raise DataError(f"'{folder}' is a folder: give the record in it, such as front.json of a search")
    with MeasurementStore(folder) as store:
        return read_campaign(store)


def _name(record: Readable) -> str:
    """What a record that has no file is called: by the model that it is of."""
    measured = getattr(record, "evaluation", record)
    model = getattr(measured, "model", None)
    return Path(str(getattr(model, "path", model) or type(record).__name__.lower())).name
