"""Process the notebooks for the docs (links, signatures, front matter) without Quarto: nbs -> _proc."""

import json
import re
from pathlib import Path

from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs

CODE = re.compile(r"```python\n.*?```", re.DOTALL)
CLASS = re.compile(r"(\n#{2,4} ([A-Z]\w*[a-z]\w*)\n\n```python\n)def \2\(")
LINK = re.compile(r"\[`([^`]+)`\]\([^)]*\)")


def unlinked(text: str) -> str:
    "Signatures are code: a link in a comment there would be shown as brackets and an address."
    return CODE.sub(lambda block: LINK.sub(r"\1", block[0]), text)


def classed(text: str) -> str:
    "A class is shown as one, not as a function with its name."
    return CLASS.sub(r"\1class \2(", text)


def mend_signatures(path: Path):
    "In the outputs of a processed notebook."
    nb = json.loads(path.read_text(encoding="utf-8"))
    for out in (o for c in nb["cells"] for o in c.get("outputs", ())):
        lines = out.get("data", {}).get("text/markdown")
        if lines:
            out["data"]["text/markdown"] = classed(unlinked("".join(lines))).splitlines(
                keepends=True
            )
    path.write_text(json.dumps(nb, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":  # the workers import this file again
    refresh_quarto_yml()
    for path in proc_nbs(force=True, n_workers=2).rglob("*.ipynb"):
        mend_signatures(path)
