"""Plans: what is wrong is said at once, and what is right is read as it is meant."""

import msgspec
import pytest

from nfkit.campaigns.plan import TEMPLATE, CampaignPlan, ModelEntry
from nfkit.campaigns.reading import check_plan, read_plan
from nfkit.errors import OptionError


def test_everything_that_is_wrong_is_said_at_once(tiny, tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(
        f"""
        models = ["{tiny.base}", "absent.onnx", {{file = "{tiny.base}", name = "again", data = ["no.npz"]}}]
        remedies = ["bare", "robust-bits:no", "wishful"]
        kinds = ["stuck", "flip:0.2", "stuck:much"]
        layouts = ["iid", "diagonal"]
        storage = ["as-stored", "as-stored"]
        rates = [0.01, 0.7]
        voltages = [0.9, 1.2]
        curve = "nobody-2020"
        samples = 1
        labels = "mine"
        level = "most"
        until = "60%"
        chips = 1
        """
    )
    with pytest.raises(OptionError) as caught:
        read_plan(path)
    first, *lines = str(caught.value).splitlines()
    assert first == f"17 things to mend in '{path}':"
    expected = [
        "models[1]: there is no file 'absent.onnx'",
        "models[2].data: there is no data at 'no.npz'",
        "remedies: robust bits 'no'",
        "remedies: unknown remedy 'wishful'",
        "kinds: ",
        "kinds: kind 'stuck:much'",
        "layouts: unknown layout 'diagonal'",
        "storage: as-stored is there more than once",
        "rates: ",
        "curve: ",
        "voltages: rates and voltages both say how strong errors are",
        "voltages: 1.2 is no supply voltage over Vmin",
        "samples: ",
        "labels: 'mine'",
        "level: 'most'",
        "until: give a half width between 0 and 0.5",
        "until: an interval takes chips = 2 or more",
    ]
    assert len(lines) == len(expected)
    for line, begin in zip(lines, expected, strict=True):
        assert line.startswith(f"  {begin}"), line


def test_keys_and_types_are_refused_with_the_key_that_was_meant(tiny):
    with pytest.raises(OptionError) as caught:
        check_plan(
            {
                "models": [str(tiny.base), {"name": "x", "rnage": [0, 1]}, 3],
                "remedy": ["bare"],
                "zebra": 1,
                "chips": "ten",
                "rates": ["1 percent"],
            },
            "plan.toml",
        )
    assert str(caught.value).splitlines() == [
        "7 things to mend in plan.toml:",
        "  remedy: no such key; did you mean remedies?",
        "  zebra: no such key; the keys are " + ", ".join(CampaignPlan.__struct_fields__),
        "  chips: Expected int, got str",
        "  rates: '1 percent' is no share: write 0.01 or \"1%\"",
        "  models[1]: the key file is missing, which says where the model is",
        "  models[1].rnage: no such key; did you mean range?",
        "  models[2]: give a path, or a table with the key file",
    ]


def test_a_plan_without_models_says_so():
    with pytest.raises(OptionError, match=r'models: give what to measure, such as models = \["model.onnx"\]'):
        check_plan({})


def test_shares_and_single_values_are_read_as_people_write_them(tiny):
    plan = check_plan({"models": str(tiny.base), "rates": ["0.1%", 0.02], "until": "1%", "chips": 4, "max_chips": 9})
    assert plan.models == (ModelEntry(str(tiny.base)),)
    assert plan.rates == (0.001, 0.02)
    assert plan.until == 0.01
    assert plan.seeds == range(50_000, 50_009)
    assert check_plan({"models": str(tiny.base)}).rates == (0.01,)
    assert check_plan(msgspec.to_builtins(plan)) == plan


def test_the_command_line_changes_a_plan(tiny, tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(f'models = ["{tiny.base}"]\nuntil = 0.2\n')
    assert read_plan(path, {"until": "1%", "max_chips": 30}).until == 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first_chip": 40_000}, "chips 40000 to 40009 leave those that nothing is trained"),
        ({"first_chip": 999_995}, "chips 999995 to 1000004 leave"),
        ({"max_chips": 20}, "max_chips: it ends the rule until"),
        ({"until": 0.1, "chips": 10, "max_chips": 5}, "max_chips: give at least chips, 10"),
        ({"chips": 0}, "chips: give at least 1"),
        ({"remedies": []}, "remedies: the list is empty"),
    ],
)
def test_counts_that_make_no_sense_are_refused(tiny, changes, message):
    with pytest.raises(OptionError, match=message):
        check_plan({"models": str(tiny.base), **changes})


def test_files_that_are_no_plan_are_refused(tmp_path):
    with pytest.raises(OptionError, match="cannot read the plan"):
        read_plan(tmp_path / "absent.toml")
    (tmp_path / "plan.toml").write_text("models = [")
    with pytest.raises(OptionError, match="is no TOML"):
        read_plan(tmp_path / "plan.toml")


def test_the_template_is_a_plan(tiny, tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(TEMPLATE.format(name="plan.toml", model=f'"{tiny.base}"', data=f'data = ["{tiny.data}"]'))
    plan = read_plan(path)
    assert plan.remedies == ("bare", "robust-bits:2", "ecc:secded-64")
    assert plan.rates == (0.005, 0.01)
    # What it shows commented out can be taken in.
    text = path.read_text()
    for line in ("samples = 1000", 'labels = "base"', 'until = "1%"', "max_chips = 1000", 'figure = "loss"'):
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line)
    path.write_text(text)
    assert read_plan(path).max_chips == 1000
