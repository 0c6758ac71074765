"""Write both languages' tables of reasons from reasons.toml. `--check` only tells whether they are up to date."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "reasons.toml"
PYTHON = ROOT / "src/culvert/reasons.py"
RUST = ROOT / "engine/packet/src/reason.rs"
MARKDOWN = ROOT / "docs/reference/reasons.md"
NOTICE = "Generated from reasons.toml by `make reasons`; do not edit."


def camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def python(packet: dict[str, dict[str, object]], refusal: dict[str, dict[str, object]]) -> str:
    lines = [f'"""Why a packet was dropped, and why a peer or a request was refused. {NOTICE}"""', ""]
    lines += ["from __future__ import annotations", "", "from enum import IntEnum, StrEnum", "", ""]
    lines += ["class Drop(IntEnum):", '    """Why a packet was dropped; the number is the engine\'s."""', ""]
    lines += [f"    {name} = {entry['number']}" for name, entry in packet.items()]
    lines += [
        "",
        "",
        "class Refusal(StrEnum):",
        '    """Why a tunnel is not up, or a request was refused."""',
        "",
    ]
    lines += [f'    {name} = "{name}"' for name in refusal]
    lines += ["", "", "SENTENCES: dict[str, str] = {"]
    lines += [f'    "{name}": "{entry["text"]}",' for name, entry in {**packet, **refusal}.items()]
    lines += ["}", '"""One sentence for each name."""', ""]
    return "\n".join(lines)


def rust(packet: dict[str, dict[str, object]]) -> str:
    lines = [f"//! Why a packet was dropped. {NOTICE}", ""]
    lines += ["/// The reason for a drop; the number is what the control socket carries."]
    lines += ["#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]", "#[repr(u32)]", "pub enum Drop {"]
    for name, entry in packet.items():
        lines += [f"    /// {entry['text']}", f"    {camel(name)} = {entry['number']},"]
    lines += ["}", "", "impl Drop {", "    /// How many reasons there are; their numbers are 0 to COUNT - 1."]
    lines += [f"    pub const COUNT: usize = {len(packet)};", "", "    /// Every reason, by number."]
    lines += ["    pub const ALL: [Drop; Drop::COUNT] = ["]
    lines += [f"        Drop::{camel(name)}," for name in packet]
    lines += ["    ];", "", "    /// The name used in counters, logs and documentation."]
    lines += ["    pub const fn name(self) -> &'static str {", "        match self {"]
    lines += [f'            Drop::{camel(name)} => "{name}",' for name in packet]
    lines += ["        }", "    }", "}", ""]
    text = "\n".join(lines)
    return subprocess.run(
        ["rustfmt", "--edition", "2024"], input=text, capture_output=True, text=True, check=True
    ).stdout


def markdown(packet: dict[str, dict[str, object]], refusal: dict[str, dict[str, object]]) -> str:
    lines = [
        "# Reasons",
        "",
        f"<!-- {NOTICE} -->",
        "",
        "## Why a packet was dropped",
        "",
        "| name | |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {entry['text']} |" for name, entry in packet.items()]
    lines += ["", "## Why a tunnel is not up, or a request was refused", "", "| name | |", "|---|---|"]
    lines += [f"| `{name}` | {entry['text']} |" for name, entry in refusal.items()]
    return "\n".join([*lines, ""])


def main() -> int:
    table = tomllib.loads(SOURCE.read_text())
    packet, refusal = table["drop"], table["refusal"]
    for number, entry in enumerate(packet.values()):
        entry["number"] = number
    wanted = {
        PYTHON: python(packet, refusal),
        RUST: rust(packet),
        MARKDOWN: markdown(packet, refusal),
    }
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not what reasons.toml says: run `make reasons`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
