"""`nfkit.plan` on a model small enough to be computed again by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm
from scipy.stats import t as student

import nfkit
from nfkit.energy import load_curve
from nfkit.errors import DataError, OptionError
from nfkit.faults import EVALUATION_CHIPS, TRAINING_CHIPS, VALIDATION_CHIPS, BitErrors, Chip
from nfkit.faults.maps import read_measured_chip
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.early import condition
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.split import split
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.measure.statistics import difference_interval, difference_spread
from nfkit.model import to_bytes
from nfkit.plans.ladder import grid, ladder
from nfkit.plans.means import CANDIDATES
from nfkit.plans.operating_points import Scale
from nfkit.plans.tolerance import upper_end
from nfkit.reports.reading import decode, encode
from nfkit.workflows.planned_file import as_planned

# Images are codes already: 36 features, three classes.
TINY = """
<ir_version: 8, opset_import: ["" : 18]>
tiny (float[N, 1, 6, 6] image) => (float[N, 3] scores)
<float s = {0.0078125}, int8 z = {0}, float s_w = {0.015625}, int64[2] shape = {-1, 36}>
{
    q = QuantizeLinear (image, s, z)
    f = DequantizeLinear (q, s, z)
    v = Reshape (f, shape)
    w_f = DequantizeLinear (w, s_w)
    scores = MatMul (v, w_f)
}
"""
COUNT, CHIPS = 400, 6
VOLTS = grid(load_curve("stutz-2021"))


@pytest.fixture(scope="module")
def tiny(parse):
    """A base, its data, and what it answers with weights of codes [36, 3], computed without ONNX Runtime."""
    random = np.random.default_rng(0)
    base = parse(TINY, w=random.integers(-90, 91, (36, 3), np.int8))
    spec = nfkit.find_input(base)
    x = random.integers(0, 256, (COUNT, 6, 6, 1), np.uint8)
    pixels = np.clip(np.rint(spec.encode(x).reshape(COUNT, 36) / 0.0078125), -128, 127).astype(np.int64)
    (site,) = fault_sites(base)
    stored = codes(base, site)
    y = np.where(random.random(COUNT) < 0.9, (pixels @ stored).argmax(1), random.integers(0, 3, COUNT))
    data = nfkit.Dataset("tiny", x, y)

    def right(weights, images=slice(None)):
        return (pixels[images] @ weights.astype(np.int64)).argmax(1) == y[images]

    return SimpleNamespace(base=base, spec=spec, data=data, site=site, stored=stored, right=right)


@pytest.fixture(scope="module")
def halves():
    """Which images choose, and which confirm."""
    index = nfkit.Dataset("index", np.arange(COUNT, dtype=np.float32)[:, None], np.zeros(COUNT, np.int64))
    return [part.x[:, 0].astype(int) for part in index.hold_out(0.5, 0)]


@pytest.fixture(scope="module")
def planned(tiny):
    return nfkit.plan(
        tiny.base,
        tiny.data,
        0.05,
        ("robust-bits", "storage", "ecc", "per-layer-voltage"),
        chips=CHIPS,
        confidence=0.975,
    )


def on(record, name):
    return next(option for option in record.options if option.name == name)


def test_figures_are_those_of_an_independent_computation(tiny, halves, planned):
    confirming = halves[1]
    clean = tiny.right(tiny.stored, confirming)[None]
    settings = {
        "bare": {},
        "storage:gray": {"storage": "gray"},
        "robust-bits:2": {"protected_top": 2},
        "ecc:secded-64": {"ecc": "secded-64"},
    }
    for name, how in settings.items():
        option = on(planned, name)
        errors = BitErrors(option.ber, **how)
        answers = np.stack(
            [
                tiny.right(Chip(seed).faults(tiny.site, errors).apply(tiny.stored), confirming)
                for seed in EVALUATION_CHIPS[:CHIPS]
            ]
        )
        assert option.accuracy.mean == pytest.approx(answers.mean(), abs=1e-12)
        assert option.accuracy.worst == answers.mean(1).min()
        expected = difference_spread(clean, answers, answers.size)  # chips err apart from each other
        assert (option.loss.mean, option.loss.ci95) == (expected.mean, expected.ci95)
        assert option.within == (expected.ci95[1] <= 0.05)
    assert planned.confirming.clean.accuracy == clean.mean()


def test_energy_is_that_of_the_remedy(planned):
    curve = load_curve("stutz-2021")
    low = {option.name: curve.at_volts(option.volts_over_vmin).energy for option in planned.options}
    assert on(planned, "bare").energy == pytest.approx(low["bare"])
    assert on(planned, "robust-bits:2").energy == pytest.approx(2 / 8 + 6 / 8 * low["robust-bits:2"])
    assert on(planned, "ecc:secded-64").energy == pytest.approx(72 / 64 * low["ecc:secded-64"])
    assert on(planned, "bare").flips == pytest.approx(curve.at_volts(on(planned, "bare").volts_over_vmin).rate)


def test_the_plan_saves_most_of_what_is_within(planned):
    within = [option for option in planned.options if option.within]
    assert planned.chosen.saving == max(option.saving for option in within) > on(planned, "bare").saving
    assert planned.chosen.sentence in planned.sentence
    assert str(planned).startswith(planned.sentence)
    order = [option.saving for option in planned.options if option.within]
    assert order == sorted(order, reverse=True)


def test_choosing_and_confirming_share_nothing(halves, planned):
    assert not set(halves[0]) & set(halves[1])
    assert planned.choosing.sha256 != planned.confirming.sha256
    assert planned.choosing.images + planned.confirming.images == COUNT
    assert all(chip in VALIDATION_CHIPS[5_000:] for chip in planned.choosing.chips)
    assert all(chip in EVALUATION_CHIPS for chip in planned.confirming.chips)
    assert not any(chip in TRAINING_CHIPS for chip in planned.choosing.chips)


def test_halves_are_those_of_the_seed(tiny, halves, planned):
    assert planned.choosing.sha256 == tiny.data.select(halves[0]).sha256
    assert planned.confirming.sha256 == tiny.data.select(halves[1]).sha256
    other = nfkit.plan(tiny.base, tiny.data, 1.0, chips=2, seed=1)
    assert other.confirming.sha256 != planned.confirming.sha256


def test_a_tolerance_of_everything_takes_the_lowest_voltage(tiny):
    record = nfkit.plan(tiny.base, tiny.data, 1.0, chips=2)
    assert on(record, "bare").volts_over_vmin == VOLTS[-1]
    assert record.best == 0


def test_a_tolerance_of_nothing_takes_only_what_loses_nothing(tiny, halves):
    record = nfkit.plan(tiny.base, tiny.data, 0.0, chips=CHIPS, confidence=0.975)
    option = on(record, "bare")
    step = (1.0, *VOLTS).index(option.volts_over_vmin)
    curve = load_curve("stutz-2021")

    def loss(part, first, volts):
        errors = BitErrors(2 * curve.at_volts(volts).rate)
        chips = [
            tiny.right(Chip(seed).faults(tiny.site, errors).apply(tiny.stored), part)
            for seed in range(first, first + CHIPS)
        ]
        return difference_spread(tiny.right(tiny.stored, part)[None], np.stack(chips)).ci95[1]

    assert loss(halves[0], VALIDATION_CHIPS[5_000], VOLTS[step]) > 0  # one step further
    assert option.within
    assert step == 0 or loss(halves[1], EVALUATION_CHIPS[0], option.volts_over_vmin) <= 0


def test_only_what_is_allowed_is_tried(tiny, planned):
    usual = nfkit.plan(tiny.base, tiny.data, 1.0, chips=2)
    assert {option.name for option in usual.options} == {"bare", "storage:offset-binary"}
    assert {entry.name for entry in usual.untried} == {
        *CANDIDATES, "mixed-voltage", "neuralfuse"
    } - {"bare", "storage:offset-binary"}  # fmt: skip
    assert all("--can" in entry.reason for entry in usual.untried if entry.name != "neuralfuse")
    robust = nfkit.plan(tiny.base, tiny.data, 1.0, "robust-bits", chips=2)
    assert {o.name for o in robust.options} - {o.name for o in usual.options} == {f"robust-bits:{n}" for n in (1, 2, 3)}
    assert {option.name for option in planned.options} >= set(CANDIDATES)
    assert [entry.name for entry in planned.untried] == ["neuralfuse"]


def test_what_a_file_does_anyway_is_not_tried(parse):
    random = np.random.default_rng(3)
    text = TINY.replace("w_f = DequantizeLinear (w, s_w)", "w_f = DequantizeLinear (w, s_w, z_w)")
    text = text.replace("float s_w = {0.015625}", "float s_w = {0.015625}, uint8 z_w = {128}")
    base = parse(text, w=random.integers(40, 216, (36, 3), np.uint8))
    data = (random.integers(0, 256, (40, 6, 6, 1), np.uint8), random.integers(0, 3, 40))
    record = nfkit.plan(base, data, 1.0, chips=2)
    assert "held so as they are" in {e.name: e.reason for e in record.untried}["storage:offset-binary"]


def test_the_same_seed_gives_the_same_plan(tiny, planned):
    again = nfkit.plan(
        tiny.base, tiny.data, 0.05, planned.can and ("storage", "robust-bits"), chips=CHIPS, confidence=0.975
    )
    for option in again.options:
        assert option == on(planned, option.name)


def test_a_fused_file_is_planned_with_its_base(tiny, residual_generator):
    fused = fuse(residual_generator(1, 6, 6), tiny.base, tiny.spec, {})
    record = nfkit.plan(fused, tiny.data, 1.0, chips=2)
    assert on(record, "bare").volts_over_vmin == VOLTS[-1]
    pair = next(option for option in record.options if option.name.startswith("neuralfuse:"))
    assert pair.volts_over_vmin == VOLTS[-1]
    assert pair.energy > on(record, "bare").energy  # by what the generator reads
    assert record.model.protected
    assert "neuralfuse" not in {entry.name for entry in record.untried}


# A generator that only looks, with the base's own weights: as sure and as right as the clean base.
LOOKER = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 1, 6, 6] image) => (float[N, 3] evidence)
<float s = {0.015625}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
}
"""


