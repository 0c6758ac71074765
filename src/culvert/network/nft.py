"""Talks to nft(8): one process for each transaction, JSON in and out."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from culvert.errors import HostError, Problem
from culvert.network.nfnetlink import tables

Json = dict[str, Any]

INSTALL = "Install it: apt-get install nftables."


class TableNotFoundError(Exception):
    """What was asked for is not in the ruleset."""


async def commit(transaction: str) -> None:
    """Apply all of a transaction in JSON or nothing. Raise HostError where nft or the kernel refuses it."""
    status, _, errors = await _nft("-j", "-f", "-", text=transaction)
    if status:
        raise _refused(errors)


async def list_table(family: str, name: str, *, numeric: bool = False) -> list[Json]:
    """Give the objects of a table as nft lists them; `numeric`: without names for numbers.

    Raise TableNotFoundError, or HostError.
    """
    form = "-jnn" if numeric else "-j"
    status, output, errors = await _nft(form, "list", "table", family, name)
    if status and "No such file or directory" in errors:
        raise TableNotFoundError(name)
    if status:
        raise _refused(errors)
    return _objects(output)


async def list_others(family: str, name: str) -> list[Json]:
    """Give all objects of all tables but one, which may have many elements. Raise HostError."""
    found: list[Json] = []
    for table in tables():
        if table != (family, name):
            with suppress(TableNotFoundError):  # gone meanwhile
                found += await list_table(*table)
    return found


async def _nft(*arguments: str, text: str = "") -> tuple[int, str, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            "nft",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise HostError(Problem(f"nft cannot be started: {error.strerror}", "nft", INSTALL)) from error
    try:
        output, errors = await process.communicate(text.encode())
    except asyncio.CancelledError:
        # A transaction half written is one that nft has not begun; one that it has begun ends by itself.
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace")


def _objects(output: str) -> list[Json]:
    try:
        objects = json.loads(output)["nftables"]
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(Problem("nft answered with something that is no ruleset", "nft -j list", INSTALL)) from error
    return [entry for entry in objects if isinstance(entry, dict) and "metainfo" not in entry]


def _refused(errors: str) -> HostError:
    first = next((line.strip() for line in errors.splitlines() if line.strip()), "no reason given")
    if "Operation not permitted" in errors:
        advice = "NO_PERMISSION: run as root, or with CAP_NET_ADMIN."
    else:
        advice = "Try `nft list ruleset`; the kernel needs nf_tables with concatenated interval sets (Linux 5.6)."
    return HostError(Problem(f"nft refuses: {first}", "nft", advice))
