"""Which generators of a search no other one beats."""

from pathlib import Path

from nfkit.plans.front import Point, find_front


def point(accuracy, saving):
    return Point(
        "g", Path("g.nf.onnx"), 0.1, saving, 0.9, (0.5, 0.1), (accuracy, 0.01), (0.2, 0.1), 0.7, (0.01,), None, False
    )


def test_the_front_by_hand():
    cheap, middle, best = point(0.6, 0.3), point(0.7, 0.2), point(0.8, 0.1)
    worse, as_accurate, as_cheap = point(0.65, 0.15), point(0.7, 0.19), point(0.59, 0.3)
    assert find_front([worse, cheap, as_accurate, middle, as_cheap, best]) == (cheap, middle, best)
    assert find_front([middle, middle]) == (middle, middle)  # equals do not beat each other
    assert find_front([point(0.9, 0.3), cheap, middle, best]) == (point(0.9, 0.3),)
    assert find_front([]) == ()


def test_a_point_names_the_bare_base_that_is_as_good():
    def spread(mean):
        return {"mean": mean, "std": 0.01}

    def entry(ber, base, pair):
        return {"ber": ber, "base": spread(base), "protected": spread(pair), "recovery": spread(pair - base)}

    measured = {
        "clean": {"base": 0.9, "protected": 0.88},
        "voltage": {"points": [{"ber": 0.01, "energy_per_access": 0.7}, {"ber": 0.001, "energy_per_access": 0.8}]},
        "energy": {
            "base": {"accesses": 100},
            "added": {"accesses": 12},
            "points": [{"ber": 0.01, "saving_by_accesses": 0.18}, {"ber": 0.001, "saving_by_accesses": 0.08}],
        },
        "summary": [entry(0.01, 0.5, 0.8), entry(0.001, 0.85, 0.86)],
    }
    record = {"generator": "hint-8", "evaluate": measured}
    # Without a generator, 20 % are saved at 0.1 %, at 85 %.
    assert Point.read(record, Path("g.nf.onnx"), 0.01, reused=False).milder == 0.001
    measured["summary"][0] = entry(0.01, 0.5, 0.855)
    assert Point.read(record, Path("g.nf.onnx"), 0.01, reused=False).milder is None
