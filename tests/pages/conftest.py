"""Pages in a real browser; where there is none, tests say so and are left out."""

import pytest


@pytest.fixture
def open_page(chromium):
    """open_page(path, **context): a page that is ready, without a network, and the addresses it asked for."""
    contexts = []

    def run(path, **settings):
        context = chromium.new_context(offline=True, **settings)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.complaints = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=90_000)
        return page

    yield run
    for context in contexts:
        context.close()
