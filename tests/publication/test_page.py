"""The results page: every verdict, figure and table once, in one file."""

import io
import json
import re
import shlex
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from results_folder import FIGURES, MACHINE, RUN, write_figure, write_results
from typer.testing import CliRunner

from dql import paths
from dql.claims.file import FAILS, HOLDS, TOO_FEW, UNTESTED, VERDICTS
from dql.cli.main import app
from dql.config.project import load_project
from dql.errors import UserError
from dql.files import write_json
from dql.publication import gallery
from dql.publication.origins import source_commit
from dql.publication.page import SYMBOLS, read_records, write_page
from dql.publication.sentences import sentences

MAX_PAGE_BYTES = 3_000_000
MAX_SECONDS = 5
VOID = {"meta", "img", "input", "use", "path", "rect", "circle", "br"}


class Page(HTMLParser):
    """A page's elements: (tag, attributes, text within)."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.unbalanced = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        element = [tag, dict(attributes), ""]
        self.found.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        if self.open[-1][0] != tag:
            self.unbalanced.append((self.open[-1][0], tag))
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, tag, name=None):
        return [
            (attributes, " ".join(text.split()))
            for found, attributes, text in self.found
            if found == tag and (name is None or name in attributes.get("class", ""))
        ]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("a folder")
    write_page(write_results(root), root)
    return root


@pytest.fixture(scope="module")
def records(root):
    return read_records(root / paths.ALL_CLAIMS)


@pytest.fixture(scope="module")
def text(root):
    return (root / paths.PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_is_whole_and_each_name_in_it_is_there_once(page):
    assert page.unbalanced == [] and page.open == []
    ids = [attributes["id"] for _, attributes, _ in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = [a["href"][1:] for _, a, _ in page.found if a.get("href", "")[:1] == "#"]
    assert inside and set(inside) <= set(ids)


def test_nothing_is_loaded_from_elsewhere(page, text):
    assert not re.search(r"https?://|@import|url\(", text)
    sources = [a["src"] for _, a, _ in page.found if "src" in a]
    assert sources and all(source.startswith("data:") for source in sources)
    assert [a for tag, a, _ in page.found if tag in ("link", "iframe", "object")] == []


def test_links_lead_to_files_that_are_there(page, root):
    links = {a["href"] for a, _ in page.all("a") if not a["href"].startswith("#")}
    assert len(links) == len(FIGURES) + 4
    for link in links:
        assert (root / paths.RESULTS / link).resolve().is_file(), link


def test_every_verdict_stands_once_with_word_shape_and_colour(page, records):
    shown = page.all("span", "verdict")
    words = sorted(text for _, text in shown)
    assert words == sorted(record["verdict"] for record in records)
    for attributes, word in shown:
        assert attributes["class"] == f"verdict {SYMBOLS[word]}"
    shapes = {attributes["href"] for attributes, _ in page.all("use")}
    assert shapes == {f"#mark-{SYMBOLS[v]}" for v in VERDICTS if v != TOO_FEW}


def test_every_claim_folds_its_rule_reasons_and_cost(page, records):
    rows = [text for a, text in page.all("details") if "decided by" in text]
    assert len(rows) == len({record["name"] for record in records})
    folded = " ".join(rows)
    for record in records:
        for clause in record["reason"].split("; "):
            assert " ".join(clause.split()) in folded
    assert all("to test it" in row for row in rows)


def test_figures_and_tables_are_shown_with_words(page):
    pictures = page.all("img")
    assert len(pictures) == len(FIGURES) == len(page.all("figcaption"))
    assert all(a["alt"] and int(a["width"]) == 300 for a, _ in pictures)
    captions = " ".join(text for _, text in page.all("figcaption"))
    assert "Modes on the axes, all methods. The 2-D bandit of Section 4" in captions
    assert "snakemake" not in captions and "{{" not in captions
    (table,) = page.all("details", "table")
    assert "Hyperparameters" in table[1]


def test_how_it_was_made_is_said(page):
    facts = " ".join(text for _, text in page.all("dl", "facts"))
    assert MACHINE["processor"] in facts and "torch 2.13.0" in facts
    assert "1 finished" in facts
    assert "the paper's 100,000" in facts
    commit = source_commit()
    assert (commit.digest if commit else "no commit") in facts


def commands(page) -> list[str]:
    """Return every command that stands on the page."""
    found = [text for _, text in page.all("code")]
    programs = ("make", "dql ", "snakemake ", "source ", "cd ")
    return sorted({text for text in found if text.startswith(programs)})


def test_commands_are_of_verbs_and_targets_that_exist(page):
    targets = re.findall(r"(?m)^([a-z-]+):", (paths.SOURCE / "Makefile").read_text())
    found = commands(page)
    assert {"make", "dql page", "dql claims", "dql summary"} <= set(found)
    for command in found:
        program, *words = shlex.split(command)
        if program == "make":
            assert set(words) <= set(targets)
        if program == "dql":
            done = CliRunner().invoke(app, [words[0], "--help"], env={"COLUMNS": "200"})
            assert done.exit_code == 0
            assert all(word in done.output for word in words if word[:2] == "--")


def test_snakemake_commands_pass_a_dry_run(page, tmp_path):
    """The shell expands braces, so each is run by one; one of each scale suffices."""
    found = [line for line in commands(page) if line.startswith("snakemake ")]
    scales = {line.rpartition("scale=")[2]: line for line in found}
    assert "quick" in scales and len(scales) > 1
    program = str(Path(sys.executable).parent / "snakemake")
    for line in scales.values():
        options = f"-n --quiet host --directory {shlex.quote(str(tmp_path))} --nocolor"
        script = f"{shlex.quote(program)} {options} {line.removeprefix('snakemake ')}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=paths.SOURCE, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert "total" in done.stdout + done.stderr


def test_the_first_sentences_are_counted_from_the_ledger(page, records):
    held, failed, others = sentences(records)
    assert [text for a, text in page.all("p")][1:4] == [held, failed, others]
    own = [r for r in records if r["origin"] == "paper"]
    bandit = {r["name"] for r in own if r["section"] == "bandit"}
    fails = {r["name"] for r in own if r["section"] == "bandit" and
             r["verdict"] == FAILS}  # fmt: skip
    assert held.startswith(f"{len(bandit - fails)} of the {len(bandit)} claims")
    assert failed.startswith(f"{len(fails)} fail")
    assert "“BCQ ends below Diffusion-QL” (axes)" in failed
    assert f"Of all {len({r['name'] for r in own})} claims" in others


def verdict(name, verdict, *, where="axes", section="bandit", leading=False):
    return {
        "name": name,
        "statement": f"{name}.",
        "verdict": verdict,
        "where": where,
        "section": section,
        "origin": "paper",
        "leading": leading,
    }


def test_sentences_follow_the_verdicts():
    records = [
        verdict("a", HOLDS),
        verdict("a", FAILS, where="corners"),
        verdict("b", HOLDS),
        verdict("c", HOLDS, leading=True),
        verdict("d", UNTESTED, where="runs", section="d4rl"),
        verdict("d", HOLDS, where="published table 1", section="d4rl"),
        verdict("e", UNTESTED, where="runs", section="d4rl"),
    ]
    assert sentences(records) == [
        "2 of the 3 claims that runs made here decide hold on every ground tried: "
        "“c”; “b”.",
        "1 fails on at least one ground at this scale: “a” (corners).",
        "Of all 5 claims of the paper, 2 rest on no run made here: by print or the "
        "settings on file 1 holds and 0 fail, 1 is not tested.",
    ]


def test_sentences_without_a_run_claim_nothing():
    records = [verdict("a", UNTESTED), verdict("b", TOO_FEW, where="remade data")]
    held, failed, others = sentences(records)
    assert held == "No claim of the paper has been decided by runs made here."
    assert failed == "None fails in runs made here."
    assert "2 are not tested" in others


def test_the_same_results_give_the_same_page_within_seconds(root, text):
    start = time.perf_counter()
    write_page(load_project(scale="quick"), root)
    assert time.perf_counter() - start < MAX_SECONDS
    assert (root / paths.PAGE).read_text(encoding="utf-8") == text


def test_many_large_figures_still_make_a_small_page(tmp_path):
    project = write_results(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (600, 1600, 3), np.uint8)
    for name in FIGURES:
        Image.fromarray(noise).save(write_figure(tmp_path, name))
    figures = gallery.page_figures(project, tmp_path)
    assert [figure.name for figure in figures] == list(FIGURES)
    assert all(figure.size == (gallery.SHRUNK_WIDTH, 375) for figure in figures)
    assert write_page(project, tmp_path).stat().st_size < MAX_PAGE_BYTES


def test_small_figures_are_shown_as_they_are(root):
    for figure in gallery.page_figures(load_project(scale="quick"), root):
        assert figure.image == (root / figure.file).read_bytes()


def test_a_shrunk_picture_keeps_its_shape_and_its_colours():
    picture = Image.new("RGB", (2000, 500), (0, 114, 178))
    content = io.BytesIO()
    picture.save(content, "PNG")
    shrunk = Image.open(io.BytesIO(gallery.shrunk(content.getvalue())))
    assert shrunk.size == (1000, 250)
    assert shrunk.convert("RGB").getpixel((5, 5)) == (0, 114, 178)


def test_before_anything_was_made_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"results/claims\.json is not there.*make"):
        write_page(load_project(scale="quick"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [{}, {"claims": []}, {"claims": [{"name": "a"}]}])
def test_claims_of_other_code_are_refused(tmp_path, content):
    path = tmp_path / paths.ALL_CLAIMS
    write_json(path, content)
    with pytest.raises(UserError, match=r"claims\.json.*dql claims"):
        write_page(load_project(scale="quick"), tmp_path)
    assert not (tmp_path / paths.PAGE).exists()


def test_parts_that_are_missing_are_said_to_be(root, tmp_path):
    claims = json.loads((root / paths.ALL_CLAIMS).read_text())
    write_json(tmp_path / paths.ALL_CLAIMS, claims)
    text = write_page(load_project(scale="quick"), tmp_path).read_text()
    assert "No figure of this scale has been drawn yet." in text
    assert "No table of this scale has been made yet." in text
    assert "0 finished" in text


def test_a_cell_that_is_there_is_the_example(root, tmp_path, page):
    task, method, _ = RUN
    assert not [line for line in commands(page) if line.startswith("dql cell")]
    project = write_results(tmp_path)
    write_json(tmp_path / paths.cell_file(task, method), {})
    text = write_page(project, tmp_path).read_text()
    assert f"dql cell {task} {method} --seed 0" in text
