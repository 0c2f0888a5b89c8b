"""What README.md and docs/ say is so: commands, paths, links, options and numbers.

`test_workflow.py` runs the same commands in a copy of the project; here they are only
read and looked up, which takes seconds. `test_extending.py` carries out the worked
examples.
"""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from pages import PAGES, PROGRAMS, ROOT, commands, commands_of, tables
from typer.testing import CliRunner

from dql.cli.main import app
from dql.config.data_schema import base_task
from dql.config.project import load_project
from dql.config.schema import ProjectConfig, TaskConfig
from dql.results.stored_runs import find_runs, stored_scale

sys.path.insert(0, str(ROOT / "docs"))
import tables as result_tables

BIN = Path(sys.executable).parent
KEPT = ROOT / "results" / "kept"
MAX_README_LINES = 150
TREES = ("dql", "workflow", "docs", "tests", "profiles", "benchmarks", "results/kept")


def snakemake_lines() -> list[str]:
    """Return the distinct `snakemake` lines at scale smoke, `python -m` ones too."""
    lines = [
        line.replace("scale=paper", "scale=smoke")
        for line in commands()
        if line.startswith(("snakemake ", "python -m snakemake "))
    ]
    return list(dict.fromkeys(lines))


def named_paths(page: str) -> list[str]:
    """Return the files and folders of the project that a page names as code."""
    words = re.findall(r"`([^`\s]+)`", PAGES[page])
    inside = [word for word in words if word.startswith(tuple(f"{t}/" for t in TREES))]
    # A word in capitals stands for any name.
    return [word for word in inside if not re.search(r"\b[A-Z]{2,}\b", word)]


def made_by_the_page(page: str) -> set[str]:
    """Return the files that a worked example makes."""
    return set(re.findall(r"<!-- new: (\S+) -->", PAGES[page]))


def headings(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"(?m)^#+ (.*)$", text)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in found]
    return {heading.replace(" ", "-") for heading in words}


