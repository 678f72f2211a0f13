"""`chip.js` draws the cells of `nfkit.faults`, bit for bit, in a real browser."""

from importlib.resources import files

import ml_dtypes
import msgspec
import numpy as np
import onnx_ir as ir
import pytest

from nfkit.faults import BitErrors, Chip
from nfkit.faults.weakness import prefers_one, time_of, weakest_cells
from nfkit.graph.memory.sites import WeightSite
from nfkit.pages.contents import Site, Stop

CHIPS = (0, 50_000, 50_001, 2**32 + 5, 2**53 - 1)


@pytest.fixture(scope="module")
def script(chromium):
    """A blank page with nothing but `chip.js` in it."""
    text = files("nfkit.pages").joinpath("chip.js").read_text(encoding="utf-8")
    page = chromium.new_page()
    page.set_content(f'<script type="module">{text}; window.chip = {{ Memory, read }};</script>')
    yield page
    page.close()


DRAW = """([seed, name, cells, taus, share]) => {
    const memory = new chip.Memory(seed, name, cells);
    return taus.map((tau) => {
        const drawn = Array.from(memory.weakest(tau));
        return [drawn.join(" "), drawn.map((cell) => memory.prefersOne(cell, share) ? "1" : "0").join(" ")];
    });  // as text, which the browser hands over much faster than arrays
}"""


@pytest.mark.parametrize("seed", [*CHIPS, 2**64 - 1])
@pytest.mark.parametrize(("name", "cells"), [("w", 1), ("layer1/conv é 層", 5_000), ("a" * 200, 2**22 + 3)])
def test_cells_and_their_sides(script, seed, name, cells):
    # Upwards and downwards: what was drawn for one rate is used again for another.
    rates = [1e-7, 3e-4, 0.0078, 0.02, 0.001, 0.0] if cells > 10_000 else [0.02, 0.5, 1e-3, 0.3]
    drawn = script.evaluate(DRAW, [str(seed), name, cells, [time_of(rate) for rate in rates], 0.3])
    for rate, (found, ones) in zip(rates, drawn, strict=True):
        expected = weakest_cells(seed, name, cells, rate)
        assert found.split() == [str(cell) for cell in expected.tolist()]
        assert ones.split() == ["1" if one else "0" for one in prefers_one(seed, name, expected, 0.3)]


READ = """([seed, site, stored, errors, taus]) => {
    const memory = new chip.Memory(seed, site.name, site.codes * site.bits);
    const { codes, flipped } = chip.read(memory, site, Uint8Array.from(stored), errors, taus);
    return [Array.from(codes), flipped];
}"""

ERRORS = [
    BitErrors(0.05),
    BitErrors(0.3, set_share=0.2),
    BitErrors(0.04, set_share=1.0),
    BitErrors(0.2, "flip"),
    BitErrors(0.1, "asymmetric", 0.3),
    BitErrors(0.1, "asymmetric", 0.0),
    BitErrors(0.2, "flip", protected_top=2),
    BitErrors(0.2, protected_bits=(0, 2)),
    BitErrors(0.2, protected_sites=("w*",)),
]

FORMS = [("int8", 8), ("uint8", 8), ("int8", 5), ("uint8", 5), ("int16", 16), ("int16", 12), ("int4", 4), ("uint4", 4)]


@pytest.mark.parametrize("errors", ERRORS, ids=repr)
@pytest.mark.parametrize(("dtype", "bits"), FORMS)
def test_what_comes_back(script, errors, dtype, bits):
    random = np.random.default_rng(bits)
    low, high = (0, 2**bits) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    numpy_type = getattr(ml_dtypes, dtype, None) or np.dtype(dtype)
    stored = random.integers(low, high, 501).astype(numpy_type)  # odd: the last byte of a packed type is half full
    kind = ir.DataType[dtype.upper()]
    site = WeightSite("w", "weight", bits, stored.shape, dtype, None, None, None, (), "base")
    as_bytes = ir.tensor(stored, dtype=kind).tobytes()
    described = msgspec.to_builtins(Site.of(site, len(as_bytes), errors))
    stop = Stop.of(errors, None, None, None)
    settings = {"kind": errors.kind, "set_share": errors.set_share}
    for seed in CHIPS[:2]:
        got, flipped = script.evaluate(READ, [str(seed), described, list(as_bytes), settings, stop.taus])
        expected = Chip(seed).faults(site, errors).read(stored)
        assert bytes(got) == ir.tensor(expected.codes, dtype=kind).tobytes()
        assert flipped == expected.flipped
        assert (flipped == 0) == bool(errors.protected_sites)
