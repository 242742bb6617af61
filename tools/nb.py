"""Write and run the notebooks without a browser.

python tools/nb.py build draft.py nbs/core/x.ipynb   percent text -> notebook, exported, executed, clean
python tools/nb.py text nbs/core/x.ipynb > draft.py  notebook -> percent text
python tools/nb.py run nbs/core/x.ipynb ...          execute in place, keeping outputs
python tools/nb.py sync                              export all, clean all, README from the index
"""

import hashlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SKIP = ("#| slow", "#| gpu", "#| data", "#| eval: false", "nbdev_export(")


def with_ids(nb, name: str):
    "Cell ids that depend on the path and the source alone, so that the exported module is stable."
    seen = set()
    for cell in nb.cells:
        n = 0
        while (i := _id(name, cell.source, n)) in seen:
            n += 1
        seen.add(i)
        cell["id"] = i
    return nb


def _id(name, source, n):
    return hashlib.sha1(f"{name}\n{n}\n{source}".encode()).hexdigest()[:8]


def new(draft: Path, path: Path):
    "The notebook that a percent script describes, without outputs."
    import jupytext
    import nbformat

    nb = jupytext.read(draft, fmt="py:percent")
    for cell in nb.cells:
        cell.metadata.clear()
    nb.metadata = {
        "kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}
    }
    nb.nbformat, nb.nbformat_minor = 4, 5
    name = path.resolve().relative_to(ROOT).as_posix()
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(with_ids(nb, name), path)


def lint(path: Path):
    "Format the notebook; report what ruff finds."
    import subprocess

    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "-q", "--fix", path], check=True, cwd=ROOT)
    subprocess.run([*ruff, "format", "-q", path], check=True, cwd=ROOT)
    name = path.resolve().relative_to(ROOT).as_posix()
    import nbformat

    nbformat.write(with_ids(nbformat.read(path, 4), name), path)


def run(path: Path):
    "Execute in place with the runner that `nbdev_test` uses, outputs kept for the docs."
    from execnb.nbio import read_nb, write_nb
    from execnb.shell import CaptureShell

    sys.path.insert(0, str(ROOT))
    os.environ["IN_TEST"] = "1"
    nb, here = read_nb(path), os.getcwd()
    os.chdir(path.parent)
    try:
        CaptureShell(path.name, mpl_format="png").run_all(nb, exc_stop=True, preproc=_flagged)
    finally:
        os.chdir(here)
    write_nb(nb, path)
    from nbdev.clean import clean_nb, process_write

    process_write(warn_msg="", proc_nb=clean_nb, f_in=path)


def _flagged(cell):
    return cell.cell_type == "code" and any(s in cell.source for s in SKIP)


def export(path: Path):
    from nbdev.export import nb_export

    nb_export(path, lib_path=ROOT / "motionbook")


def text(path: Path):
    import jupytext

    print(jupytext.writes(jupytext.read(path), fmt="py:percent"))


def build(draft: Path, path: Path):
    new(draft, path)
    lint(path)
    export(path)
    run(path)


def sync():
    import subprocess

    for tool in ("nbdev_export", "nbdev_clean"):
        subprocess.run([str(Path(sys.executable).with_name(tool))], check=True, cwd=ROOT)
    subprocess.run([sys.executable, ROOT / "tools" / "readme.py"], check=True, cwd=ROOT)


if __name__ == "__main__":
    verb, paths = sys.argv[1], [Path(p) for p in sys.argv[2:]]
    if verb == "build":
        build(*paths)
    elif verb == "sync":
        sync()
    else:
        for p in paths:
            {"run": run, "text": text, "export": export, "lint": lint}[verb](p)
