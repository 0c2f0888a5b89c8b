"""The results page in a headless Chromium: two widths, keyboard, paper, accessibility.

Needs `pip install -e '.[browser]'` and a chromium on the PATH (Debian: chromium).
"""

import shutil

import pytest
from results_folder import write_results

from dql.publication.page import write_page

NEEDS = "needs pip install -e '.[browser]'"
sync_api = pytest.importorskip("playwright.sync_api", reason=NEEDS)
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright", reason=NEEDS)
PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="no chromium on the PATH"),
    pytest.mark.xdist_group("browser"),
]
WIDTHS = (1280, 400)
UNFOLD = "document.querySelectorAll('details').forEach(part => part.open = true)"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    root = tmp_path_factory.mktemp("a folder")
    return write_page(write_results(root), root).as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=PROGRAM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, address):
    """Return a function that opens the page, and watch that it asks for nothing."""
    contexts, wrong = [], []

    def open_page(width=1280, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        return page

    asked = []
    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
    assert [
        url for url in asked if not url.startswith("data:") and url != address
    ] == []


def shown_rows(page):
    return page.locator(".claims tbody tr:visible").count()


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_width(opened, width):
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [picture.bounding_box() for picture in page.locator("img").all()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_no_accessibility_rule_is_broken(opened, width, scheme):
    page = opened(width, scheme)
    page.evaluate(UNFOLD)
    results = axe_api.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_the_filter_shows_claims_with_the_verdict(opened):
    page = opened()
    everything = shown_rows(page)
    page.get_by_label("does not hold").check()
    failed = page.locator(".claims tr:has([data-verdict=fails])").count()
    assert 0 < failed == shown_rows(page) < everything
    said = page.get_by_role("status").text_content()
    verdicts = page.locator(".claims [data-verdict=fails]").count()
    assert (
        said == f"{failed} of {everything} claims shown, with {verdicts} such verdicts"
    )
    assert page.locator(".group:visible").count() > 0
    page.get_by_label("all", exact=False).first.check()
    assert shown_rows(page) == everything


def test_the_keyboard_reaches_filter_and_reasons(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdicts"
    page.locator("input[name=verdict]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.value") == "holds"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert page.locator(".claims details[open]").count() == 1
    assert page.get_by_text("decided by").first.is_visible()


def test_a_verdict_reads_as_a_word_with_its_ground(opened):
    """A screen reader gets rows and headings of a table, and no empty shapes."""
    page = opened()
    row = page.get_by_role("row", name="BCQ ends below Diffusion-QL")
    assert row.get_by_role("cell").first.inner_text().split("\n")[0].strip() == (
        "does not hold"
    )
    assert page.get_by_role("columnheader", name="modes on the axes").count() == 1
    headings = page.get_by_role("heading", level=2).all_text_contents()
    assert headings == [
        "The paper's claims, tested here", "Figures", "Tables", "How it was made"
    ]  # fmt: skip


def test_on_paper_nothing_is_folded_or_cut(opened):
    page = opened()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    page.emulate_media(media="print")
    assert not page.get_by_role("group", name="Show claims by verdict").is_visible()
    assert page.get_by_role("status").is_visible()  # that claims are left out, if so
    assert page.pdf()[:4] == b"%PDF"
