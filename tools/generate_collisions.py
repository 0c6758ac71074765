"""Write the table of collisions into docs/reference/ike.md. `--check` only tells whether it is up to date there."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from culvert.ike.v2 import collisions  # noqa: E402 - this tree's, wherever it stands

PAGE = ROOT / "docs/reference/ike.md"
BEGIN = "<!-- generated from src/culvert/ike/v2/collisions.py by tools/generate_collisions.py: begin -->\n"
END = "<!-- generated: end -->\n"
DECISIONS = {
    "decision 5": "[decision 5](../adr/0005-ike-sas-live-in-lineages.md)",
    "decision 13": "[decision 13](../adr/0013-a-child-is-carried-by-several.md)",
}


def requests() -> list[str]:
    """Write how requests are answered: lines that differ only in what we have under way are one."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for (asked, ours), rule in collisions.REQUESTS.items():
        rows.setdefault((asked.value, rule.reply.value, rule.section), []).append(ours.value)
    lines = [(asked, "; ".join(ours), reply, _source(section)) for (asked, reply, section), ours in rows.items()]
    return _table(("the peer asks for", "we are, or have", "our answer", "source"), lines)


def responses() -> list[str]:
    """Write what follows from answers, in the same way."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for (asked, meanwhile, answered), rule in collisions.RESPONSES.items():
        key = (asked.value, meanwhile.value, rule.then.value, rule.section)
        rows.setdefault(key, []).append(answered.value)
    lines = [(asked, met, "; ".join(said), then, _source(of)) for (asked, met, then, of), said in rows.items()]
    return _table(("we asked for", "meanwhile", "the peer answers", "we do", "source"), lines)


def _source(section: str) -> str:
    return DECISIONS.get(section, section)


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [_line(titles), "|" + "---|" * len(titles), *map(_line, rows)]


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def written(page: str) -> str:
    """Give the page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join([*requests(), "", *responses()])
    return f"{before}{BEGIN}\n{table}\n\n{END}{after}"


def main() -> int:
    page = PAGE.read_text()
    new = written(page)
    if "--check" in sys.argv[1:]:
        if new != page:
            print("docs/reference/ike.md: run tools/generate_collisions.py", file=sys.stderr)
        return int(new != page)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
