"""The order of formats decides who writes a new `.csv`, so nothing that ran before may change it."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from motionbook.core.registry import Registry
from motionbook.formats import registry
from motionbook.synthetic.people import mouse


@pytest.fixture(autouse=True)
def own_list(monkeypatch):
    copy = Registry("format named")
    for fmt in registry.formats():
        copy.add(fmt.name, fmt, fmt.about)
    monkeypatch.setattr(registry, "FORMATS", copy)


@pytest.mark.parametrize("name", ["dlc", "mediapipe", "npz"])
def test_registering_a_format_again_keeps_its_place(name, tmp_path):
    names = [f.name for f in registry.formats()]
    old = registry.FORMATS[name]

    def elsewhere(path, **options):  # a reader of another module, as in a notebook that runs
        return old.read(path, **options)

    code = SimpleNamespace(sniff=old.sniff, read=elsewhere, write=old.write)
    registry.register(replace(old, code=code))
    assert [f.name for f in registry.formats()] == names
    path = registry.write(mouse(seconds=1.0), tmp_path / "mouse.csv")
    assert registry.find_format(path).name == "dlc"


def test_a_format_of_the_users_comes_after_ours():
    ours = registry.formats()
    registry.register(replace(ours[0], name="mine"))
    assert [f.name for f in registry.formats()] == [f.name for f in ours] + ["mine"]


def test_listing_formats_imports_none_of_them():
    import subprocess
    import sys

    code = (
        "import sys; from motionbook.formats.registry import formats, formats_table; "
        "formats_table(); print([m for m in sys.modules if m.startswith('motionbook.formats.') "
        "and m.count('.') == 3 and '.kit.' not in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


LOADS_ALL = """
import gc, importlib, pkgutil, motionbook
from motionbook.core.registry import Registry
for m in pkgutil.walk_packages(motionbook.__path__, "motionbook."):
    importlib.import_module(m.name)
found = [r for r in gc.get_objects() if isinstance(r, Registry)]
for r in found:
    for name in r:
        try:
            r[name]
        except Exception as err:
            print(name, type(err).__name__, err)
print(len(found), sum(map(len, found)))
"""


def test_every_name_of_every_registry_leads_to_what_it_names():
    "Entries are loaded when they are asked for: a module that was renamed would be missed until then."
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADS_ALL], capture_output=True, text=True
    )
    *wrong, count = run.stdout.splitlines() or [run.stderr]
    assert not wrong and run.returncode == 0, (wrong, run.stderr[-500:])
    registries, names = map(int, count.split())
    assert registries >= 5 and names >= 60
