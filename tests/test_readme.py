"""The README's commands are real, and its map names what is there.

`test_workflow.py` runs the same commands in a copy of the project; here they are only
read and looked up, which takes seconds.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dql.config.project import load_project

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
MAX_LINES = 240


def commands() -> list[list[str]]:
    """Return the words of every command in a console block, comments left out."""
    blocks = re.findall(r"(?ms)^```console\n(.*?)^```", README)
    lines = [line for block in blocks for line in block.splitlines()]
    return [
        shlex.split(line.removeprefix("$ "), comments=True)
        for line in lines
        if line.startswith("$ ")
    ]


def commands_of(program: str) -> list[list[str]]:
    return [words[1:] for words in commands() if words[0] == program]


def snakemake_lines() -> list[str]:
    """Return the distinct `snakemake` lines at scale smoke, `python -m` ones too."""
    lines = []
    for words in commands():
        if words[0] == "snakemake" or words[:3] == ["python", "-m", "snakemake"]:
            line = shlex.join(words).replace("scale=paper", "scale=smoke")
            lines.append(line)
    return list(dict.fromkeys(lines))


def mapped_paths() -> list[str]:
    """Return the files and folders of the map; names without a folder are dql's."""
    section = README.partition("## Map of the code")[2].partition("\n## ")[0]
    cells = re.findall(r"(?m)^\| (`.*?) \|", section)
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    in_tree = ("/", "Snakefile", "dvc.yaml", "Makefile")
    return [n if any(part in n for part in in_tree) else f"dql/{n}" for n in names]


def test_every_command_is_of_a_known_program():
    programs = {words[0] for words in commands()}
    assert programs == {"make", "dql", "snakemake", "python", "dvc"}


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    asked = {word for words in commands_of("make") for word in words}
    assert asked and asked <= targets
    assert [] in commands_of("make")


@pytest.mark.parametrize("words", commands_of("dql"), ids=" ".join)
def test_every_dql_verb_has_help(words):
    verbs = [word for word in words if re.fullmatch("[a-z]+", word)][:2]
    command = [str(BIN / "dql"), *verbs, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option in (word for word in words if word.startswith("--")):
        assert option in done.stdout


@pytest.mark.parametrize("words", commands_of("dql"), ids=" ".join)
def test_every_dql_task_and_method_exists(words):
    project = load_project(scale="quick")
    names = [word for word in words if re.search("[-_]", word) and word[0] != "-"]
    if names:
        task, method = names
        assert project.run_config(task, method, 0).task == task


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
    if "scale=smoke" not in words:
        # Before a target, Snakemake's own parser needs another option in between.
        command += ["--config", "scale=smoke", "--nocolor"]
    done = subprocess.run(
        [*command, *words], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "total" in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()


def test_the_map_names_what_exists():
    missing = [name for name in mapped_paths() if not (ROOT / name).exists()]
    assert not missing


def test_the_map_names_every_module():
    named = set(mapped_paths())
    modules = {f"dql/{path.name}" for path in (ROOT / "dql").glob("*.py")}
    packages = {f"dql/{p.parent.name}/" for p in (ROOT / "dql").glob("*/__init__.py")}
    assert (modules | packages) - named == {"dql/__init__.py"}


def test_every_link_into_the_tree_leads_somewhere():
    links = re.findall(r"\]\((?!https?://)([^)]+)\)", README)
    kept = ROOT / "results" / "kept"
    for link in links:
        made_later = link.startswith("results/kept/") and not kept.exists()
        assert made_later or (ROOT / link).is_file(), link


def test_options_of_the_choices_exist():
    """Settings named as options are settings of Diffusion-QL."""
    settings = load_project().settings("hopper-medium-v2", "diffusion_ql")
    section = README.partition("disagree")[2].partition("\n## ")[0]
    options = re.findall(r"`(\w+)=\w+`", section)
    options += ["learning_rate_decay_steps", "max_gradient_norm", "num_candidates"]
    options += [f"actor_ema_{name}" for name in ("decay", "interval", "start")]
    assert set(options) <= set(settings)


def test_it_is_short_and_has_a_place_for_the_numbers():
    start, end = "<!-- numbers:quick -->", "<!-- /numbers:quick -->"
    assert README.count(start) == README.count(end) == 1
    prose = README.partition(start)[0] + README.partition(end)[2]
    assert len(prose.splitlines()) <= MAX_LINES
