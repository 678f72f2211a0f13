"""What a lying server does to its replies, over HTTP and over gRPC; `faulty_replies.py` asks through such a one.

What is done is a `Plan`: a kind of fault, the place in a run where it begins (a description, or a question), and
whether it lasts. Faults of the content (`CONTENT`) change an answer, those of the line (`LINE`) how it travels.
`lying_http` and `lying_grpc` are the proxies; `lying_proxy` is what both do.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

CONTENT = ("wrong shape", "no number", "other class count", "changed model")
LINE = ("slow drip", "redirect", "huge body", "truncated", "server error", "connection reset")
KINDS = CONTENT + LINE
PLACES = ("server", "description", "first", "middle", "last", "closing")
"""Where a fault begins: description of the server, of the model, a question, and the description after the last."""
ELSEWHERE = ("https://elsewhere.example/v2/models/m/infer?key=1", "/login", "http://[::1", "//other.example/v2", "")
"""What redirects lead to."""
WAITS = ("", "0", "1", "3600", "soon", "Thu, 01 Jan 1970 00:00:05 GMT")
"""What servers that fail say of when to come back (Retry-After)."""
PAUSE = 0.05
"""Seconds between the bytes of a slow drip."""
OVERSIZE = 2**20 + 1
"""Bytes of a huge body, where it is sent at all."""


@dataclass
class Plan:
    """What is done to the replies of one run.

    Attributes:
        kind: One of `KINDS`.
        place: One of `PLACES`.
        lasts: Whether every reply from there on is faulty, or one alone.
        plain: Whether the server takes JSON, or typed contents, alone.
        random: Draws what a fault looks like.
        sent: Faulty replies that were sent.
        questions: Questions that were answered, rightly or not.
        reached: Whether the run has come to the place.
    """

    kind: str
    place: str
    lasts: bool
    plain: bool
    random: random.Random
    sent: int = 0
    questions: int = 0
    reached: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def of_content(self) -> bool:
        """Whether the fault changes what a reply says, not how it travels."""
        return self.kind in CONTENT

    def strikes(self, what: str) -> bool:
        """Whether the reply that comes now, to a "server", "model" or "infer" request, is to be faulty; counts it."""
        with self.lock:
            at = {"first": 0, "middle": 1, "last": 2}.get(self.place)
            if what == "infer":
                self.reached |= at is not None and self.questions >= at
                self.questions += 1
            else:
                here = "server" if what == "server" else "closing" if self.questions else "description"
                self.reached |= self.place == here
            if not self.reached or (self.sent and not self.lasts):
                return False
            self.sent += 1
            return True


def honest(plain: bool = False) -> Plan:
    """A plan without a fault."""
    return Plan("none", "never", False, plain, random.Random(0))


@dataclass
class Answer:
    """The scores of a reply, as it will state them."""

    scores: npt.NDArray[Any]
    shape: list[int]
    datatype: str = "FP32"
    name: str = "scores"
    model: str = ""
    version: str = ""

    @property
    def raw(self) -> bytes:
        """The scores as raw bytes."""
        return self.scores.astype("<f8" if self.datatype == "FP64" else "<f4").tobytes()


def change_answer(plan: Plan, answer: Answer) -> Answer:
    """An answer with a fault of the content."""
    count, classes = answer.scores.shape
    draw = plan.random
    if plan.kind == "wrong shape":
        shape = draw.choice([
            [count - 1, classes], [count + 1, classes], [classes, count], [count * classes], [], [-1, classes],
            [2**40, 2**40, 0], [count, classes, 2], [1] * 70, [0, classes],
        ])  # fmt: skip
        size = int(np.prod([max(0, extent) for extent in shape], dtype=object))
        fits = draw.random() < 0.5 and size < 10**6
        return replace(answer, shape=shape, scores=np.resize(answer.scores, size if fits else count * classes))
    if plan.kind == "no number":
        scores = answer.scores.copy()
        scores[draw.randrange(count), draw.randrange(classes)] = draw.choice([np.nan, np.inf, -np.inf])
        return replace(answer, scores=scores)
    if plan.kind == "other class count":
        wrong = draw.choice([1, classes - 1, classes + 1, 1000])
        return replace(answer, scores=np.resize(answer.scores, (count, wrong)), shape=[count, wrong])
    # A changed model gives other scores, and says so: by version or name, or by the name or type of its output.
    other = replace(answer, scores=np.roll(answer.scores, 1, axis=1))
    says: list[dict[str, Any]] = [{"version": "2"}, {"model": "other"}, {"name": "logits"}, {"datatype": "FP64"}]
    if plan.lasts and plan.place != "description":
        says.append(
            {}
        )  # the description after the last question says it, then; one before the first makes it no change
    return replace(other, **draw.choice(says))


def change_description(plan: Plan, fields: dict[str, Any]) -> dict[str, Any]:
    """A model's description with a fault of the content."""
    draw, (taken,), (given,) = plan.random, fields["inputs"], fields["outputs"]
    if plan.kind == "wrong shape":
        shape = draw.choice([[-1, 3], [], [-1, -1, -1], [0, 0], [-1, 2**40, 2**40], [-1, 28, 28, -2]])
        return fields | {"inputs": [taken | {"shape": shape}]}
    if plan.kind == "no number":
        return fields | {"outputs": [given | {"datatype": draw.choice(["BYTES", "FP99", ""])}]}
    if plan.kind == "other class count":
        return fields | {"outputs": [given | {"shape": [-1, draw.choice([2, 9, 11, 1000])]}]}
    return fields | draw.choice([{"versions": ["2"]}, {"platform": "other"}, {"versions": ["1", "2"]}])
