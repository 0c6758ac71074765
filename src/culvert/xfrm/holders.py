"""Who holds a UDP port on this host, read from /proc."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Holder:
    """A program with an open socket. `name` is the kernel's, 15 characters at most."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


def holders_of_udp(port: int, proc: Path = PROC) -> list[Holder]:
    """Give the programs that have a UDP socket bound to `port` in this network namespace, as far as we may see."""
    inodes = {inode for table in ("udp", "udp6") for inode in _inodes(proc / "net" / table, port)}
    if not inodes:
        return []
    return [holder for folder in _processes(proc) if (holder := _holder(folder, inodes))]


def _inodes(table: Path, port: int) -> Iterator[str]:
    """Lines of /proc/net/udp: number, local address:port in hex, ...; the tenth word is the inode."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) > 9 and words[1].rpartition(":")[2] == f"{port:04X}":
            yield words[9]


def _processes(proc: Path) -> list[Path]:
    folders = (folder for folder in proc.iterdir() if folder.name.isdecimal())
    return sorted(folders, key=lambda folder: int(folder.name))


def _holder(folder: Path, inodes: set[str]) -> Holder | None:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        if not any(_target(link) in wanted for link in (folder / "fd").iterdir()):
            return None
        return Holder(int(folder.name), (folder / "comm").read_text().strip())
    except OSError:
        return None


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
