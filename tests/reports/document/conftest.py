"""Records to report on, and a browser to look at the report."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from nfkit.reports.reading import read

RESULTS = Path(__file__).parents[3] / "docs" / "results"
SIGNS = '</script></style></svg><img src=x onerror="window.hit=1"><script>window.hit=1</script>"\'>'
SIGNS += "&#x41;\u202e\x00{{ 7*7 }}"


def hostile(value, longest=None):
    """The same record with markup in every text that means nothing to the program."""
    known = {"kind", "layout", "outcome", "choice", "labels", "schema", "level", "storage", "ecc", "alone_by"}
    if isinstance(value, dict):
        return {k: v if k in known else hostile(v, longest) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(entry, longest) for entry in value]
    return f"{SIGNS}{value}{'x' * (longest or 0)}" if isinstance(value, str) else value


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """Files of every kind of record that the repository holds, and one full of markup and huge names."""
    folder = tmp_path_factory.mktemp("records")
    found = SimpleNamespace(
        protect=RESULTS / "protect_resnet20_auto.json",
        evaluate=RESULTS / "evaluate_ai85nascifarnet_qat8_cifar10_qdq_iid_steps.json",
        pair=RESULTS / "evaluate_ai85.nf_iid.json",
        bits=RESULTS / "bits_resnet20.nf.json",
        energy=RESULTS / "energy_resnet18_hint-96_paper.json",
        hostile=folder / "hostile.json",
    )
    plain = read(found.protect).to_dict()
    found.hostile.write_text(json.dumps(hostile(plain, longest=20_000)))
    return found


@pytest.fixture
def visit(chromium):
    """visit(path, width, scheme): a page, and what it asked for; its details are open."""
    contexts = []

    def go(path, width=1280, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
        contexts.append(context)
        page = context.new_page()
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return page, asked, said

    yield go
    for context in contexts:
        context.close()
