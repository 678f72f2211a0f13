"""Published curves again: accuracy against bit error rate, by layout, from the record of a campaign.

python benchmarks/curves.py --plan > plan.toml
nfkit campaign plan.toml -o store && nfkit campaign status store --json docs/results/curves_resnet18.json
python benchmarks/curves.py        writes docs/curves.md's table and its picture from that record
"""

from __future__ import annotations

import argparse
import io
import re

import speed

from nfkit.pictures.charts import Axis, Chart, Line, Mark, Role, Series
from nfkit.pictures.plotted import plot
from nfkit.reports.campaign import Campaign, CellResult
from nfkit.reports.reading import read_as

RECORD = speed.DOCS / "results" / "curves_resnet18.json"
BEGIN, END = "<!-- curves -->", "<!-- end of curves -->"
PLAN = """models = ["resnet18.onnx"]
data = ["test.npz"]
remedies = ["bare", "neuralfuse:resnet18_published.nf.onnx", "neuralfuse:resnet18.nf.onnx"]
kinds = ["stuck", "flip"]
layouts = ["iid", "reference", "cluster"]
rates = ["0.2%", "0.5%", "1%", "1.5%", "2%"]
chips = 20
samples = 500
"""
REMEDIES = {
    "bare": "base",
    "neuralfuse:resnet18_published.nf.onnx": "published form",
    "neuralfuse:resnet18.nf.onnx": "both ends",
}
LAYOUTS = {"iid": "independent", "reference": "reference map", "cluster": "clustered"}
DRAWN: dict[tuple[str, str], Role] = {
    ("base", "independent"): "base", ("base", "reference map"): "alone", ("base", "clustered"): "milder",
    ("published form", "reference map"): "other", ("both ends", "reference map"): "protected",
}  # fmt: skip


def main() -> None:
    """Prints the plan, or writes table and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", action="store_true", help="print the campaign's plan")
    if parser.parse_args().plan:
        print(PLAN, end="")
        return
    record = read_as(RECORD, Campaign)
    page = speed.DOCS / "curves.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + "\n".join([BEGIN, "", *table(record), "", END]) + rest.partition(END)[2])
    (speed.DOCS / "results" / "curves.svg").write_text(picture(record))


def table(record: Campaign) -> list[str]:
    """Accuracies as Markdown: a row a kind, remedy and layout, a column a rate."""
    found = {(*names(result), result.cell.kind, result.cell.rate): result for result in record.cells}
    rates = sorted({result.cell.rate for result in record.cells})
    lines = ["| errors | | layout | " + " | ".join(f"{100 * rate:g} %" for rate in rates) + " | worst chip at 1 % |"]
    lines += ["|---|---|---|" + "---|" * (len(rates) + 1)]
    for kind in ("stuck", "flip"):
        for remedy in REMEDIES.values():
            for layout in LAYOUTS.values():
                row = [found[remedy, layout, kind, rate] for rate in rates if (remedy, layout, kind, rate) in found]
                if row:
                    worst = found[remedy, layout, kind, 0.01].accuracy
                    assert worst is not None
                    assert worst.worst is not None
                    cells = [said(result) for result in row]
                    lines.append(f"| {kind} | {remedy} | {layout} | {' | '.join(cells)} | {100 * worst.worst:.1f} |")
    return lines


def said(result: CellResult) -> str:
    """Accuracy, its spread over chips and its interval, in percent."""
    figure = result.accuracy
    assert figure is not None
    assert figure.ci95 is not None
    low, high = figure.ci95
    return f"{figure.percent()} ({100 * low:.1f} to {100 * high:.1f})"


def names(result: CellResult) -> tuple[str, str]:
    """What a cell's remedy and layout are called on the page."""
    return REMEDIES[result.cell.remedy], LAYOUTS[result.cell.layout.partition(":")[0]]


def picture(record: Campaign) -> str:
    """Accuracy over rate for stuck cells, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "nfkit"  # the same record gives the same bytes
    series = []
    for (remedy, layout), role in DRAWN.items():
        cells = [r for r in record.cells if names(r) == (remedy, layout) and r.cell.kind == "stuck"]
        marks = [
            Mark(100 * r.cell.rate, 100 * r.accuracy.mean, *(100 * end for end in r.accuracy.ci95))
            for r in sorted(cells, key=lambda r: r.cell.rate)
            if r.accuracy is not None and r.accuracy.ci95 is not None
        ]
        if marks:
            series.append(Series(f"{remedy}, {layout}", tuple(marks), role))
    clean = next(r.clean for r in record.cells if r.cell.remedy == "bare")
    chart = Chart(
        "Accuracy of a ResNet-18 over bit error rate", "", Axis("bit error rate (%), stuck cells", low=0.0),
        Axis("accuracy (%)", low=0.0, high=100.0), tuple(series), (Line("base without errors", 100 * clean, "clean"),),
    )  # fmt: skip
    figure = plot(chart).get_figure()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return re.sub(r"[ \t]+\n", "\n", text.getvalue())


if __name__ == "__main__":
    main()
