"""The house rules that a machine can hold: which room imports which, and where the heavy libraries live."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for folder in ("facekit", "plugins") for path in (ROOT / folder).rglob("*.py"))

# A room may import itself, the rooms listed here, facekit.errors and facekit.compiled.
GROUND = {"records", "run", "images", "output", "stores"}
MIDDLE = GROUND | {"faces", "embeddings"}
UPPER = {"masks", "clean", "evaluate", "train", "report", "synth"}
ROOMS = {
    "errors": set[str](),
    "operator_types": set[str](),
    "compiled": {"operator_types"},
    "assets": set[str](),
    "images": set[str](),
    "stores": set[str](),
    "output": {"stores"},
    "records": {"images", "output"},  # PackWriter reads a picture's size for `property`
    "run": {"output"},
    "compat": {"records", "images"},
    "faces": GROUND | {"assets"},
    "embeddings": GROUND,
    **{room: MIDDLE | {"assets"} for room in UPPER},
    "jobs": MIDDLE | UPPER,
    "cli": MIDDLE | UPPER | {"jobs"},
    "__main__": {"cli"},
}

# Families of jobs: what each may take of the others.
SHARED = {"inputs", "outputs"}
FAMILIES = {
    "inputs": set[str](),
    "outputs": {"inputs"},
    **dict.fromkeys(("mask", "pack", "synth", "embed", "packs", "textures", "cost"), SHARED),
    "benchmark": SHARED | {"packs", "synth", "embed", "evaluate"},
    "photos": SHARED | {"mask"},
    "doctor": SHARED | {"mask", "synth"},
    "clean": SHARED | {"embed"},
    "lists": SHARED | {"clean"},
    "evaluate": SHARED | {"embed"},
    "overlap": SHARED | {"embed", "clean"},
    "passport": SHARED | {"embed", "clean", "packs", "overlap"},
    "train": SHARED | {"packs", "evaluate"},
    "selflearn": SHARED | {"cost", "embed", "clean", "mask", "train", "evaluate"},
}

# Third-party libraries that have one home.
HOMES = {
    "torch": ("facekit/embeddings/", "facekit/train/", "plugins/"),
    "ray": ("facekit/run/ray_executor.py",),
    "ai_edge_litert": ("facekit/faces/",),
    "onnxruntime": ("facekit/embeddings/", "facekit/train/", "plugins/"),
    "retinaface": (),
    "faiss": ("facekit/clean/", "facekit/embeddings/"),
    "hdbscan": ("facekit/clean/",),
    "rich": ("facekit/run/progress.py", "facekit/cli/"),
    "click": ("facekit/cli/",),
    "PIL": ("facekit/report/", "facekit/images/"),
    "mxnet": (),
    "fsspec": ("facekit/stores/",),
    "aiohttp": ("facekit/stores/",),
    "zstandard": ("facekit/stores/",),
}

# What may not be loaded by importing a module that `facekit --help` loads.
LIGHT = ("facekit/__init__.py", "facekit/__main__.py", "facekit/errors.py", "facekit/cli/")
LIGHT_PARTS = ("facekit.errors", "facekit.cli", "facekit.__version__")
LIGHT_LIBRARIES = {*sys.stdlib_module_names, "click"}

TALK = {"print", "exit", "quit", "sys.exit", "click.echo", "sys.stdout.write"}
VAGUE = {"utils", "util", "helper", "helpers", "manager", "process", "data", "info", "misc", "common"}
CODECS = {"facekit/images/codec.py", "facekit/masks/textures.py"}  # the latter reads the project's own RGBA assets


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module a file names, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str | None:
    """The room of facekit that a dotted name lies in; None: a public name of the package itself, or elsewhere."""
    first, _, rest = module.partition(".")
    inner = rest.partition(".")[0]
    return inner if first == "facekit" and inner in ROOMS else None


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def test_imports_go_downward() -> None:
    for path in MODULES:
        parts = path.relative_to(ROOT).parts
        own = "plugins" if parts[0] == "plugins" else Path(parts[1]).stem
        if own == "__init__":
            continue  # the public names, loaded when they are used
        allowed = {own, "errors", "compiled"} | (MIDDLE | UPPER if own == "plugins" else ROOMS[own])
        wrong = [module for module in imports(tree(path)) if (room(module) or own) not in allowed]
        assert not wrong, f"{name(path)} may import {sorted(allowed)}"


def test_what_is_imported_of_facekit_is_there() -> None:
    """Those for annotations alone too, which nothing but a type checker follows."""
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("facekit."):
                home = ROOT.joinpath(*(node.module or "").split("."))
                assert home.with_suffix(".py").is_file() or (home / "__init__.py").is_file(), f"{name(path)}: {home}"


def test_families_of_jobs_import_downward() -> None:
    for path in (ROOT / "facekit" / "jobs").rglob("*.py"):
        own = path.relative_to(ROOT / "facekit" / "jobs").parts[0]
        named = {module.split(".")[2] for module in imports(tree(path)) if module.startswith("facekit.jobs.")}
        assert path.name == "__init__.py" or named <= FAMILIES[own] | {own}, f"{name(path)} imports {sorted(named)}"


def test_every_family_but_the_shared_ones_has_a_job() -> None:
    for family in FAMILIES.keys() - SHARED - {"packs"}:
        assert (ROOT / "facekit" / "jobs" / family / "job.py").is_file(), family


def test_no_file_is_tied_to_itself() -> None:
    """No circle of imports, those inside functions included: any file can be read after the files it takes from."""
    graph = {module_name(path): {m for m in named_modules(path) if m != module_name(path)} for path in MODULES}
    while graph:
        ground = {module for module, named in graph.items() if not named & graph.keys()}
        assert ground, f"these import each other in a circle: {sorted(graph)}"
        graph = {module: named for module, named in graph.items() if module not in ground}


def test_heavy_libraries_stay_at_home() -> None:
    for path in MODULES:
        away = [m for m in imports(tree(path)) if not name(path).startswith(HOMES.get(m.partition(".")[0], ("",)))]
        assert not away, f"{name(path)}: the homes are {HOMES}"


def test_facekit_never_names_a_plugin() -> None:
    for path in MODULES:
        named = [module for module in imports(tree(path)) if module.startswith("facekit_")]
        assert name(path).startswith("plugins/") or not named, name(path)


def test_the_command_line_imports_nothing_heavy_at_its_top() -> None:
    for path in MODULES:
        if name(path).startswith(LIGHT):
            top = [node for node in tree(path).body if isinstance(node, (ast.Import, ast.ImportFrom))]
            named = {module for node in top for module in imports(node) if not module.startswith(LIGHT_PARTS)}
            assert {module.partition(".")[0] for module in named} <= LIGHT_LIBRARIES, name(path)


def test_only_the_command_line_prints_and_exits() -> None:
    for path in MODULES:
        if not name(path).startswith("facekit/cli/"):
            talk = [call for call in calls(tree(path)) if call in TALK]
            assert not talk, name(path)


def test_pictures_are_decoded_and_encoded_in_one_file() -> None:
    for path in MODULES:
        if name(path) not in CODECS:
            used = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
            assert not used & {"imdecode", "imencode", "imread", "imwrite"}, name(path)


def test_tables_are_read_by_one_file() -> None:
    """Threads of Arrow's that outlive the interpreter abort a command that has done its work."""
    reading = {"read_table", "ParquetFile", "ParquetDataset", "iter_batches", "read_csv", "dataset", "read_feather"}
    reads = {"facekit/run/parquet.py", "facekit/records/parquet_shards.py"}  # the latter streams from stores
    for path in MODULES:
        if name(path) in reads:
            continue
        tree_of_it = tree(path)
        found = {call for call in calls(tree_of_it) if "." in call and call.rpartition(".")[2] in reading}
        assert not found, f"{name(path)} calls {', '.join(sorted(found))}: read tables through facekit.run.parquet"
    for path in sorted(reads):
        for call in (node for node in ast.walk(tree(ROOT / path)) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func).rpartition(".")[2]
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert called != "ParquetFile" or given["pre_buffer"] == "False", path
            assert called not in ("iter_batches", "ReadOptions") or given["use_threads"] == "False", path


