"""One run of `faulty_replies`: what `nfkit evaluate ADDRESS` does through a proxy that lies, and how it ends."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lies
import numpy as np

import nfkit
from nfkit.access.endpoint import Asking
from nfkit.access.remote import open_endpoint
from nfkit.access.store import digest
from nfkit.access.transport import Limits
from nfkit.errors import NfkitError
from nfkit.workflows.asking import evaluate_answers

SECONDS = 60.0
"""Longest time of one run; a command, which begins with imports, has ten times as long."""
LIMITS = Limits(connect=5.0, read=1.0, total=1.0, body=lies.OVERSIZE - 1, attempts=4, first_wait=0.02, longest_wait=2.0)
"""Of a call, so that a thousand runs take minutes."""
OUTCOMES = ("right", "refused", "traceback", "hang", "wrong number")
SAMPLES, BATCH = 12, 4
FAILURES = OUTCOMES[2:]
MODEL = Path(nfkit.__file__).parent.parent / "models" / "zoo" / "resnet8_fashion_mnist_int8.onnx"


class Truth:
    """The samples, and what the model answers to them.

    Args:
        folder: Holds the data and the answers, as `write_data` leaves them.
    """

    def __init__(self, folder: Path) -> None:
        self.data = folder / "d.npz"
        with np.load(folder / "truth.npz") as truth:
            x, scores = truth["x"], truth["scores"]
        with np.load(self.data) as data:
            self.hits = int((scores.argmax(1) == data["y"]).sum())
        self._scores = {digest(sample): row for sample, row in zip(x, scores, strict=True)}

    def differs(self, answers: Path) -> str:
        """What is wrong with the answers that are kept; empty if nothing is."""
        with contextlib.closing(sqlite3.connect(answers)) as file:
            kept = file.execute("SELECT sample, scores FROM answers").fetchall()
        for sample, scores in kept:
            known = self._scores.get(sample)
            if known is not None and not np.allclose(np.frombuffer(scores, "<f4"), known, atol=1e-4):
                return f"kept are {np.frombuffer(scores, '<f4')}, right are {known}"
        return ""


def run(proxy: Any, truth: Truth, answers: Path, plan: lies.Plan) -> tuple[str, str]:
    """One run with faults and one without, and how they end: an outcome, and why."""
    outcome, why = once(proxy, truth, answers, plan.random.choice([1, 2]))
    if outcome in FAILURES:
        return outcome, why
    proxy.plan = lies.honest(plain=plan.plain)
    again, said = once(proxy, truth, answers, 1)
    if again != "right":
        return again if again in FAILURES else "wrong number", f"the run that goes on: {said}"
    return outcome, why


def once(proxy: Any, truth: Truth, answers: Path, concurrency: int) -> tuple[str, str]:
    """Evaluates through a proxy."""
    ended: list[Any] = []

    def evaluate() -> None:
        try:
            asking = Asking(batch=BATCH, concurrency=concurrency)
            with open_endpoint(proxy.address, asking, limits=LIMITS, answers=answers) as endpoint:
                ended.append(evaluate_answers(endpoint, str(truth.data), value_range=(-1.0, 1.0)))
        except BaseException as error:
            ended.append(error)

    with standard_error() as read:
        thread = threading.Thread(target=evaluate, daemon=True)
        thread.start()
        thread.join(SECONDS)
        if thread.is_alive():
            return "hang", f"more than {SECONDS:g} s"
        printed = read()
    (end,) = ended
    if "Traceback" in printed:
        return "traceback", printed[-500:]
    if isinstance(end, BaseException) and not isinstance(end, NfkitError):
        return "traceback", f"{type(end).__name__}: {end}"
    if answers.exists() and (wrong := truth.differs(answers)):
        return "wrong number", wrong
    if isinstance(end, NfkitError):
        return ("refused", str(end)) if 0 < len(str(end)) < 1500 else ("traceback", f"no sentence: {end!s:.200}")
    hits, samples = end.accuracy.hits, end.accuracy.samples
    return ("right", "") if (hits, samples) == (truth.hits, SAMPLES) else ("wrong number", f"{hits} hits of {samples}")


def draw_plan(seed: str, kind: str, number: int) -> lies.Plan:
    """What one run meets: places and durations in turn, the rest at random."""
    draw = random.Random(seed)
    places = lies.PLACES
    place, lasts, plain = places[number % len(places)], draw.random() < 0.3, draw.random() < 0.5
    if kind == "changed model" and place in ("server", "description"):
        lasts = False  # a model that is another one from its first description on has not changed in mid-run
    return lies.Plan(kind, place, lasts, plain, draw)


@contextlib.contextmanager
def standard_error() -> Iterator[Any]:
    """A function that gives what this process has written to its standard error since, by whatever library."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)

        def read() -> str:
            sys.stderr.flush()
            file.seek(0)
            return file.read().decode("utf-8", "replace")

        try:
            yield read
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of `nfkit serve` with the zoo's model."""
    command = [sys.executable, "-m", "nfkit", "serve", str(MODEL), "--port", "0", "--name", "m"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NFKIT_CACHE": str(folder / "cache")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0]
        finally:
            process.terminate()


def write_data(folder: Path) -> None:
    """The samples, and what the model answers to them by ONNX Runtime in this process."""
    from nfkit.access.base import GraphBase
    from nfkit.data import load as load_data
    from nfkit.graph.input.discovery import find_input
    from nfkit.model import load

    data = load_data(str(MODEL.with_suffix(".npz")), "test").take(SAMPLES)
    np.savez(folder / "d.npz", x=data.x, y=data.y)
    model = load(MODEL)
    base = GraphBase(model, threads=1)
    x = find_input(model, value_range=(-1.0, 1.0)).encode(data.x)
    np.savez(folder / "truth.npz", x=x, scores=base(x))
