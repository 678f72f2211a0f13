"""A real browser, and the runtime that pages hold; where one is missing, tests say so and are left out."""

import pytest

from nfkit.data.download import cache_folder
from nfkit.pages.web_runtime import PUBLISHED, SCRIPT, WASM, find_web_runtime


@pytest.fixture(scope="session")
def web_runtime(tmp_path_factory):
    """A folder with onnxruntime-web, where it has been fetched."""
    archive = cache_folder() / "onnxruntime-web" / PUBLISHED.url.rpartition("/")[2]
    if not archive.exists():
        pytest.skip(f"{archive.name} is not in the cache: nfkit page fetches it once")
    found = find_web_runtime()  # of another digest it is not the one that is meant
    folder = tmp_path_factory.mktemp("runtime")
    (folder / SCRIPT).write_bytes(found.script)
    (folder / WASM).write_bytes(found.wasm)
    return folder


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
