"""Which source files the results of a module depend on: the module and all that it imports.

Imports are read from the text of the files, inside functions too, so nothing has to be listed by
hand and a new module counts from its first import on. Only files of the module's own package and of
clbench count; other distributions have versions.
"""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

# They take no part in any number: errors, tables and declarations of settings (whose values are in
# a work's name), what is kept on disk, what is measured. A new module counts until it stands here.
_APART = {
    "clbench",
    "clbench.config",
    "clbench.distillation",
    "clbench.distillation.settings",
    "clbench.distillation.table",
    "clbench.distillation.unfinished",
    "clbench.distillation.updates",
    "clbench.distillation.work",
    "clbench.errors",
    "clbench.fields",
    "clbench.machine.allocator",
    "clbench.machine.compat",
    "clbench.machine.cores",
    "clbench.report",
    "clbench.table",
}
_APART_PACKAGES = ("clbench.store", "clbench.measuring", "clbench.cli")


@cache
def sources_of(module: str) -> tuple[str, ...]:
    """Return the paths, sorted, of the sources that ``module`` (dotted) depends on.

    A module without a source file, as one typed into an interpreter, has none.
    """
    packages = {module.partition(".")[0], "clbench"}
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or _is_apart(name) or name.partition(".")[0] not in packages:
            continue
        file = _file(name)
        if file is None:
            continue
        found[name] = file
        waiting += _imports(name, file)
        if file.name == "__init__.py":
            # A package may load its parts when they are first used.
            parts = (path.stem for path in file.parent.glob("*.py"))
            waiting += [f"{name}.{part}" for part in parts if part != "__init__"]
    return tuple(sorted(str(path) for path in found.values()))


def _is_apart(name: str) -> bool:
    return name in _APART or name.startswith(_APART_PACKAGES)


@cache
def _file(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


@cache
def _imports(name: str, file: Path) -> list[str]:
    found: list[str] = []
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            inner = [f"{base}.{alias.name}" for alias in node.names]
            # Where all that is imported are modules, the package around them has no part.
            found += inner if all(map(_file, inner)) else [base, *inner]
    return found
