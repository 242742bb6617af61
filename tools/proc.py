"""Process the notebooks for the docs (links, signatures, front matter) without Quarto: nbs -> _proc."""

import ast
import json
import re
from pathlib import Path

from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs

CODE = re.compile(r"```python\n.*?```", re.DOTALL)
CLASS = re.compile(r"(\n#{2,4} ([A-Z]\w*[a-z]\w*)\n\n```python\n)def \2\(")
LINK = re.compile(r"\[`([^`]+)`\]\([^)]*\)")
PLACE = re.compile(r"\b(?:__main__|motionbook(?:\.\w+)*|collections\.abc)\.(?=[A-Z])")
BARE = re.compile(r"class (\w+)\(\n    \*args, \*\*kwargs\n\):")
ROOT = Path(__file__).resolve().parents[1]


def unlinked(text: str) -> str:
    "Signatures are code: a link in a comment there would be shown as brackets and an address."
    return CODE.sub(lambda block: LINK.sub(r"\1", block[0]), text)


def placeless(text: str) -> str:
    "Types in signatures by their own names, without the modules that they live in."
    return CODE.sub(lambda block: PLACE.sub("", block[0]), text)


def named_fields(source: str) -> dict[str, list[str]]:
    "The fields of the named tuples of a module, with what is said of each; nothing for a protocol."
    lines, found = source.splitlines(), {}
    for node in ast.walk(ast.parse(source)):
        bases = {b.id for b in getattr(node, "bases", ()) if isinstance(b, ast.Name)}
        if bases & {"NamedTuple", "Protocol"}:
            fields = [f for f in node.body if isinstance(f, ast.AnnAssign)]
            said = [lines[f.end_lineno - 1][f.end_col_offset :].strip() for f in fields]
            words = [" ".join(ast.get_source_segment(source, f).split()) for f in fields]
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


def mend_signatures(path: Path):
    "In the outputs of a processed notebook."
    nb = json.loads(path.read_text(encoding="utf-8"))
    module = ROOT / "motionbook" / path.relative_to(ROOT / "_proc").with_suffix(".py")
    fields = named_fields(module.read_text(encoding="utf-8")) if module.is_file() else {}
    for out in (o for c in nb["cells"] for o in c.get("outputs", ())):
        lines = out.get("data", {}).get("text/markdown")
        if lines:
            text = classed(unlinked(placeless("".join(lines))))
            out["data"]["text/markdown"] = fielded(text, fields).splitlines(keepends=True)
    path.write_text(json.dumps(nb, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":  # the workers import this file again
    refresh_quarto_yml()
    for path in proc_nbs(force=True, n_workers=2).rglob("*.ipynb"):
        mend_signatures(path.resolve())
