"Notebooks, package and README are one thing: exporting and cleaning again changes nothing."

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(
    p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts
)


def copy(tmp_path):
    work = tmp_path / "motionbook"
    usual = shutil.ignore_patterns(".git", ".venv*", "_*", "dist", "__pycache__", "*.egg-info")
    skip = lambda folder, names: (
        usual(folder, names) | ({"data"} if Path(folder) == ROOT else set())  # not the room
    )
    shutil.copytree(ROOT, work, symlinks=True, ignore=skip)
    for name in ("_quarto.yml",):
        shutil.copy(ROOT / name, work / name)
    for extra in ("__init__.py", "_modidx.py"):
        shutil.copy(ROOT / "motionbook" / extra, work / "motionbook" / extra)
    for p in (ROOT / "motionbook").rglob("__init__.py"):
        shutil.copy(p, work / p.relative_to(ROOT))
    return work


def tree(folder, pattern):
    return {
        p.relative_to(folder): p.read_bytes()
        for p in folder.rglob(pattern)
        if "__pycache__" not in p.parts
    }


def test_export_and_clean_change_nothing(tmp_path):
    work = copy(tmp_path)
    for tool in ("nbdev_export", "nbdev_clean"):
        subprocess.run(
            [Path(sys.executable).with_name(tool)], cwd=work, check=True, capture_output=True
        )
    assert tree(work / "motionbook", "*.py") == tree(ROOT / "motionbook", "*.py")
    assert tree(work / "nbs", "*.ipynb") == tree(ROOT / "nbs", "*.ipynb")


def test_readme_is_the_index():
    subprocess.run([sys.executable, ROOT / "tools" / "readme.py", "--check"], check=True)


def test_notebooks_are_executed_and_told():
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [c for c in cells if c["cell_type"] == "code"]
        prose = sum(c["cell_type"] == "markdown" for c in cells)
        errors = [o for c in code for o in c["outputs"] if o["output_type"] == "error"]
        assert not errors, path
        assert any(c["outputs"] for c in code), f"{path} was never executed"
        assert prose >= len(code) / 5, f"{path} has hardly any prose"
        assert path.stat().st_size < 1_000_000, path


def test_a_title_stands_alone_with_its_line():
    "What else stands in that cell is not shown on the site."
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        title = next("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        lines = [x for x in title.splitlines() if x.strip()]
        assert title.startswith("# ") and len(lines) <= 2, path


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [x for x in re.findall(r"\]\(([^)#]+)", text) if ":" not in x]
    assert links and [x for x in links if not (ROOT / x).exists()] == []


def test_every_module_has_its_notebook():
    "A page that moved leaves no module behind."
    package = ROOT / "motionbook"
    for path in package.rglob("*.py"):
        if path.name in ("__init__.py", "_modidx.py"):
            continue
        told = re.search(r"File to edit: (\S+)\.$", path.read_text(encoding="utf-8"), re.M)
        assert told and (path.parent / told[1]).is_file(), path
