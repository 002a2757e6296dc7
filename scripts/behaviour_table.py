#!/usr/bin/env python3
"""The table backend × behaviour, from what the test runs left behind.

    behaviour_table.py NEEDS REPORTS [COLUMN=TAP ...]

NEEDS is what `conformance --needs` prints, REPORTS the folder with Catch2's JUnit report of each backend, and each TAP the report of
the behaviours in wasm.  Prints the
table and ends with 1 when a cell is missing that its platform could have filled, or a behaviour failed.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

BROWSER = "Node", "Chromium"


def read_needs(path):
    """{behaviour: needs} and {backend: what it has}, both as sets of words."""
    behaviours, backends = {}, {}
    for line in open(path, encoding="utf-8"):
        kind, name, words = line.rstrip("\n").split("\t")
        (behaviours if kind == "behaviour" else backends)[name] = set(words.split())
    return behaviours, backends


def read_reports(folder, backends):
    """{(backend, behaviour): passed}"""
    cells = {}
    for backend in backends:
        report = pathlib.Path(folder, f"{backend}.xml")
        if not report.exists():
            continue  # its cells are missing, and the table says so
        for case in ElementTree.parse(report).iter("testcase"):
            behaviour = case.get("name").removeprefix(f"{backend}: ")
            cells[backend, behaviour] = case.find("failure") is None and case.find("error") is None
    return cells


def read_tap(path, column):
    cells = {}
    for line in open(path, encoding="utf-8"):
        result = re.fullmatch(r"(not )?ok \d+ - (.*?)( # SKIP .*)?", line.rstrip("\n"))
        if result and not result.group(3):
            cells[column, result.group(2)] = result.group(1) is None
    return cells


def cell(column, behaviour, passed, lacking):
    if passed is not None:
        return "ok" if passed else "FAILED"
    return "no " + ", ".join(sorted(lacking)) if lacking else "MISSING"


def main(needs, reports, *taps):
    behaviours, backends = read_needs(needs)
    cells = read_reports(reports, backends)
    columns = dict(backends)
    for tap in taps:
        column, _, path = tap.partition("=")
        columns[column] = set()
        cells |= read_tap(path, column)

    rows = {
        behaviour: [cell(column, behaviour, cells.get((column, behaviour)), needed - has) for column, has in columns.items()]
        for behaviour, needed in behaviours.items()
    }
    print("| behaviour | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for behaviour, row in rows.items():
        print(f"| {behaviour} | " + " | ".join(row) + " |")
    found = [each for row in rows.values() for each in row]
    wrong = sum(each in ("FAILED", "MISSING") for each in found)
    unable = sum(each.startswith("no ") for each in found)
    print(f"\n{len(rows)} behaviours on {len(columns)} backends: {found.count('ok')} cells ok, {wrong} failed or missing, {unable} that the")
    print("platform forces: `no fds` a browser has no descriptors, `no tcp`, `no listen` no sockets, `no threads`, `no signals`,")
    print("`no std::stop_token` the standard library of Emscripten lacks it, `no http` a browser speaks HTTP, TLS and WebSocket's messages itself;")
    print("`manual` is the clock under control, which has no network and no system below it.")
    for behaviour, row in rows.items():
        for column, each in zip(columns, row):
            if each in ("FAILED", "MISSING"):
                print(f"{each} on {column}: {behaviour}")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
