"""What the report is made of: every output in it has a caption, category and label."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined

from dql.config.project import load_project
from dql.figures import registry as figures

ROOT = Path(__file__).parents[1]
CAPTIONS = sorted((ROOT / "workflow" / "report").glob("*.rst"))
RULES = {
    file.name: file.read_text() for file in (ROOT / "workflow/rules").glob("*.smk")
}
REPORTED = [
    (name, call)
    for name, text in RULES.items()
    for call in re.findall(r"(?s)report\(\n(.*?)\n\s+\),\n", text)
]


def test_every_report_call_is_found():
    assert len(REPORTED) == sum(text.count("report(\n") for text in RULES.values()) > 3


@pytest.mark.parametrize(("name", "call"), REPORTED)
def test_reported_outputs_have_caption_category_and_label(name, call):
    assert "caption=" in call and "labels=" in call
    # Snakemake sorts categories by name: the number gives their order.
    assert re.search(r'category="\d [A-Z]', call)
    for caption in re.findall(r'caption="../report/(\w+)\.rst"', call):
        assert (ROOT / "workflow" / "report" / f"{caption}.rst").is_file()


@pytest.mark.parametrize("name", [*figures.FIGURES, *load_project().config.tables])
def test_figures_and_tables_have_captions(name):
    assert ROOT / "workflow" / "report" / f"{name}.rst" in CAPTIONS


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_captions_are_valid(path):
    workflow = SimpleNamespace(
        config={"scale": "quick", "min_steps_to_rank": 50000},
        wildcards=SimpleNamespace(suite="local", task="local"),
    )
    template = Environment(undefined=StrictUndefined).from_string(path.read_text())
    text = template.render(snakemake=workflow)
    strict = {"halt_level": 2, "report_level": 2}
    body = publish_parts(text, writer="html", settings_overrides=strict)["body"]
    assert "quick" in body or "quick" not in text
    assert len(re.sub("<.*?>", "", body)) > 150