@pytest.fixture(scope="module")
def looking(tiny, parse, execute, halves):
    """A file in which both ends answer, always, and its plan."""
    images = tiny.spec.encode(tiny.data.x)
    form = find_form(tiny.base, execute(tiny.base, {"image": images})[0])
    fused = fuse(parse(LOOKER, k=tiny.stored.reshape(36, 3)), tiny.base, tiny.spec, {}, Answer(form, Trust()))
    seen = images[halves[1]].reshape(-1, 36) @ (tiny.stored * 0.015625)  # evidence on the half that confirms
    record = nfkit.plan(fused, tiny.data, 0.05, "robust-bits", chips=4, confidence=0.975)
    return SimpleNamespace(
        fused=fused, evidence=seen, record=record, images=images[halves[1]], y=tiny.data.y[halves[1]]
    )


def answers(tiny, looking, option, **errors):
    """What an option of the plan answers on the chips that confirm, by the formula: [chips, images]."""
    trust = Trust(**option.trust)
    sure = softmax(looking.evidence / trust.temperature, axis=1).max(axis=1) >= (option.threshold or 2)
    pixels, rows = np.rint(looking.images.reshape(-1, 36) / 0.0078125), []
    for seed in EVALUATION_CHIPS[:4]:
        faulty = Chip(seed).faults(tiny.site, BitErrors(option.ber, **errors)).apply(tiny.stored)
        both = combine(pixels @ faulty * 0.0078125 * 0.015625, looking.evidence, trust)
        rows.append(np.where(sure, looking.evidence.argmax(1), both.argmax(1)) == looking.y)
    return np.stack(rows), sure


