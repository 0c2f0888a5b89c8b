"""A checkout of its own at scale smoke, and commands run in it."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTHING_TO_DO = "Nothing to be done"
LOCAL_TASK = "local-hopper-medium-expert"


def tree_files() -> list[str]:
    """List the files of the working tree that Git would keep, committed or not."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    names = listed.stdout.decode().split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def copy_tree(folder: Path) -> Path:
    """Copy the tree, at scale smoke, into a repository of its own."""
    for name in tree_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    config = folder / "workflow" / "config" / "config.yaml"
    config.write_text(config.read_text().replace("scale: quick", "scale: smoke"))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "copy"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    return folder


def run(command: str, folder: Path, *, fails: bool = False) -> str:
    """Run a command with this environment's programs; return all it printed."""
    programs = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": os.pathsep.join([programs, os.environ["PATH"]]),
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder.parent / "dvc-site-cache"),
    }
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert (done.returncode != 0) == fails, f"{command}:\n{done.stdout[-6000:]}"
    return done.stdout
