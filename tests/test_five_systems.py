"The page of the five systems names only what is there: every command parses, every test that it names exists."

import re
import shlex
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "nbs" / "guides" / "five_systems.ipynb"


def rows():
    "Cells of the tables' rows."
    text = "\n".join(c.source for c in nbformat.read(PAGE, 4).cells if c.cell_type == "markdown")
    lines = [x for x in text.splitlines() if x.startswith("| ")]
    return [
        [c.strip() for c in x.strip("| ").split(" | ")] for x in lines if " promise |" not in x[:12]
    ]


def test_every_row_leads_to_pages_and_to_a_test_that_is_there():
    assert len(rows()) >= 65
    for row in rows():
        pages = re.findall(r"\]\(([^)]+\.ipynb)\)", row[1])
        assert pages, row
        for page in pages:
            assert (PAGE.parent / page).is_file(), page
        (shown,) = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row[-1])
        assert f"def {shown[1]}(" in (ROOT / "tests" / shown[0]).read_text(encoding="utf-8"), shown


LINES = sorted({c.strip("`") for row in rows() for c in row if c.startswith("`motionbook ")})


@pytest.mark.parametrize("line", LINES)
def test_every_command_takes_what_the_page_types(line):
    from motionbook.cli import COMMANDS, give_words, parser

    words = shlex.split(line)[1:]
    args, extra = parser(words).parse_known_args(words)
    assert not give_words(COMMANDS[args.command], args, extra)
