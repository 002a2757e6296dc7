#!/usr/bin/env python3
"""tornado_tests.py: every test that docs/tornado-tests.md names is there.  A row of its tables is Tornado's names, and then our tests
in backticks, or 'left out: ' and why."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tornado-tests.md"


def test_sources():
    """All text of the tests, with C++'s adjacent literals joined and their escaped quotes plain."""
    texts = []
    for pattern in ("**/*.cpp", "**/*.mjs"):
        texts += [path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").glob(pattern))]
    return re.sub(r'"\s*\n\s*"', "", "\n".join(texts)).replace('\\"', '"')


def problems(page, sources):
    rows = 0
    for number, line in enumerate(page.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| ") else []
        if len(cells) != 2 or cells[0] == "Tornado's":
            continue
        rows += 1
        named = re.findall(r"`([^`]+)`", cells[1])
        if not named and not cells[1].startswith("left out: "):
            yield f"{number}: neither a test nor 'left out: ' and why"
        for sentence in named:
            if sentence not in sources:
                yield f"{number}: no test is called `{sentence}`"
    if rows == 0:
        yield "0: no row of a table"


def self_test():
    sources = 'TEST_CASE("it works")'
    wrong = ["| a | `it fails` |", "| a | nothing |", "", "| a | `it works` and `it fails` |"]
    right = ["| a | `it works` |", "| a | left out: it cannot be |"]
    bad = [page for page in wrong if not list(problems(page, sources))] + [page for page in right if list(problems(page, sources))]
    for page in bad:
        print(f"tornado_tests self-test: wrongly judged: {page}")
    return bool(bad)


def main():
    found = list(problems(PAGE.read_text(encoding="utf-8"), test_sources()))
    for problem in found:
        print(f"{PAGE.relative_to(ROOT)}:{problem}")
    return bool(found) or self_test()


if __name__ == "__main__":
    sys.exit(main())
