"""Which generators of a search no other one beats."""

from nfkit.plans.front import mark_front, unbeaten
from nfkit.reports.figures import Spread
from nfkit.reports.search import Found


def point(accuracy, saving):
    return Found(
        generator="g", output="g.nf.onnx", overhead=0.1, saving=saving, clean=0.9, base=Spread(0.5, 0.1),
        protected=Spread(accuracy, 0.01), recovery=Spread(0.2, 0.1),
    )  # fmt: skip


def on_front(points):
    """The accuracies and savings of those on the front."""
    return tuple((p.protected.mean, p.saving) for p in mark_front(points) if p.on_front)


def test_the_front_by_hand():
    cheap, middle, best = (0.6, 0.3), (0.7, 0.2), (0.8, 0.1)
    worse, as_accurate, as_cheap = (0.65, 0.15), (0.7, 0.19), (0.59, 0.3)
    every = [worse, cheap, as_accurate, middle, as_cheap, best]
    assert on_front([point(*p) for p in every]) == (cheap, middle, best)
    assert on_front([point(*middle), point(*middle)]) == (middle, middle)  # equals do not beat each other
    assert on_front([point(0.9, 0.3), *(point(*p) for p in (cheap, middle, best))]) == ((0.9, 0.3),)
    assert on_front([]) == ()
    assert unbeaten(every, lambda pair: pair) == (cheap, middle, best)


def test_all_candidates_stay_in_their_order():
    points = [point(0.65, 0.15), point(0.7, 0.2)]
    assert [p.on_front for p in mark_front(points)] == [False, True]
    assert [p.saving for p in mark_front(points)] == [0.15, 0.2]