def test_rivals_of_a_file_in_which_both_ends_answer_are_in_one_table(looking):
    names = {option.name for option in looking.record.options}
    assert names >= {
        "bare", "generator-alone:generator", "both-ends:generator", "early-at-vmin:generator", "robust-bits:2",
        "early:generator+robust-bits:2",
    }  # fmt: skip
    assert not any(name.startswith("neuralfuse") for name in names)
    needs = {option.name: set(option.needs) for option in looking.record.options}
    assert needs["generator-alone:generator"] == needs["early-at-vmin:generator"] == set()
    assert needs["early:generator+robust-bits:2"] == {"voltage", "robust-cells"}


@pytest.mark.parametrize(
    ("name", "how", "robust"),
    [
        ("both-ends:generator", {}, 0),
        ("early-at-vmin:generator", {}, 0),
        ("early:generator", {}, 0),
        ("early:generator+robust-bits:2", {"protected_top": 2}, 2),
    ],
)
def test_answers_of_both_ends_are_those_of_the_formula(tiny, looking, halves, name, how, robust):
    option = on(looking.record, name)
    expected, sure = answers(tiny, looking, option, **how)
    clean = tiny.right(tiny.stored, halves[1])[None]
    assert option.accuracy.mean == pytest.approx(expected.mean(), abs=1e-12)
    assert option.loss.ci95[1] == pytest.approx(difference_spread(clean, expected).ci95[1])
    assert option.within == (option.loss.ci95[1] <= 0.05)
    # The generator reads as much as the base, always at Vmin; the base only where it is needed.
    low = 1.0 if option.ber == 0 else load_curve("stutz-2021").at_volts(option.volts_over_vmin).energy
    low = robust / 8 + (1 - robust / 8) * low
    assert option.energy == pytest.approx(1 + (1 - sure.mean()) * low)
    if option.early is not None:
        assert option.early["share"] == sure.mean() > 0.1
        assert option.energy_ci95[0] < option.energy < option.energy_ci95[1]


