"""What remedies do to faults, graph and energy, and what they need."""

from dataclasses import dataclass, replace
from itertools import zip_longest

import pytest

import nfkit
from nfkit.energy import SystolicArray, compare, count, count_fused, load_curve
from nfkit.errors import ModelError, OptionError
from nfkit.faults import BitErrors
from nfkit.graph.fusion.fuse import fuse
from nfkit.model import save
from nfkit.remedies.bare import Bare
from nfkit.remedies.base import Combined, Remedy
from nfkit.remedies.ecc import Ecc
from nfkit.remedies.hardware import ABILITIES, Hardware
from nfkit.remedies.mixed_voltage import MixedVoltage
from nfkit.remedies.registry import REMEDIES, parse_remedy
from nfkit.remedies.robust_bits import RobustBits
from nfkit.remedies.storage import Storage
from nfkit.remedies.trained import NeuralFuse

CURVE = load_curve("stutz-2021")
POINT = CURVE.at_rate(0.01)
PLAIN = BitErrors(0.01)


@pytest.fixture(scope="module")
def fused(residual_generator, zoo):
    return fuse(residual_generator(1, 28, 28), zoo.model, zoo.spec, {})


@pytest.mark.parametrize(
    ("text", "errors", "needs"),
    [
        ("bare", PLAIN, {"voltage"}),
        ("robust-bits:2", BitErrors(0.01, protected_top=2), {"voltage", "robust-cells"}),
        ("storage:gray", BitErrors(0.01, storage="gray"), {"voltage", "storage-decoder"}),
        ("storage:offset-binary", BitErrors(0.01, storage="offset-binary"), {"voltage"}),
        ("ecc:secded-32-zero", BitErrors(0.01, ecc="secded-32-zero"), {"voltage", "error-correction"}),
        ("mixed-voltage:a,b[0]", BitErrors(0.01, protected_sites=("a", "b[[]0]")), {"voltage", "site-voltage"}),
        (
            "storage:sign-magnitude+robust-bits:1+ecc:secded-64",
            BitErrors(0.01, protected_top=1, storage="sign-magnitude", ecc="secded-64"),
            {"voltage", "storage-decoder", "robust-cells", "error-correction"},
        ),
    ],
)
def test_errors_and_needs_by_name(text, errors, needs):
    remedy = parse_remedy(text)
    assert remedy.errors(PLAIN) == errors
    assert remedy.needs == needs
    assert remedy.name == str(remedy) == text
    assert parse_remedy(remedy.name).errors(PLAIN) == errors
    assert remedy.to_dict() == {"name": text, "sentence": remedy.sentence, "needs": sorted(needs)}
    assert remedy.sentence
    assert not remedy.sentence.endswith(".")


def test_mixed_voltage_means_sites_by_name():
    errors = MixedVoltage(("w[0]*",)).errors(PLAIN)
    assert [errors.protects(name) for name in ("w[0]*", "w0", "w[0]b")] == [True, False, False]


def test_remedies_leave_what_others_did():
    before = BitErrors(0.01, protected_top=3, protected_sites=("head",), protected_bits=(0,))
    assert RobustBits(2).errors(before).protected_top == 3
    assert MixedVoltage(("head", "w")).errors(before).protected_sites == ("head", "w")
    assert Storage("gray").errors(before).protected_bits == (0,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("magic", "unknown remedy 'magic': choose from bare, robust-bits, storage, ecc, mixed-voltage, neuralfuse"),
        ("robust-bits", "robust bits '': give a number, such as robust-bits:2"),
        ("robust-bits:0", "give how many top bits are robust, from 1 on"),
        ("storage:bcd", "unknown storage code 'bcd'"),
        ("ecc:none", "unknown ECC 'none': choose one of secded-32"),
        ("mixed-voltage:", "give the weight sites"),
    ],
)
def test_what_is_no_remedy_is_refused(text, words):
    with pytest.raises(OptionError, match=words):
        parse_remedy(text)