def defined_in(file: Path) -> set[str]:
    """Return the functions, classes and methods that a module defines."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef)
            }
    return names


def test_every_command_is_of_a_known_program():
    assert {line.split()[0] for line in commands()} == set(PROGRAMS)


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    asked = {word for words in commands_of("make") for word in words}
    asked |= {
        word
        for text in PAGES.values()
        for words in re.findall(r"`make ([a-z\- ]+)`", text)
        for word in words.split()
    }
    assert asked and asked <= targets
    assert [] in commands_of("make")


@pytest.mark.parametrize("words", commands_of("dql"), ids=" ".join)
def test_every_dql_verb_has_help(words):
    verbs = [word for word in words if re.fullmatch("[a-z-]*[a-z]", word)][:2]
    group = verbs[0] in ("data", "bandit", "config")
    asked = [*verbs[: 2 if group else 1], "--help"]
    done = CliRunner().invoke(app, asked, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    for option in (word for word in words if word.startswith("--")):
        assert option in done.output


@pytest.mark.parametrize("words", commands_of("dql"), ids=" ".join)
def test_every_dql_task_and_method_exists(words):
    scale = "paper" if "paper" in words else "quick"
    project = load_project(scale=scale)
    tasks = [word for word in words if word in project.tasks]
    after = {task: words[words.index(task) + 1 :] for task in tasks}
    assert len(tasks) <= 1
    for task, rest in after.items():
        if rest and not rest[0].startswith("--"):
            if words[0] == "cell":  # takes the stored run's scale
                kept = find_runs(task, rest[0], [KEPT / "evidence"])
                project = load_project(scale=stored_scale(kept[0])) if kept else project
            assert project.run_config(task, rest[0], 0).task == task


@pytest.mark.parametrize("verbs", ["cell", "config run", "data describe", "data fetch"])
def test_the_pages_show_tasks_with_each_of_these(verbs):
    asked = [words for words in commands_of("dql") if words[:2] == verbs.split()]
    asked += [words for words in commands_of("dql") if words[:1] == [verbs]]
    tasks = load_project(scale="quick").tasks
    known = {*tasks, *(task.suite for task in tasks.values()), "--all"}
    assert asked
    named = [{base_task(word) for word in words} for words in asked]
    assert all(names & known for names in named)


def test_every_dvc_stage_exists():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    asked = [words for words in commands_of("dvc") if words[0] == "repro"]
    assert asked and {stage for _, stage in asked} <= set(stages)


@pytest.mark.parametrize("line", snakemake_lines())
def test_every_snakemake_line_passes_a_dry_run(line, tmp_path):
    program, _, rest = line.partition("snakemake")
    command = [sys.executable, "-m"] if program else []
    command += ["snakemake"] if program else [str(BIN / "snakemake")]
    command += ["-n", "--quiet", "host", "--directory", str(tmp_path)]
    words = shlex.split(rest)
    if not any(word.startswith("scale=") for word in words):
        # Before a target, Snakemake's own parser needs another option in between.
        command += ["--config", "scale=smoke", "--nocolor"]
    done = subprocess.run(
        [*command, *words], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "total" in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page):
    made = made_by_the_page(page)
    there = [path for path in named_paths(page) if path not in made]
    there = [path for path in there if KEPT.exists() or "results/kept" not in path]
    assert [path for path in there if not list(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_module_exists(page):
    names = re.findall(r"`(dql(?:\.\w+)+)`", PAGES[page])
    missing = [
        name
        for name in names
        if not (ROOT / f"{name.replace('.', '/')}.py").is_file()
        and not (ROOT / name.replace(".", "/") / "__init__.py").is_file()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", PAGES[page]):
        file, _, anchor = link.partition("#")
        target = (folder / file).resolve() if file else folder / page
        if target.is_relative_to(KEPT) and not KEPT.exists():
            continue
        assert target.is_file(), link
        if anchor:
            assert anchor in headings(target.read_text(encoding="utf-8")), link


def test_the_equations_are_where_the_readme_says():
    rows = next(rows for rows in tables("README.md") if "in the paper" in rows[0])
    looked_up = 0
    for row in rows:
        file = ROOT / re.search(r"\]\((.*)\)", row["file"])[1]
        name = row["name in it"].strip("`")
        if file.suffix == ".py" and name != "-":
            assert name in defined_in(file), row
            looked_up += 1
    assert looked_up >= 8


def test_the_architecture_names_the_packages_from_the_ground_up():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = contracts["tool"]["importlinter"]["contracts"][0]["layers"]
    packages = [name for name in layers if (ROOT / "dql" / name).is_dir()]
    named = re.findall(r"(?m)^\*\*`dql/(\w+)/`\*\*", PAGES["architecture.md"])
    assert named == packages[::-1]


def choices() -> list[tuple[str, str, str, str]]:
    """Return task, option, its values and its default, from the page on fidelity."""
    text, found = PAGES["fidelity.md"], []
    for row in (row for table in tables("fidelity.md") for row in table):
        if "option" not in row:
            continue
        of_bandit = text.index(f"| {row['point']} |") > text.index("## The bandit")
        task = "bandit-axes" if of_bandit else "hopper-medium-v2"
        options = row["option"].split("; ")
        defaults = row["default"].split("; ") + [""] * len(options)
        for option, default in zip(options, defaults, strict=False):
            if named := re.match(r"`(\w+)`(.*)", option):
                found.append((task, named[1], named[2], default))
    return found


def test_options_are_settings_with_the_values_and_defaults_that_are_said():
    project = load_project(scale="paper")
    others = {*TaskConfig.model_fields, *ProjectConfig.model_fields, "seeds"}
    num_defaults = 0
    for task, name, rest, default in choices():
        settings = project.settings(task, "diffusion_ql")
        assert name in settings or name in others, name
        for value in re.findall(r"`(\w+)`", rest.partition(":")[2]):
            chosen = project.settings(task, f"diffusion_ql@{name}={value}")
            assert chosen[name] == value
        said = re.match(r"`(\w+)`|([\d.e-]+)(?: |$)", default)
        if said and name in settings:
            expected = yaml.safe_load(said[1]) if said[1] else float(said[2])
            assert settings[name] == expected, name
            num_defaults += 1
    assert num_defaults >= 15


def test_the_methods_of_the_bandits_panels_exist():
    known = load_project(scale="paper").cells(["bandit"])
    section = PAGES["fidelity.md"].partition("## The bandit")[2]
    named = set(re.findall(r"`(\w+_as_released)`", section))
    assert len(named) == 2
    assert named <= {method for _, method in known}


@pytest.mark.skipif(not KEPT.exists(), reason="a copy without kept results")
@pytest.mark.parametrize("page", result_tables.PAGES, ids=lambda path: path.name)
def test_the_tables_are_those_of_the_kept_files(page):
    text = page.read_text(encoding="utf-8")
    assert result_tables.filled(text) == text, "make docs writes the tables anew"


def test_every_table_of_the_results_is_shown():
    shown = re.findall(r"<!-- table: ([\w-]+) -->", "".join(PAGES.values()))
    assert sorted(shown) == sorted(result_tables.TABLES)


def test_short_runs_are_not_called_a_ranking():
    assert PAGES["short_runs.md"].startswith("# Too short to rank\n")
    on_page = {
        name: page
        for page, text in PAGES.items()
        for name in re.findall(r"<!-- table: (local-[\w-]+|recorded) -->", text)
    }
    assert len(on_page) == 5
    assert set(on_page.values()) == {"short_runs.md"}


@pytest.mark.skipif(not KEPT.exists(), reason="a copy without kept results")
def test_remade_returns_are_those_of_the_kept_table_and_stand_once():
    kept = (KEPT / "evidence" / "tables" / "remade_data.md").read_text("utf-8")
    kept_rows = [row.strip("| ").split(" | ") for row in kept.splitlines()]
    returns = {(row[0], row[1]): row[4] for row in kept_rows if len(row) == 9}
    shown = next(rows for rows in tables("results.md") if "beside D4RL's" in rows[0])
    for row in shown:
        assert returns[row["remade"], row["beside D4RL's"]] == row["return"]
    sets = [row["beside D4RL's"] for row in shown]
    assert len(sets) == len(set(sets))
    assert set(sets) == {name for _, name in returns if name.endswith("-v2")}


def test_the_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= MAX_README_LINES
