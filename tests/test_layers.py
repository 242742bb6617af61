"Imports go down the list of rooms, never up; the package stays light and keeps its promises of dependencies."

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from copies import finish, start_copy

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "core synthetic body training formats converters schema features viz evaluation filters data models cleanup cli"
).split()
MODULES = sorted(
    p for p in (ROOT / "motionbook").rglob("*.py") if p.name not in ("__init__.py", "_modidx.py")
)


def room(name):
    return name.split(".")[1]


def imports(path):
    "Absolute names of the motionbook modules that a module imports."
    parts = ("motionbook", *path.relative_to(ROOT / "motionbook").with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: len(parts) - node.level]) if node.level else ""
            yield ".".join(filter(None, [base, node.module or ""]))
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names)


def violations(path):
    here = ROOMS.index(
        room(".".join(("motionbook", *path.relative_to(ROOT / "motionbook").with_suffix("").parts)))
    )
    names = [n for n in imports(path) if n.startswith("motionbook.")]
    return [n for n in names if ROOMS.index(room(n)) > here]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_down(path):
    assert violations(path) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_package_never_imports_nbdev_or_stars(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not any(n.split(".")[0] in ("nbdev", "execnb") for n in imports(path))
    stars = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"]
    assert not stars


def test_the_walk_sees_a_violation(tmp_path, monkeypatch):
    bad = tmp_path / "motionbook" / "core" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("from ..viz.player import Player\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert violations(bad) == ["motionbook.viz.player"]


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_import_is_light():
    heavy = (
        "torchvision pandas matplotlib smplx meshcat sentence_transformers accelerate h5py nbdev"
    )
    code = f"import motionbook, sys; print([m for m in {heavy.split()} if m in sys.modules])"
    assert run(code).strip() == "[]"


HEAVY = ("torch._dynamo", "sympy", "scipy", "pandas", "h5py", "matplotlib", "roma", "accelerate")


def loaded(code, *arguments):
    "Which heavy modules are there after some code."
    code += f"; import sys; print('LOADED', *[m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    lines = [line for line in run.stdout.splitlines() if line.startswith("LOADED")]
    assert lines, run.stdout + run.stderr
    return set(lines[-1].split()[1:])


def test_no_module_imports_what_it_may_not_need():
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in MODULES]
    assert loaded(f"import importlib; [importlib.import_module(m) for m in {names}]") == set()


def test_the_search_for_heavy_modules_finds_them():
    assert "scipy" in loaded("import scipy")


@pytest.fixture(scope="module")
def small_bvh(tmp_path_factory):
    from motionbook.core.motion import Scene
    from motionbook.formats.registry import write
    from motionbook.synthetic.people import person

    scene = Scene((person("walk", seconds=1, fps=30),))
    return write(scene, tmp_path_factory.mktemp("small") / "walk.bvh")


@pytest.mark.parametrize("command", ("info", "clean", "compare", "view"))
def test_no_command_but_train_compiles(command, small_bvh, tmp_path):
    out = {"clean": tmp_path / "walk.bvh", "view": tmp_path / "walk.html"}.get(command)
    words = [command, small_bvh, *(("-o", out) if out else ())]
    code = """
import sys
from motionbook.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
""".strip()
    got = loaded(f"exec({code!r})", *words)
    assert not {"torch._dynamo", "roma", "accelerate"} & got
    assert command != "info" or not {"scipy", "matplotlib"} & got


def sidebar():
    "The rooms of the docs: a name with a sentence, and its pages and families."
    import yaml

    side = yaml.safe_load((ROOT / "nbs" / "sidebar.yml").read_text(encoding="utf-8"))
    return side["website"]["sidebar"]["contents"]


def pages(items):
    for o in items:
        yield from pages(o["contents"]) if isinstance(o, dict) else [o]


def test_every_notebook_is_in_the_sidebar():
    there = {p.relative_to(ROOT / "nbs").as_posix() for p in (ROOT / "nbs").rglob("*.ipynb")}
    assert set(pages(sidebar())) == {p for p in there if ".ipynb_checkpoints" not in p}


def test_the_sidebar_follows_the_folders():
    "A room or a family lists the pages of its folder and of no other, and says in a sentence what it is."

    def walk(section, depth):
        folders = {Path(p).parts[:depth] for p in pages(section["contents"])}
        assert len(folders) == 1 and section["section"].partition(": ")[2], section["section"]
        for o in section["contents"]:
            if isinstance(o, dict):
                walk(o, depth + 1)

    rooms = [o for o in sidebar() if isinstance(o, dict)]
    for room in rooms:
        walk(room, 1)
    assert len(rooms) <= 17


FAMILIES = {p.name for p in (ROOT / "motionbook" / "formats").iterdir() if p.is_dir()} - {"kit"}
SHARED_WITH = {  # a module outside `formats` that knows a family's name -> the family, and why
    "cleanup/frames.py": ("dlc", "writes labels for DeepLabCut, which is what it is for"),
    "converters/marker_root.py": ("marker_h5", "is that dataset's converter"),
    "features/points/dlc_dataframe.py": ("dlc", "takes DeepLabCut's own table"),
    "features/points/keypoints.py": ("mediapipe", "tells MediaPipe's kinds of coordinates apart"),
    "features/points/markers.py": ("marker_h5", "is the representation of that dataset"),
}


def families_named(path):
    "Families of formats that a module outside that room imports from."
    parts = [n.split(".") for n in imports(path)]
    return {p[2] for p in parts if p[:2] == ["motionbook", "formats"] and len(p) > 2} & FAMILIES


def test_few_modules_outside_the_formats_know_a_family():
    "The registry is the way to a format; the list may only shrink."
    outside = {p.relative_to(ROOT / "motionbook").as_posix(): p for p in MODULES}
    found = {
        k: names
        for k, p in outside.items()
        if not k.startswith("formats/") and (names := families_named(p))
    }
    assert found == {k: {family} for k, (family, _) in SHARED_WITH.items()}


def test_no_page_has_the_name_of_the_standard_library():
    "`import inspect` in a notebook's folder must not find a page of ours."
    ours = {p.stem for p in MODULES} | {q.name for p in MODULES for q in p.parents}
    assert ours & sys.stdlib_module_names <= {"numbers"}  # the habits in which files print them


def test_every_name_of_a_module_is_known_in_it():
    "A page's other cells may import what its exported cells forgot to."
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "--quiet"]
    done = subprocess.run([*ruff, ROOT / "motionbook"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


IMPORTED = re.compile(r"^[ \t]*from (motionbook[\w.]*) import +(\([^)]*\)|[^\n;]+)", re.M)
RESOLVES = """
import json, sys
from importlib import import_module
from pathlib import Path

def is_there(module, name):
    try:
        return hasattr(import_module(module), name) or bool(import_module(f"{module}.{name}"))
    except ImportError:
        return False

asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
print(json.dumps([(where, m, n) for m, n, where in asked if not is_there(m, n)]))
"""


def imported_names(text):
    "What a text imports from the package by `from ... import ...`: modules with names."
    for module, names in IMPORTED.findall(text):
        words = re.sub(r"#.*", "", names).strip("() \n").split(",")
        yield from ((module, w.split()[0]) for w in words if w.split())


def sources():
    "Each file that may import from the package, with its code; of a notebook that of its cells."
    for folder in ("motionbook", "tests", "tools", "benchmarks", "docs"):
        for path in (ROOT / folder).rglob("*.py"):
            yield path, path.read_text(encoding="utf-8")
    for path in (ROOT / "nbs").rglob("*.ipynb"):
        if ".ipynb_checkpoints" not in path.parts:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            code = ("".join(c["source"]) for c in cells if c["cell_type"] == "code")
            yield path, "\n".join(code)


def missing_names(texts, box):
    "Names that are imported somewhere and are not there: where, from which module, which."
    asked = {}
    for path, text in texts:
        for found in imported_names(text):
            asked.setdefault(found, str(path))
    box.write_text(json.dumps([(*k, where) for k, where in asked.items()]), encoding="utf-8")
    said = finish(start_copy(RESOLVES, box))
    assert len(asked) > 0 and said, "no answer"
    return [tuple(x) for x in json.loads(said.splitlines()[-1])]


def test_every_name_that_is_imported_is_there(tmp_path):
    "A test or a benchmark that is rarely run may ask for what was renamed."
    assert missing_names(sources(), tmp_path / "names.json") == []


def test_the_search_for_missing_names_finds_them(tmp_path):
    text = "from motionbook.core.motion import (\n    Motion,  # there\n    Scene as S, gone,\n)\n"
    text += "    from motionbook.nowhere import thing\nfrom motionbook import core, read\n"
    want = [("x", "motionbook.core.motion", "gone"), ("x", "motionbook.nowhere", "thing")]
    assert missing_names([("x", text)], tmp_path / "names.json") == want
