"""Process the notebooks for the docs (links, signatures, front matter) without Quarto: nbs -> _proc."""

import ast
import json
import re
from importlib import import_module
from pathlib import Path

import nbdev.serve
from fastcore.basics import AttrDict
from nbdev.processors import FilterDefaults, exec_show_docs
from nbdev.quarto import refresh_quarto_yml
from nbdev.showdoc import show_doc

CODE = re.compile(r"```python\n.*?```", re.DOTALL)
CLASS = re.compile(r"(\n#{2,4} ([A-Z]\w*[a-z]\w*)\n\n```python\n)def \2\(")
LINK = re.compile(r"\[`([^`]+)`\]\([^)]*\)")
NESTED = re.compile(r"\[\[(`[^`]+`)\]\([^)]*\)\](?=\()")
PLACE = re.compile(r"\b(?:__main__|motionbook(?:\.\w+)*|collections\.abc)\.(?=[A-Z])")
BARE = re.compile(r"class (\w+)\(\n    \*args, \*\*kwargs\n\):")
ROOT = Path(__file__).resolve().parents[1]


def line_numbers(path: Path) -> dict[str, int]:
    "Where a module's functions and classes begin."
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {o.name: o.lineno for o in body if isinstance(o, ast.FunctionDef | ast.ClassDef)}


class ShowFromModule(exec_show_docs):
    """Signatures and docstrings as the exported module has them: nothing is executed.

    The original executes every exported cell of every page once more; that the module is what they
    export is tested elsewhere.
    """

    def begin(self):
        told = [
            c.directives_["default_exp"] for c in self.nb.cells if "default_exp" in c.directives_
        ]
        self.names, self.at = {}, {}
        if told:
            module = import_module(f"motionbook.{told[0][0]}")
            self.names, self.at = vars(module), line_numbers(Path(module.__file__))

    def __call__(self, cell):
        if cell.get("has_sd"):
            shown = eval(cell.source, {**self.names, "show_doc": show_doc})
            text = shown._repr_markdown_().replace("#LNone", f"#L{self.at[shown.nm]}")
            data = AttrDict({"text/markdown": text.splitlines(keepends=True)})
            cell.outputs = [AttrDict(output_type="display_data", metadata={}, data=data)]


class Filter(FilterDefaults):
    def base_procs(self):
        return [ShowFromModule if p is exec_show_docs else p for p in super().base_procs()]


def unlinked(text: str) -> str:
    "Signatures are code: a link in a comment there would be shown as brackets and an address."
    return CODE.sub(lambda block: LINK.sub(r"\1", block[0]), text)


def unnested(text: str) -> str:
    "A name in the words of a link is led to its own page, within the link; Markdown knows no such thing."
    return NESTED.sub(r"[\1]", text)


def placeless(text: str) -> str:
    "Types in signatures by their own names, without the modules that they live in."
    return CODE.sub(lambda block: PLACE.sub("", block[0]), text)


def source_of(node: ast.stmt, lines: list[str]) -> str:
    "The text of a statement; `ast.get_source_segment` would split the whole module for each."
    own = lines[node.lineno - 1 : node.end_lineno]
    return "\n".join([*own[:-1], own[-1][: node.end_col_offset]])


def named_fields(source: str) -> dict[str, list[str]]:
    "The fields of the named tuples of a module, with what is said of each; nothing for a protocol."
    lines, found = source.splitlines(), {}
    if not ("NamedTuple" in source or "Protocol" in source):
        return found
    for node in ast.parse(source).body:
        bases = {b.id for b in getattr(node, "bases", ()) if isinstance(b, ast.Name)}
        if bases & {"NamedTuple", "Protocol"}:
            fields = [f for f in node.body if isinstance(f, ast.AnnAssign)]
            said = [lines[f.end_lineno - 1][f.end_col_offset :].strip() for f in fields]
            words = [" ".join(source_of(f, lines).split()) for f in fields]
            found[node.name] = [f"    {w}, {c}".rstrip() for w, c in zip(words, said)]
    return found


def fielded(text: str, fields: dict[str, list[str]]) -> str:
    "A named tuple is shown with its fields."

    def show(m):
        if m[1] not in fields:
            return m[0]
        return (
            "\n".join([f"class {m[1]}(", *fields[m[1]], "):"]) if fields[m[1]] else f"class {m[1]}:"
        )

    return BARE.sub(show, text)


def classed(text: str) -> str:
    "A class is shown as one, not as a function with its name."
    return CLASS.sub(r"\1class \2(", text)


def mend_page(path: Path):
    "Links in the prose of a processed notebook, and signatures in its outputs."
    nb = json.loads(path.read_text(encoding="utf-8"))
    module = ROOT / "motionbook" / path.relative_to(ROOT / "_proc").with_suffix(".py")
    fields = named_fields(module.read_text(encoding="utf-8")) if module.is_file() else {}
    for cell in nb["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = unnested("".join(cell["source"])).splitlines(keepends=True)
    for out in (o for c in nb["cells"] for o in c.get("outputs", ())):
        lines = out.get("data", {}).get("text/markdown")
        if lines:
            text = classed(unlinked(placeless("".join(lines))))
            out["data"]["text/markdown"] = fielded(text, fields).splitlines(keepends=True)
    path.write_text(json.dumps(nb, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":  # the workers import this file again
    refresh_quarto_yml()
    nbdev.serve.FilterDefaults = Filter
    for path in nbdev.serve.proc_nbs(force=True, n_workers=2).rglob("*.ipynb"):
        mend_page(path.resolve())
