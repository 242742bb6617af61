"Every command of the registry, whichever there are: its example runs, and no output of it lands on an input."

import json
import os
import subprocess
import sys

import pytest
from world import ALL, example, make_world, run

from motionbook.models.registry import RECIPES

HOWS = ("same", "relative", "absolute", "link", "hard link", "folder's link")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTIONBOOK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield make_world(tmp_path_factory.mktemp("world"))


EXAMPLES = [n for n in ALL if n not in ("demo", "train")]  # the first guide runs `demo`
RUN_ALL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from world import example, run
made = {n: run(*example(n))[::2] for n in sys.argv[2:]}
print(json.dumps({"made": made, "heavy": sorted({"torch._dynamo", "accelerate"} & sys.modules.keys())}))
"""


@pytest.fixture(scope="module")
def ran(world):
    "Exit code and complaint of each example, one after the other in a process of their own."
    line = [sys.executable, "-c", RUN_ALL, os.path.dirname(__file__), *EXAMPLES]
    done = subprocess.run(line, cwd=world, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_runs(name, ran):
    code, err = ran["made"][name]
    assert code == 0, err


def test_no_example_but_that_of_train_compiles(ran, world, monkeypatch):
    assert ran["heavy"] == []
    monkeypatch.chdir(world)
    assert run(*example("train"))[0] == 0


@pytest.mark.parametrize("name", [n for n in ALL if " " not in n])
def test_help_shows_the_example(name):
    assert ALL[name].example in run(name, "--help")[1]


@pytest.mark.parametrize("words", [(), *((n,) for n in ALL if " " not in n), ("train", "vae")])
def test_help_fits_a_terminal(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, told, _ = run(*words, "--help")
    assert code == 0 and max(map(len, told.splitlines())) <= 80
    assert len(told.splitlines()) < (200 if "vae" in words else 70)


def test_help_of_train_lists_the_recipes_and_the_settings_of_the_one_that_is_named():
    plain, vae = run("train", "--help")[1], run("train", "vae", "--help")[1]
    assert "--d-z" in vae and "settings of vae" in vae
    assert "--d-z" not in plain and "--hidden" not in plain
    assert all(f"\n                        {name}: " in plain for name in RECIPES)


DEFAULTS = {"corrupt": "recordings.broken/m0.csv", "setup": "recordings.ready/index.jsonl", "convert": "AMASS.canonical/canonical.pt",
            "embed": "canonical.embedded.pt", "mix": "amass.mixed.pt", "export": "walk.side.motion"}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_an_output_has_a_name_when_nobody_gives_one(name, world, monkeypatch):
    monkeypatch.chdir(world)
    words = example(name)
    at = next(k for k, w in enumerate(words) if w in ("-o", "--out"))
    before = files(world)
    code, out, err = run(*words[:at], *words[at + 2 :])
    assert code == 0 and (world / DEFAULTS[name]).is_file(), (
        err,
        out,
        set(files(world)) - set(before),
    )
    assert files(world).items() >= before.items()


def test_no_option_has_to_be_given():
    options = [o for c in ALL.values() for o in c.options if o.name()]
    assert not [o for o in options if o.settings.get("required")]
    outs = {n: {f for o in c.options for f in o.flags} for n, c in ALL.items() if " " not in n}
    assert all({"-o", "--out"} & f in (set(), {"-o", "--out"}) for f in outs.values())


def alias(path, how: str, box):
    "Another name of a path; None where there is none."
    if how == "same":
        return path
    if how == "relative":
        return os.path.join(".", "recordings", "..", path)
    if how == "absolute":
        return os.path.abspath(path)
    new = box / f"{how}{os.path.splitext(path)[1]}"
    new.unlink(missing_ok=True)
    if how == "link":
        new.symlink_to(os.path.abspath(path))
    elif how == "hard link" and not os.path.isdir(path):
        os.link(path, new)
    elif how == "folder's link":
        new.symlink_to(os.path.abspath(os.path.dirname(os.path.abspath(path))))
        return new / os.path.basename(path)
    else:
        return None
    return new


def files(box):
    "What would change if a file were written: every file, its place and its time."
    found = [(p, p.stat()) for p in box.rglob("*") if p.is_file() and not p.is_symlink()]
    return {p: (s.st_ino, s.st_size, s.st_mtime_ns) for p, s in found}


def pairs(name):
    "For each output option and each input option of a command: the words, the output's flag, the input's path."
    command, words = ALL[name], example(name)
    options = (*ALL[name.split()[0]].options, *(command.options if " " in name else ()))
    first = next((k for k, w in enumerate(words) if w.startswith("-")), len(words))
    places = (o.flags[-1] for o in options if not o.name())
    given = dict(zip(places, words[1:first]))
    for out in (o for o in options if o.role in ("output", "planned")):
        at = words.index(out.flags[0]) if out.flags[0] in words else -1
        end = os.path.splitext(words[at + 1])[1] if at >= 0 else ".csv"
        for into in (o for o in options if o.role in ("input", "maybe")):
            path = f"given{end}" if into.name() else given.get(into.flags[-1])
            if path:
                yield (
                    [*words[:first], *([into.name(), path] if into.name() else [])],
                    out.flags[0],
                    path,
                )


WHY = ("expected an output beside the input", "expected a name that ends in", "goes with --report")


@pytest.mark.parametrize("name", ALL)
def test_no_output_lands_on_an_input(name, world, monkeypatch):
    monkeypatch.chdir(world)
    links, bad, hits = world.parent / f"{world.name}-links", [], set()
    links.mkdir(exist_ok=True)
    for words, flag, path in pairs(name):
        if not os.path.exists(path):
            (world / path).write_text("max_gap: 0.5\n")
        before = files(world)
        for how in HOWS:
            if (out := alias(path, how, links)) is not None:
                code, _, err = run(*words, flag, out)
                if files(world) != before or code != 2 or not any(w in err for w in WHY):
                    bad.append((words, flag, str(out), code, err))
                hits |= {flag} if WHY[0] in err else set()
    flags = {flag for _, flag, _ in pairs(name)}
    assert not bad and hits == flags, (bad[:3], flags - hits)
