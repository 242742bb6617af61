"The docs site, built without Quarto and opened in a browser: pages render, search finds, links hold."

import functools
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from browser import browser

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site():
    "The site, built where `tools/docs.sh` always builds it, and not again where it stands."
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "tools/docs.sh"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return ROOT / "_site"


def pages(site):
    return sorted(p for p in site.rglob("*.html") if "_static" not in p.parts)


def words(page):
    "The prose of a page, without code."
    code = re.sub(
        r"<(pre|script|style)\b.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.S
    )
    return re.sub(r"</?[a-z][^>]*>", "", code)


SCRIPT = re.compile(r"(<script\b[^>]*>).*?</script>", re.S)
TAG = re.compile(r"<(\w+)((?:\s+[\w:@.-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"']+))?)*)\s*/?>")
WORD = re.compile(r"""([\w:@.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""")


class Links:
    "Targets and anchors of a page."

    def __init__(self, text):
        self.targets, self.anchors = [], set()
        for tag, words in TAG.findall(SCRIPT.sub(r"\1</script>", text)):
            attrs = {k: unescape(a or b or c) for k, a, b, c in WORD.findall(words)}
            self.anchors |= {attrs[k] for k in ("id", "name") if attrs.get(k)}
            if tag == "a" and attrs.get("href"):
                self.targets.append(attrs["href"])
            if tag in ("img", "script") and attrs.get("src"):
                self.targets.append(attrs["src"])


def test_comments_in_code_show_no_addresses(site):
    comment = re.compile(r'<span class="c1">([^<]*)</span>')
    found = [
        f"{p.relative_to(site)}: {c}"
        for p in pages(site)
        for c in comment.findall(p.read_text(encoding="utf-8"))
        if re.search(r"\]\((https?:|\.)", c)
    ]
    assert found == []


def test_no_link_shows_its_brackets(site):
    found = [
        f"{p.relative_to(site)}: {m}"
        for p in pages(site)
        for m in re.findall(r".{0,20}\]\([\w./]*\.(?:ipynb|html)\b", words(p))
    ]
    assert found == []


def test_names_in_the_words_of_a_link_stay_words(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from proc import unnested

    given = "See [[`compare`](https://x.y/compare.html#compare)](compare.ipynb) and [`read`](https://x.y/z)."
    assert unnested(given) == "See [`compare`](compare.ipynb) and [`read`](https://x.y/z)."


def test_classes_are_shown_as_classes(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from proc import classed

    shown = "\n### {0}\n\n```python\ndef {0}(\n    width:int=3\n):\n```\n"
    assert "\nclass Player(" in classed(shown.format("Player"))
    for name in ("read", "IK263_LAYOUT", "Player.save"):
        assert classed(shown.format(name)) == shown.format(name)


def test_signatures_show_fields_and_plain_types(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from proc import fielded, named_fields, placeless

    fields = named_fields("""
class Found(NamedTuple):
    "What was found."

    reason: Tensor  # [t j] why
    note: str = (
        "none"
    )


class Cleaner(Protocol):
    def clean(self): ...
""")
    bare = "class {}(\n    *args, **kwargs\n):"
    shown = 'class Found(\n    reason: Tensor, # [t j] why\n    note: str = ( "none" ),\n):'
    assert fielded(bare.format("Found"), fields) == shown
    assert fielded(bare.format("Cleaner"), fields) == "class Cleaner:"
    assert fielded(bare.format("Other"), fields) == bare.format("Other")
    signature = "```python\ndef f(\n    m:motionbook.core.motion.Motion, g:collections.abc.Callable[[__main__.Found], int]\n):\n```"
    plain = "```python\ndef f(\n    m:Motion, g:Callable[[Found], int]\n):\n```"
    assert (
        placeless("`motionbook.core.motion.Motion` " + signature)
        == "`motionbook.core.motion.Motion` " + plain
    )


def test_sources_and_fields_are_those_of_the_page_s_own_module(site):
    address = r"<a class='source' href='[^']*/blob/main/([^'#]+)#L(\w+)'"
    source = re.compile(rf"(?:</span>|<p class=.rubric. id=[^>]*>)(\w+)</p>\n<p>{address}")
    found = 0
    for page in pages(site):
        own = Path("motionbook", page.relative_to(site)).with_suffix(".py")
        for name, module, line in source.findall(page.read_text(encoding="utf-8")):
            text = (ROOT / module).read_text(encoding="utf-8").splitlines()[int(line) - 1]
            assert module == own.as_posix() and re.match(rf"(def|class) {name}\b", text), page
            found += 1
    assert found > 1000
    shown = (site / "core" / "motion.html").read_text(encoding="utf-8")
    assert "NaN = missing</span>" in shown.partition("class='source'")[2][:2500]


def test_the_sidebar_is_open_where_the_page_is(site):
    here = re.compile(r'<li class="[^"]*current-page"><a class="current[^"]*" href="([^"]*)"')
    opened = re.compile(r'href="([^"]*)"[^>]*>[^<]*</a><input [^>]*checked=""')
    for page in pages(site):
        text, place = page.read_text(encoding="utf-8"), page.relative_to(site)
        if place.as_posix() in ("index.html", "search.html", "genindex.html"):
            assert not here.findall(text)
            continue
        assert here.findall(text) == ["#"], page
        rooms = [(page.parent / p).resolve() if p != "#" else page for p in opened.findall(text)]
        above = [site / folder / "index.html" for folder in reversed(place.parents[:-1])]
        assert rooms == [p.resolve() for p in above if p.is_file()], page


def test_every_notebook_has_a_page(site):
    want = {
        p.relative_to(ROOT / "nbs").with_suffix(".html") for p in (ROOT / "nbs").rglob("*.ipynb")
    }
    assert {p for p in want if ".ipynb_checkpoints" not in p.parts} <= {
        p.relative_to(site) for p in pages(site)
    }


def test_links_hold(site):
    found = {str(p): Links(p.read_text(encoding="utf-8")) for p in pages(site)}
    dead, exists = [], functools.cache(os.path.exists)
    for page, links in found.items():
        folder = os.path.dirname(page)
        for target in set(links.targets):
            if re.match(r"(https?|data|mailto|javascript):", target):
                continue
            path, anchor = urldefrag(unquote(target).split("?")[0])
            there = os.path.normpath(os.path.join(folder, path)) if path else page
            if not exists(there) or (
                anchor and there in found and anchor not in found[there].anchors
            ):
                dead.append(f"{os.path.relpath(page, site)} -> {target}")
    assert dead == []


def test_pages_open_without_errors_and_with_their_mathematics(site):
    with browser() as tab:
        for page in pages(site):
            tab.open(page)
            if 'class="math' in page.read_text(encoding="utf-8"):
                tab.wait("document.querySelectorAll('mjx-container').length > 0", 20)
                assert tab.eval("document.querySelectorAll('mjx-merror').length") == 0, page
            assert (
                tab.eval("document.querySelectorAll('h1').length") >= 1
                or page.name == "search.html"
            ), page
            assert tab.errors() == [], page


def test_search_finds(site):
    with browser() as tab:
        tab.open((site / "search.html").as_uri() + "?q=skeleton")
        found = "document.querySelectorAll('#search-results li a[href*=\"core/skeleton.html\"]').length > 0"
        tab.wait(found, 30)  # results appear one by one
