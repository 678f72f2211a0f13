"""Graphs of many dead nodes take time linear in them, in all that reads a graph."""

import json
import subprocess
import sys
import textwrap

import pytest

STEPS = textwrap.dedent(
    """
    import json, sys
    import numpy as np, onnx
    from nfkit.energy import load_curve
    from nfkit.faults import BitErrors, Chip
    from nfkit.graph.canonical.view import canonical
    from nfkit.graph.injection.inject import count_faults, inject, remove
    from nfkit.graph.input.discovery import find_input
    from nfkit.graph.memory.inventory import inventory
    from nfkit.graph.memory.sites import fault_sites
    from nfkit.graph.quantised.requantise import requantise
    from nfkit.model import load, sha256
    from nfkit.plans.energy_analysis import analyse

    TEXT = '''<ir_version: 10, opset_import: ["" : 21]> g (float[N, 3] x) => (float[N, 4] y)
        <int8[3, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -128}, float s = {0.1}>
        { f = DequantizeLinear (w, s)  y = MatMul (x, f) }'''
    DEAD = {
        "side by side": lambda i: onnx.helper.make_node("Relu", ["x"], [f"d{i}"]),
        "in a row": lambda i: onnx.helper.make_node("Relu", [f"d{i - 1}" if i else "f"], [f"d{i}"]),
        "readers of a weight": lambda i: onnx.helper.make_node("DequantizeLinear", ["w", "s"], [f"d{i}"]),
    }
    CURVE = load_curve("stutz-2021")

    def there_and_back(model):
        sites, chip, errors = fault_sites(model), Chip(50_000), BitErrors(0.1)
        count_faults(model, sites, chip, errors)
        remove(inject(model, sites, chip, errors, "node"))

    USES = {
        "inspect": lambda model: (inventory(model), find_input(model)),
        "inject": there_and_back,
        "energy": lambda model: analyse(model, CURVE.at_rate(0.01), CURVE),
        "requantise": lambda model: requantise(model, 3),
        "canonical": canonical,
        "digest": sha256,
    }

    def steps(action):
        count = [0]
        def trace(frame, event, argument):
            count[0] += 1
            return trace
        sys.settrace(trace)
        try:
            result = action()
        finally:
            sys.settrace(None)
        return result, count[0]

    def graph(kind, dead):
        proto = onnx.parser.parse_model(TEXT)
        proto.graph.node.extend(map(DEAD[kind], range(dead)))
        return proto

    found = {}
    for kind in DEAD:
        few, many = (graph(kind, dead) for dead in (60, 300))
        models = {}
        for proto in (few, few, many):  # the first time fills caches
            models[id(proto)] = steps(lambda: load(proto))
        found[kind, "load"] = models[id(many)][1] / models[id(few)][1]
        for use, action in USES.items():
            action(load(few))
            base, larger = (steps(lambda: action(models[id(proto)][0]))[1] for proto in (few, many))
            found[kind, use] = larger / base
    print(json.dumps([[*key, ratio] for key, ratio in found.items()]))
    """
)


@pytest.fixture(scope="module")
def ratios():
    """How many more steps five times the dead nodes take, counted by the interpreter itself."""
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return {(kind, use): ratio for kind, use, ratio in json.loads(done.stdout)}


def test_five_times_the_dead_nodes_take_five_times_the_steps(ratios):
    assert {use for _, use in ratios} == {"load", "inspect", "inject", "energy", "requantise", "canonical", "digest"}
    assert {key: ratio for key, ratio in ratios.items() if not 1 < ratio < 5.5} == {}
