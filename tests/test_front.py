"""Which generators of a search no other one beats."""

from pathlib import Path

from nfkit.front import Point, find_front


def point(accuracy, saving):
    return Point(
        "g", Path("g.nf.onnx"), 0.1, saving, 0.9, (0.5, 0.1), (accuracy, 0.01), (0.2, 0.1), 0.7, (0.01,), False
    )


def test_the_front_by_hand():
    cheap, middle, best = point(0.6, 0.3), point(0.7, 0.2), point(0.8, 0.1)
    worse, as_accurate, as_cheap = point(0.65, 0.15), point(0.7, 0.19), point(0.59, 0.3)
    assert find_front([worse, cheap, as_accurate, middle, as_cheap, best]) == (cheap, middle, best)
    assert find_front([middle, middle]) == (middle, middle)  # equals do not beat each other
    assert find_front([point(0.9, 0.3), cheap, middle, best]) == (point(0.9, 0.3),)
    assert find_front([]) == ()
