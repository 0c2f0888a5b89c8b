"""pyproject.toml, requirements.lock and environment.yml state the same versions."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [*PROJECT["dependencies"], *EXTRAS["test"], *EXTRAS["lint"]]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())


def normalize(requirement: str) -> tuple[str, str]:
    """Split `minari[hdf5]==0.5.4` into its normalised name and its version."""
    name, version = requirement.split("==")
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower(), version


def locked_versions() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(normalize(line) for line in lines if line and not line.startswith("#"))


def pip_section() -> list[str]:
    (section,) = [d for d in ENVIRONMENT["dependencies"] if isinstance(d, dict)]
    return section["pip"]


def test_every_direct_dependency_is_pinned():
    pins = [*DIRECT, *EXTRAS["cluster"], *EXTRAS["browser"]]
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\w.]+", pin) for pin in pins)


def test_lock_agrees_with_pyproject():
    locked = locked_versions()
    for name, version in map(
        normalize, [*DIRECT, *EXTRAS["cluster"], *EXTRAS["browser"]]
    ):
        assert locked[name] == version


def test_lock_names_no_host_and_no_build():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "+" not in text


def test_environment_has_the_same_pins():
    pins = [entry for entry in pip_section() if not entry.startswith("--")]
    assert sorted(pins) == sorted(DIRECT)


def test_environment_installs_the_project_under_the_lock():
    options = [entry for entry in pip_section() if entry.startswith("--")]
    assert options == ["--constraint requirements.lock", "--editable ."]


def test_environment_has_the_same_python():
    (python,) = [d for d in ENVIRONMENT["dependencies"] if str(d).startswith("python")]
    assert python == f"python{PROJECT['requires-python']}"


def test_every_dependency_is_used():
    """Each direct dependency is imported, run, or what pandas needs for LaTeX."""
    run_not_imported = {
        "dvc",
        "import-linter",
        "jinja2",
        "pytest-xdist",
        "ruff",
        "snakefmt",
    }
    modules = {
        "gymnasium-robotics": "gymnasium_robotics",
        "pillow": "PIL",
        "pyyaml": "yaml",
    }
    sources = [*ROOT.glob("dql/**/*.py"), *ROOT.glob("tests/**/*.py")]
    text = "\n".join(path.read_text() for path in [*sources, ROOT / "Snakefile"])
    for name, _ in map(normalize, DIRECT):
        module = modules.get(name, name)
        imported = re.search(rf"(?m)^\s*(from|import) {module}\b", text)
        assert imported or name in run_not_imported, name
