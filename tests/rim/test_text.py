"""Text with a mark of its encoding in front, as the editors and the shell of Windows write it."""

from pathlib import Path

import pytest

from nfkit.campaigns.reading import read_plan
from nfkit.energy import load_curve
from nfkit.errors import DataError, NfkitError, OptionError
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.reading import read
from nfkit.rim.text import as_utf8

CURVE = "volts_over_vmin,bit_error_rate,energy_per_access\n0.8,0.01,0.6\n1,0,1\n"
RECORD = Path(__file__).parents[2] / "docs" / "results" / "evaluate_mlperf_tiny_kws_iid.json"
ZOO = Path(__file__).parents[2] / "models" / "zoo" / "resnet8_fashion_mnist_int8.onnx"
ENCODINGS = ("utf-8-sig", "utf-16")


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-8"])
def test_the_text_is_the_same(encoding):
    assert as_utf8("a µ\r\n".encode(encoding)) == "a µ\r\n".encode()


def test_a_mark_that_lies_is_refused():
    with pytest.raises(UnicodeDecodeError):
        as_utf8(b"\xff\xfe{")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_curves_plans_and_records_may_have_it(encoding, tmp_path):
    curve, plan, record = tmp_path / "c.csv", tmp_path / "p.toml", tmp_path / "e.json"
    curve.write_bytes(CURVE.encode(encoding))
    assert load_curve(str(curve)).at_rate(0.01).volts == 0.8
    plan.write_bytes(f'models = ["{ZOO}"]\nrates = ["1%"]\n'.encode(encoding))
    assert read_plan(plan).rates == (0.01,)
    record.write_bytes(RECORD.read_text(encoding="utf-8").encode(encoding))
    assert isinstance(read(record), Evaluation)


def test_what_is_cut_off_is_still_a_sentence(tmp_path):
    for reader, name, said in ((read, "e.json", DataError), (read_plan, "p.toml", OptionError)):
        path = tmp_path / name
        path.write_bytes(b"\xff\xfe{")
        with pytest.raises(said) as caught:
            reader(path)
        assert isinstance(caught.value, NfkitError)
    path = tmp_path / "c.csv"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(DataError, match="is no text"):
        load_curve(str(path))