def test_a_plus_in_a_name_is_no_second_remedy():
    assert parse_remedy("mixed-voltage:a+b,c").errors(PLAIN).protected_sites == ("a+b", "c")


def test_nothing_to_combine():
    with pytest.raises(OptionError, match="nothing to combine"):
        Combined([])


def test_every_remedy_is_registered_under_its_name():
    for remedy in (Bare(), RobustBits(1), Storage("gray"), Ecc("secded-64"), MixedVoltage(("w",))):
        assert remedy.name.partition(":")[0] in REMEDIES


def test_hardware_says_what_it_lacks():
    assert Hardware().lacks(Bare().needs) == []
    needs = parse_remedy("ecc:secded-64+robust-bits:1").needs
    assert Hardware().lacks(needs) == ["robust-cells", "error-correction"]
    assert Hardware.of(["error-correction"]).lacks(needs) == ["robust-cells"]
    assert Hardware.of(ABILITIES).lacks(needs) == []
    with pytest.raises(OptionError, match="unknown ability 'magic' of the hardware: choose from voltage, robust-cells"):
        Hardware.of(["magic"])


@pytest.mark.parametrize(
    ("text", "energy"),
    [
        ("bare", POINT.energy),
        ("storage:gray", POINT.energy),
        ("robust-bits:2", 2 / 8 + 6 / 8 * POINT.energy),
        ("ecc:secded-64", (1 + 8 / 64) * POINT.energy),
        ("robust-bits:1+ecc:secded-32", 1 / 8 + (7 / 8 + 7 / 32) * POINT.energy),
    ],
)
def test_energy_of_an_int8_model(zoo, text, energy):
    remedy = parse_remedy(text)
    assert remedy.energy(count(zoo.model), zoo.model, PLAIN, POINT.energy) == pytest.approx(energy)
    assert remedy.saving(zoo.model, PLAIN, POINT.energy) == pytest.approx(1 - energy)
    assert remedy.graph(zoo.model) is zoo.model


@dataclass(frozen=True)
class SpareCells(Remedy):
    """Spare cells for a share of the faulty ones, and a table of them that is read at the nominal voltage."""

    share: float
    name = "spare-cells"
    sentence = "spare cells stand in for some that are faulty"

    def errors(self, errors):
        return replace(errors, rate=errors.rate * (1 - self.share))

    @property
    def extra_cells(self):
        return self.share

    def added_accesses(self, array):
        return 100.0


def test_extra_cells_add_up_at_the_low_voltage(zoo):
    base, low = count(zoo.model), POINT.energy
    table = 100 / base.accesses
    assert SpareCells(0.25).energy(base, zoo.model, PLAIN, low) == pytest.approx(1.25 * low + table)
    both = Combined([SpareCells(0.25), RobustBits(2), Ecc("secded-64")])
    assert both.energy(base, zoo.model, PLAIN, low) == pytest.approx(2 / 8 + (6 / 8 + 8 / 64 + 0.25) * low + table)
    assert both.errors(PLAIN) == BitErrors(0.0075, protected_top=2, ecc="secded-64")
    assert Combined([SpareCells(0.25), SpareCells(0.5)]).extra_cells == 0.75


@dataclass(frozen=True)
class SturdyBits(Remedy):
    """The top bits are held in sturdier cells: each costs as much as 1.25 others, and errs a tenth as often."""

    top: int
    name = "sturdy-bits"
    sentence = "the top bits are held in cells that err less often"

    def errors(self, errors):
        pairs = zip_longest((0.1,) * self.top, errors.top_rates, fillvalue=1.0)
        return replace(errors, top_rates=tuple(map(min, pairs)))

    @property
    def extra_cells(self):
        return 0.25 * self.top / 8  # of 8-bit codes


