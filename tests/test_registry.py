"""The order of formats decides who writes a new `.csv`, so nothing that ran before may change it."""

from dataclasses import replace

import pytest

from motionbook.formats import registry
from motionbook.synthetic.people import mouse


@pytest.mark.parametrize("name", ["dlc", "mediapipe", "npz"])
def test_registering_a_format_again_keeps_its_place(name, monkeypatch, tmp_path):
    names = [f.name for f in registry.formats()]
    monkeypatch.setattr(registry, "FORMATS", dict(registry.FORMATS))
    old = registry.FORMATS.pop(name)

    def elsewhere(path, **options):  # a reader of another module, as in a notebook that runs
        return old.read(path, **options)

    registry.register(replace(old, read=elsewhere))
    assert [f.name for f in registry.formats()] == names
    path = registry.write(mouse(seconds=1.0), tmp_path / "mouse.csv")
    assert registry.find_format(path).name == "dlc"


def test_a_format_of_the_users_comes_after_ours(monkeypatch):
    monkeypatch.setattr(registry, "FORMATS", dict(registry.FORMATS))
    ours = registry.formats()
    registry.register(replace(ours[0], name="mine"))
    assert [f.name for f in registry.formats()] == [f.name for f in ours] + ["mine"]