def test_names_say_what_things_are() -> None:
    assert not {path.stem for path in MODULES} & VAGUE


def test_randomness_is_always_seeded() -> None:
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called != "np.random.default_rng" or node.args, f"{name(path)}:{node.lineno}"
                assert not called.startswith(("np.random.seed", "random.")), f"{name(path)}:{node.lineno}"


def test_compiled_kernels_that_call_each_other_share_a_file() -> None:
    """numba's cache does not see edits in other files, so a file with kernels may import none from another."""
    kernels = {path: jitted(tree(path)) for path in MODULES}
    for path in MODULES:
        elsewhere = {function for other in MODULES if other != path for function in kernels[other]}
        taken = {module.rpartition(".")[2] for module in imports(tree(path)) if module.startswith("facekit")}
        assert not kernels[path] or not taken & elsewhere, name(path)


def test_kernels_compile_in_nothing_from_another_file() -> None:
    """Numba's cache does not see edits in other files: a constant from there would keep its old value after an edit."""
    for path in MODULES:
        module = tree(path)
        foreign = from_elsewhere(module)
        for kernel in kernels_of(module):
            used = {node.id for line in kernel.body for node in ast.walk(line) if isinstance(node, ast.Name)}
            assert not used & foreign, f"{name(path)}: {kernel.name} takes {used & foreign}"


def test_what_comes_from_another_file_is_recognised() -> None:
    module = ast.parse(
        "import numpy as np\nfrom facekit.masks.raster import SAMPLES as S\nimport facekit.masks.raster as raster\n"
        "A, B = S * 2, 3\nC = A + 1\nD = raster.FAR\nE: int = 4\nF: int = C\n"
    )
    assert from_elsewhere(module) == {"S", "raster", "A", "B", "C", "D", "F"}


def from_elsewhere(module: ast.Module) -> set[str]:
    """Names at the top of a file that are imported from facekit, and those that are made from such ones."""
    taken: set[str] = set()
    for node in module.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)) and any(m.startswith("facekit") for m in imports(node)):
            taken |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
            taken |= named if taken & {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)} else set()
    return taken


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts)


def named_modules(path: Path) -> set[str]:
    """The files of facekit that a file takes names from; a room's ``__init__`` only hands names on."""
    known = {module_name(other) for other in MODULES if other.name != "__init__.py"}
    taken = set(imports(tree(path))) if path.name != "__init__.py" else set()
    return {module for name in taken for module in (name, name.rpartition(".")[0]) if module in known}


def calls(module: ast.Module) -> Iterator[str]:
    yield from (ast.unparse(node.func) for node in ast.walk(module) if isinstance(node, ast.Call))


def kernels_of(module: ast.Module) -> list[ast.FunctionDef]:
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    return [f for f in functions if any(ast.unparse(d).startswith("kernel") for d in f.decorator_list)]


def jitted(module: ast.Module) -> set[str]:
    return {kernel.name for kernel in kernels_of(module)}