def test_a_lower_voltage_saves_more_than_early_answers_alone(looking):
    early, nominal = on(looking.record, "early:generator"), on(looking.record, "early-at-vmin:generator")
    assert early.saving > nominal.saving
    assert (nominal.volts_over_vmin, nominal.ber) == (1.0, 0.0)
    assert "base runs" in str(looking.record)


def test_the_generator_alone_needs_no_base(looking):
    option = on(looking.record, "generator-alone:generator")
    assert option.energy == pytest.approx(1.0)
    assert option.accuracy.mean == (looking.evidence.argmax(1) == looking.y).mean()


def test_a_file_gets_the_numbers_of_an_option(tiny, looking, execute):
    option = on(looking.record, "early:generator")
    file = as_planned(looking.fused, option)
    assert condition(file) is not None
    assert read_answer(file).threshold == np.float32(option.threshold)
    assert read_answer(file).trust.to_dict() == {n: np.float32(v) for n, v in option.trust.items()}
    trust = Trust(**option.trust)
    sure = softmax(looking.evidence / trust.temperature, axis=1).max(axis=1) >= option.threshold
    pixels = np.rint(looking.images.reshape(-1, 36) / 0.0078125)
    both = combine(pixels @ tiny.stored * 0.0078125 * 0.015625, looking.evidence, trust)
    wanted = np.where(sure, looking.evidence.argmax(1), both.argmax(1))
    assert (execute(file, {"image": looking.images})[0].argmax(1) == wanted).mean() >= 0.99
    again = as_planned(file, on(looking.record, "both-ends:generator"))
    assert condition(again) is None
    assert to_bytes(split(again)[1]) == to_bytes(tiny.base)


