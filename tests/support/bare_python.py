"""A Python in which some packages alone are seen, as on a machine lent for minutes."""

import importlib.metadata
import json
import re

from packaging.requirements import Requirement

# It takes the place of the finder of installed packages; `find_spec` of a hidden one
# returns None, as where there is none.
SITE = """\
import sys
from importlib.machinery import PathFinder

HIDDEN = frozenset({hidden})


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            return None
        return PathFinder.find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""


def hide_others(folder, base, alone):
    """Write a module into a folder that, on `PYTHONPATH`, hides other packages.

    Seen are those of `base` with all they require, and those of `alone`, of which what
    they require has to be named as well.
    """
    seen = _required(base, set(map(_key, alone))) | set(map(_key, alone)) | {"dql"}
    modules = importlib.metadata.packages_distributions().items()
    hidden = [name for name, found in modules if not set(map(_key, found)) & seen]
    (folder / "sitecustomize.py").write_text(SITE.format(hidden=json.dumps(hidden)))


def _required(names, without):
    found, rest = set(), list(map(_key, names))
    while rest:
        name = rest.pop()
        if name in found | without:
            continue
        found.add(name)
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # of another system
            continue
        for one in map(Requirement, lines):
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                rest.append(_key(one.name))
    return found


def _key(name):
    return re.sub(r"[-_.]+", "-", name).lower()
