"""The table of operators against the operators' own schemas, so that no entry names an operand that is not there."""

import onnx
import pytest

from nfkit.graph.operators.table import OPERATORS, ORT, QONNX

STANDARD = sorted(op for domain, op in OPERATORS if not domain)


@pytest.mark.parametrize("op", STANDARD)
def test_standard_entries_fit_the_schema(op):
    facts, schema = OPERATORS["", op], onnx.defs.get_schema(op)
    named = {*facts.values, *facts.codes, *(facts.passed or ()), *facts.scales, *facts.statistics}
    for coded in facts.codes.values():
        named |= {index for index in (coded.scale, coded.zero_point, coded.bias) if index is not None}
    if facts.counted is not None:
        named |= {facts.counted.image, facts.counted.weight} | ({facts.counted.bias} - {None})
    assert op == "Scatter" or not schema.deprecated
    assert max(named, default=0) < schema.max_input
    assert not facts.transposed or facts.transposed in schema.attributes
    for index in (i for i, coded in facts.codes.items() if coded.role == "zero_point"):
        assert "zero_point" in schema.inputs[index].name
    for index in facts.scales:
        assert "scale" in schema.inputs[index].name


def test_what_is_counted_reads_weights_where_the_roles_say():
    for key, facts in OPERATORS.items():
        if facts.counted is not None:
            at = facts.counted.weight
            role = facts.values.get(at) or facts.codes[at].role
            assert role == "weight", key
            if facts.counted.bias is not None:
                coded = facts.codes.get(facts.counted.bias)
                given = facts.values.get(facts.counted.bias) or (coded.role if coded else "bias")
                assert given == "bias", key


def test_nothing_passes_on_what_it_also_computes_with():
    for key, facts in OPERATORS.items():
        assert not (facts.blind and (facts.values or facts.codes or facts.passes)), key
        assert facts.passes is None or not facts.codes, key
        assert facts.passes is None or facts.values in ({}, {0: "weight"}), key


def test_entries_are_of_known_domains():
    assert {domain for domain, _ in OPERATORS} == {"", ORT, f"{ORT}.nchwc", *QONNX}
