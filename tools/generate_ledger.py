"""Write docs/rfc/NNNN.md from the ledgers docs/rfc/NNNN.toml. `--check` only tells whether they are up to date."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LEDGERS = ROOT / "docs/rfc"
NOTICE = "Generated from {} by `tools/generate_ledger.py`; do not edit."


def link(name: str) -> str:
    """Write a file with what is meant in it as a link to the file."""
    path, _, inside = name.replace("::", ":").partition(":")
    shown = f"{path.rpartition('/')[2]}: {inside}" if inside else path.rpartition("/")[2]
    return f"[`{shown}`](../../{path})"


def row(entry: dict[str, Any]) -> str:
    """Write one requirement as a line of the table."""
    says = entry["says"] + (f" *{entry['note']}*" if "note" in entry else "")
    says = says if entry.get("words", 1) else f"Recommended: {says}"
    if "not" in entry:
        return f"| {entry['id']} | {entry['role']} | {says} | not: {entry['not']} | |"
    code, test = (" <br> ".join(link(one) for one in entry[column]) for column in ("code", "test"))
    return f"| {entry['id']} | {entry['role']} | {says} | {code} | {test} |"


def markdown(source: Path) -> str:
    ledger = tomllib.loads(source.read_text())
    entries = ledger["entry"]
    left_out = sum("not" in entry for entry in entries)
    recommended = sum(entry.get("words", 1) == 0 for entry in entries)
    lines = [f"# RFC {ledger['rfc']}: {ledger['title']}", "", f"<!-- {NOTICE.format(source.name)} -->", ""]
    summary = f"{len(entries) - recommended} demands, of which {left_out} are not for us or not built"
    summary += f", and {recommended} recommendations." if recommended else "."
    lines += [f"{summary} {ledger['counted']}", ""]
    for section in ledger["sections"]:
        lines += [f"## {section}", "", "| | who | what | code | test |", "|---|---|---|---|---|"]
        lines += [row(entry) for entry in entries if entry["section"] == section]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    wanted = {source.with_suffix(".md"): markdown(source) for source in sorted(LEDGERS.glob("*.toml"))}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(
                f"{path.relative_to(ROOT)} is not what its ledger says: run tools/generate_ledger.py", file=sys.stderr
            )
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