# One that looks at a third of the image: cheap, and right where it is sure.
GLANCER = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 1, 6, 6] image) => (float[N, 3] evidence)
<float s = {0.015625}, int64[1] first = {0}, int64[1] last = {12}, int64[1] axis = {1}>
{
    flat = Flatten (image)
    top = Slice (flat, first, last, axis)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (top, k_f)
}
"""


@pytest.fixture
def glancing(tiny, parse, execute):
    """A base that is hard to be sure of with 200 images, behind a generator that sees a third of the image."""
    random = np.random.default_rng(5)
    stored = np.concatenate([random.integers(-120, 121, (12, 3)), random.integers(-30, 31, (24, 3))]).astype(np.int8)
    base, images = parse(TINY, w=stored), tiny.spec.encode(tiny.data.x)
    scores = execute(base, {"image": images})[0]
    data = nfkit.Dataset("tiny", tiny.data.x, scores.argmax(1))
    answer = Answer(find_form(base, scores), Trust())
    fused = fuse(parse(GLANCER, k=stored[:12]), base, tiny.spec, {}, answer)
    return SimpleNamespace(fused=fused, data=data, images=images, stored=stored)


def test_four_to_one_decides_and_how_sure_that_is_is_said(glancing):
    record = nfkit.plan(glancing.fused, glancing.data, 0.02, chips=2)
    chosen, sure = record.chosen, nfkit.plan(glancing.fused, glancing.data, 0.02, chips=2, confidence=0.975)
    assert record.confidence == 0.8
    assert upper_end(chosen.loss.mean, chosen.loss.ci95, 0.8) <= 0.02 < chosen.loss.ci95[1]
    assert chosen.saving > (0.0 if sure.best is None else sure.chosen.saving)
    z = 1.959964 * (0.02 - chosen.loss.mean) / (chosen.loss.ci95[1] - chosen.loss.mean)
    assert f"of the 2 points tolerated ({100 * norm.cdf(z):.0f} % sure" in record.sentence
    if record.sure is None:
        assert record.sentence.endswith("to be 97.5 % sure of that, nothing that was tried saves energy")
    else:
        assert record.sure == on(sure, record.sure.name)
        assert record.sure.loss.ci95[1] <= 0.02
        assert f"{record.sure.name} at {record.sure.volts_over_vmin:.3f} Vmin saves" in record.sentence
        assert record.overview().table.rows[-1][-1] == "for sure"
    assert decode(encode(record), "plan") == record


def test_a_plan_that_is_sure_needs_no_doubt(tiny, planned):
    assert planned.sure is None
    sure = nfkit.plan(tiny.base, tiny.data, 1.0, chips=2)
    assert sure.chosen.loss.ci95[1] <= 1.0
    assert sure.sure is None
    assert "% sure" not in sure.sentence + planned.sentence


def test_what_the_measured_loss_alone_would_save_is_said(glancing, halves):
    fused, data, images, stored = glancing.fused, glancing.data, glancing.images, glancing.stored
    record = nfkit.plan(fused, data, 0.02, chips=2, confidence=0.975)
    likely = record.likely
    assert likely.name == "early-at-vmin:generator"
    assert likely.loss.mean <= 0.02 < likely.loss.ci95[1]
    assert likely.saving > (0.0 if record.best is None else record.chosen.saving) + 0.01
    evidence = images[halves[1]].reshape(-1, 36)[:, :12] @ (stored[:12] * 0.015625)
    sure = softmax(evidence / likely.trust["temperature"], axis=1).max(axis=1) >= likely.threshold
    assert likely.early["share"] == pytest.approx(sure.mean(), abs=0.006)  # the threshold is one image's sureness
    assert likely.saving == pytest.approx(1 - 1 / 3 - (1 - likely.early["share"]))
    said = f"by the measured loss alone (--confidence 50%) early-at-vmin:generator saves {100 * likely.saving:.1f} %"
    assert said in record.sentence
    assert record.overview().table.rows[-1][-1] == "by its mean"
    assert decode(encode(record), "plan") == record
    measured = nfkit.plan(fused, data, 0.02, chips=2, confidence=0.5)
    assert measured.likely is None
    assert on(measured, likely.name).threshold == pytest.approx(likely.threshold, rel=1e-3)


# One that changes the image too: the base reads half of it.
CHANGER = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 1, 6, 6] image) => (float[N, 1, 6, 6] y)
<float s = {0.015625}, float two = {2.0}, float least = {-1.0}, float most = {1.0}, float nothing = {0.0}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
    top = ReduceMax <keepdims = 0> (evidence)
    none = Mul (top, nothing)
    halved = Div (image, two)
    moved = Add (halved, none)
    y = Clip (moved, least, most)
}
"""