def test_rates_of_top_bits_add_up(zoo):
    assert SturdyBits(2).errors(PLAIN) == BitErrors(0.01, top_rates=(0.1, 0.1))
    every = Combined([SturdyBits(1), SpareCells(0.25), SturdyBits(3), RobustBits(1), Ecc("secded-64")])
    left = every.errors(PLAIN)
    assert left == BitErrors(0.0075, protected_top=1, ecc="secded-64", top_rates=(0.1, 0.1, 0.1))
    assert left.rate_shares("w", 8) == (1, 1, 1, 1, 1, 0.1, 0.1, 0)
    base, low = count(zoo.model), POINT.energy
    assert SturdyBits(2).energy(base, zoo.model, PLAIN, low) == pytest.approx((1 + 0.25 * 2 / 8) * low)
    with_robust = Combined([RobustBits(1), SturdyBits(2)])
    assert with_robust.energy(base, zoo.model, PLAIN, low) == pytest.approx(1 / 8 + (7 / 8 + 0.25 * 2 / 8) * low)


def test_a_plan_measures_rates_of_top_bits(zoo, monkeypatch):
    monkeypatch.setitem(REMEDIES, "sturdy-bits", lambda text: SturdyBits(int(text)))
    monkeypatch.setattr("nfkit.plans.means.CANDIDATES", ("bare", "sturdy-bits:8"))
    plan = nfkit.plan(zoo.path, zoo.images, 0.05, samples=40, chips=2)
    sturdy = next(option for option in plan.options if option.name == "sturdy-bits")
    point = CURVE.at_volts(sturdy.volts_over_vmin)
    assert sturdy.energy == pytest.approx(1.25 * point.energy)
    # All bits err a tenth as often, so that a lower voltage does than that of the bare base.
    assert sturdy.volts_over_vmin < next(o for o in plan.options if o.name == "bare").volts_over_vmin


def test_a_plan_pays_for_extra_cells_and_reads(zoo, monkeypatch):
    monkeypatch.setitem(REMEDIES, "spare-cells", lambda text: SpareCells(float(text)))
    monkeypatch.setattr("nfkit.plans.means.CANDIDATES", ("bare", "spare-cells:0.25"))
    plan = nfkit.plan(zoo.path, zoo.images, 1.0, samples=40, chips=2)
    spare = next(option for option in plan.options if option.name == "spare-cells")
    point = CURVE.at_volts(spare.volts_over_vmin)
    assert spare.energy == pytest.approx(1.25 * point.energy + 100 / count(zoo.model).accesses)
    assert spare.flips == pytest.approx(0.75 * point.rate, rel=1e-3)


def test_neuralfuse_saves_what_its_voltage_leaves(zoo, fused):
    remedy, array = NeuralFuse(fused), SystolicArray(16, 16)
    base, generator = count_fused(fused, array)
    expected = compare("g", base, generator, POINT, CURVE).by_accesses
    assert remedy.saving(zoo.model, PLAIN, POINT.energy, array) == pytest.approx(expected)
    with_robust = Combined([remedy, RobustBits(2)])
    assert with_robust.saving(zoo.model, PLAIN, POINT.energy, array) == pytest.approx(
        1 - (2 / 8 + 6 / 8 * POINT.energy) - generator.accesses / base.accesses
    )
    assert with_robust.graph(zoo.model) is fused
    assert with_robust.errors(PLAIN).protected_top == 2


def test_neuralfuse_is_read_from_its_file(zoo, fused, tmp_path):
    save(fused, tmp_path / "m+n.nf.onnx")
    remedy = parse_remedy(f"neuralfuse:{tmp_path / 'm+n.nf.onnx'}+robust-bits:1")
    assert remedy.name == f"neuralfuse:{tmp_path / 'm+n.nf.onnx'}+robust-bits:1"
    assert remedy.needs == {"voltage", "robust-cells"}
    assert remedy.graph(zoo.model).metadata_props == fused.metadata_props


def test_neuralfuse_of_another_base_is_refused(zoo, fused, convnet):
    with pytest.raises(ModelError, match="holds another base than the one that it is to protect"):
        NeuralFuse(fused).graph(convnet())
    with pytest.raises(ModelError, match="holds no generator"):
        NeuralFuse(zoo.model)