def test_where_the_image_is_changed_the_base_is_planned_on_what_it_reads(tiny, parse, execute, halves):
    images = tiny.spec.encode(tiny.data.x)
    form = find_form(tiny.base, execute(tiny.base, {"image": images})[0])
    fused = fuse(parse(CHANGER, k=tiny.stored.reshape(36, 3)), tiny.base, tiny.spec, {}, Answer(form, Trust()))
    record = nfkit.plan(fused, tiny.data, 0.2, chips=2)
    option, bare = on(record, "both-ends:generator"), on(record, "bare")
    trust, half = Trust(**option.trust), halves[1]
    evidence = images[half].reshape(-1, 36) @ (tiny.stored * 0.015625)
    read = np.rint(images[half].reshape(-1, 36) / 2 / 0.0078125)  # what the base makes of half an image
    rows = []
    for seed in EVALUATION_CHIPS[:2]:
        faulty = Chip(seed).faults(tiny.site, BitErrors(option.ber)).apply(tiny.stored)
        both = combine(read @ faulty * 0.0078125 * 0.015625, evidence, trust).argmax(1)
        rows.append(both == tiny.data.y[half])
    assert option.accuracy.mean == pytest.approx(np.mean(rows), abs=0.006)  # halves of a code are rounded either way
    plain = [
        tiny.right(Chip(seed).faults(tiny.site, BitErrors(bare.ber)).apply(tiny.stored), half)
        for seed in EVALUATION_CHIPS[:2]
    ]
    assert bare.accuracy.mean == pytest.approx(np.mean(plain), abs=1e-12)
    assert on(record, "early-at-vmin:generator").threshold is not None


def test_a_base_with_further_outputs_is_planned_without_early_answers(parse, execute, tiny):
    random = np.random.default_rng(1)
    text = TINY.replace("(float[N, 3] scores)", "(float[N, 3] scores, float[N, 36] v)")
    base = parse(text, w=random.integers(-90, 91, (36, 3), np.int8))
    spec = nfkit.find_input(base)
    form = find_form(base, execute(base, {"image": spec.encode(tiny.data.x)})[0])
    fused = fuse(parse(LOOKER, k=tiny.stored.reshape(36, 3)), base, spec, {}, Answer(form, Trust()))
    record = nfkit.plan(fused, tiny.data, 1.0, chips=2, samples=60)
    assert "early" in {entry.name for entry in record.untried}
    names = {option.name for option in record.options}
    assert "both-ends:generator" in names
    assert not any(name.startswith("early") for name in names)


def test_a_record_is_whole_after_a_round_trip(planned):
    assert decode(encode(planned), "plan.json") == planned
    assert planned.to_dict()["schema"] == "nfkit.plan/1"
    assert len(planned.table().rows) == len(planned.options)


def test_what_cannot_be_planned_is_refused(tiny):
    with pytest.raises(OptionError, match="unknown means 'magic'"):
        nfkit.plan(tiny.base, tiny.data, 0.01, "magic")
    with pytest.raises(OptionError, match="cannot be kept to"):
        nfkit.plan(tiny.base, tiny.data, 1.1)
    with pytest.raises(OptionError, match="at least 2 chips"):
        nfkit.plan(tiny.base, tiny.data, 0.01, chips=1)
    with pytest.raises(DataError, match="at least 4"):
        nfkit.plan(tiny.base, tiny.data, 0.01, samples=3)


def test_progress_ends(tiny):
    seen = []
    nfkit.plan(tiny.base, tiny.data, 1.0, chips=2, on_progress=seen.append)
    shares = [told.done / told.total for told in seen if told.stage == "looking for the least energy"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(set(shares)) > 10  # measurements are told, and not remedies alone


def test_a_plan_for_one_device_is_chosen_and_confirmed_on_it_alone(tiny, halves):
    chip = 4711
    record = nfkit.plan(tiny.base, tiny.data, 0.05, chip=chip)
    assert record.choosing.chips == record.confirming.chips == (chip,)
    assert "on chip 4711 alone" in record.overview().title
    option = on(record, "bare")
    images, errors = halves[1], BitErrors(option.ber)
    read = Chip(chip).faults(tiny.site, errors).apply(tiny.stored)
    lost = tiny.right(tiny.stored, images).astype(float) - tiny.right(read, images)
    assert option.loss.mean == pytest.approx(lost.mean())
    # One device is no sample of devices: the interval is that over images, however often it is counted.
    assert option.loss.ci95 == pytest.approx(difference_interval(np.tile(lost, (3, 1))))
    reach = student.ppf(0.975, len(images) - 1) * lost.std(ddof=1) / np.sqrt(len(images))
    assert option.loss.ci95[1] > lost.mean() + reach  # of few losses less is known than Student's t says
    lowest = [nfkit.plan(tiny.base, tiny.data, 0.05, chip=seed).options[0].volts_over_vmin for seed in range(4)]
    assert len(set(lowest)) > 1, "every device has a voltage of its own"


def test_a_plan_ends_where_the_measured_cells_end(tiny, tmp_path):
    random = np.random.default_rng(5)
    for volts, share in ((0.9, 0.001), (0.8, 0.01)):
        stuck = random.random((64, 32)) < share
        for name, cells in (("sa0", stuck), ("sa1", np.zeros_like(stuck))):
            np.savetxt(tmp_path / f"fmap_{name}_v_{volts}.txt", cells, fmt="%d", delimiter=",")
    record = nfkit.plan(tiny.base, tiny.data, 1.0, chip=1, layout=f"measured:{tmp_path}")
    known = read_measured_chip(tmp_path).order.size / (64 * 32)
    rates = [rung.strength.rate for rung in ladder(Scale(BitErrors(0.0), 0.5, load_curve("stutz-2021")), lambda _: 1.0)]
    assert on(record, "bare").ber == max(rate for rate in rates if rate <= known) < max(rates)
    assert "not of the measured maps" in record.warnings[-1]
    own = nfkit.plan(
        tiny.base, tiny.data, 1.0, chip=1, layout=f"measured:{tmp_path}", curve=nfkit.measured_curve(tmp_path, 1.0)
    )
    assert not any("not of the measured maps" in said for said in own.warnings)
    assert own.curve.name == f"measured-{read_measured_chip(tmp_path).digest}"
    evaluated = nfkit.evaluate(tiny.base, tiny.data, ber=0.001, chips=1, layout=f"measured:{tmp_path}")
    assert record.warnings[-1] in evaluated.warnings


def test_a_plan_says_what_its_energy_leaves_out(parse, tiny):
    text = TINY.replace(
        "w_f = DequantizeLinear (w, s_w)\n    scores = MatMul (v, w_f)", "scores = local.Dense (v, w, s_w)"
    )
    dense = """<domain: "local", opset_import: ["" : 18]>
    Dense (x, q, s) => (y) { f = DequantizeLinear (q, s)  y = MatMul (x, f) }"""
    base = parse(text.replace('["" : 18]', '["" : 18, "local" : 1]', 1) + dense, w=codes(tiny.base, tiny.site))
    left_out = (
        "energy leaves out what could not be counted in the base: Dense 'scores': the bodies of functions are not "
    )
    record = nfkit.plan(base, tiny.data, 1.0, chips=2)
    assert [warning for warning in record.warnings if warning.startswith(left_out)] == list(record.warnings)[-1:]
    assert nfkit.plan(tiny.base, tiny.data, 1.0, chips=2).warnings == ()
