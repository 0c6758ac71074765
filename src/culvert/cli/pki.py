"""`culvert pki`: a small authority for gateways."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from culvert.cli.options import PATH, directories, json_flag

if TYPE_CHECKING:
    from culvert.pki.authority import Edge, Made
    from culvert.pki.directory import Directory

DEFAULT_DIR = Path("pki")
KINDS = ("ecdsa256", "rsa3072", "ed25519")
"""As in crypto.public_keys.KEY_KINDS, which takes longer to import than `--help` may; a test compares them."""
AUTHORITY_DAYS, GATEWAY_DAYS = 3652, 1096

dir_option = click.option(
    "--dir", "folder", type=PATH, default=DEFAULT_DIR, show_default=True, help="Where the authority lives."
)
key_option = click.option(
    "--key", "kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="Kind of key."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@directories
def pki() -> None:
    """Make a small authority, certificates for gateways, and take them back.

    Nothing here needs a running gateway. Keep the authority's folder on a machine that is no gateway.
    """


@pki.command()
@click.option("--name", default="Culvert CA", show_default=True, help='Such as "Example CA" or "O=Example, CN=CA".')
@dir_option
@key_option
@click.option("--days", type=int, default=AUTHORITY_DAYS, show_default=True, help="How long it is to last.")
@json_flag
def ca(name: str, folder: Path, kind: str, days: int, as_json: bool) -> None:
    """Make an authority.

    That is its certificate, its key, and a list of revoked certificates, which is empty.
    """
    from culvert.pki.authority import make_authority

    with _refusals():
        made = make_authority(_directory(folder), name, _edge(), kind=kind, days=days)
    if as_json:
        click.echo(json.dumps(_document(made)))
        return
    click.echo(f"The authority {made.certificate} lives in {folder}/ until {_day(made)}:")
    click.echo(f"  {folder}/ca.pem   its certificate; every gateway gets a copy")
    click.echo(
        f"  {folder}/crl.pem  its list of revoked certificates; every gateway gets a copy, now and after changes"
    )
    click.echo(f"  {folder}/ca.key   its key, readable for you alone: leave it here, and keep a copy in a safe place")
    click.echo(f"Next: culvert pki gateway NAME --address ADDRESS{_option(folder)}")


@pki.command()
@click.argument("name")
@click.option("--address", "addresses", multiple=True, help="Address or name at which it is reached; may be repeated.")
@dir_option
@key_option
@click.option("--days", type=int, default=GATEWAY_DAYS, show_default=True, help="How long it is to last.")
@click.option("--renew", is_flag=True, help="A new certificate for the key that it has.")
@json_flag
def gateway(
    name: str, addresses: tuple[str, ...], folder: Path, *, kind: str, days: int, renew: bool, as_json: bool
) -> None:
    """Make key and certificate of the gateway NAME."""
    from culvert.pki.authority import make_gateway

    with _refusals():
        made = make_gateway(_directory(folder), name, addresses, _edge(), kind=kind, days=days, renew=renew)
    if as_json:
        click.echo(json.dumps(_document(made)))
        return
    _tell_gateway(name, made, folder)


STEPS = """The gateway {name} ({names}) has a certificate until {day}.
Copy to {name}, keeping the key's mode:
  scp -p {files} root@{name}:/etc/culvert/
In its gateway.toml:
  [gateway]
  identity = "{name}"
  certificate = "{name}.pem"
  key = "{name}.key"
  ca = "ca.pem"
  crl = "crl.pem"
In the gateway.toml of every peer of it that has a certificate of this authority as well:
  [peers.{table}]
  auth = "certificate"
  identity = "{name}\""""
"""What is left to do, word by word."""


def _tell_gateway(name: str, made: Made, folder: Path) -> None:
    """Say what to copy where, and what to write."""
    names = ", ".join(str(one.value) for one in made.certificate.extensions.names)
    files = " ".join(dict.fromkeys([*map(str, made.files), f"{folder}/ca.pem", f"{folder}/crl.pem"]))
    table = f'"{name}"' if "." in name else name
    click.echo(STEPS.format(name=name, names=names, day=_day(made), files=files, table=table))


@pki.command()
@click.argument("which", metavar="NAME|FILE")
@dir_option
@json_flag
def revoke(which: str, folder: Path, as_json: bool) -> None:
    """Take certificates back: all of the gateway of that name, or the one in a file."""
    from culvert.pki.authority import revoke as taken_back

    with _refusals():
        done = taken_back(_directory(folder), which, _edge())
    if as_json:
        serials = {"serials": [f"{one.serial:x}" for one in done.certificates], "anew": len(done.anew)}
        click.echo(json.dumps({**serials, "file": str(done.file), "revoked_count": len(done.crl.serials)}))
        return
    for one in done.certificates:
        was = "is revoked" if one in done.anew else "was revoked before"
        click.echo(f"The certificate of {one} (serial {one.serial:x}) {was}.")
    click.echo(f"Copy {done.file} to every gateway and run `culvert reload` there: until then it is still believed.")


@pki.command()
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@json_flag
def show(files: tuple[Path, ...], as_json: bool) -> None:
    """Show what stands in files.

    They may hold certificates, lists and keys; a key itself is never shown.
    """
    from culvert.pki.description import describe, lines

    now_s = _edge().now_s
    entries = [entry for file in files for entry in describe(file, now_s)]
    if as_json:
        click.echo(json.dumps(entries))
        return
    for entry in entries:
        click.echo("\n".join(lines(entry)))


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Tell wrong words from a folder that is not as it should be."""
    from culvert.cli.failures import WordsError
    from culvert.pki.failures import WrongUsage

    try:
        yield
    except WrongUsage as error:
        raise WordsError(error.problems) from None


def _directory(folder: Path) -> Directory:
    from culvert.pki.directory import Directory

    return Directory(folder)


def _edge() -> Edge:
    from culvert.clock import RealClock
    from culvert.entropy import RealEntropy
    from culvert.pki.authority import Edge

    return Edge(RealClock().utc_s(), RealEntropy())


def _document(made: Made) -> dict[str, Any]:
    one = made.certificate
    return {
        "subject": str(one.subject),
        "names": [str(name.value) for name in one.extensions.names],
        "serial": f"{one.serial:x}",
        "sha256": one.fingerprint.hex(),
        "valid_until_s": one.not_after_s,
        "files": [str(path) for path in made.files],
    }


def _day(made: Made) -> str:
    from culvert.crypto.certificates.times import written_time

    return written_time(made.certificate.not_after_s)[:10]


def _option(folder: Path) -> str:
    return "" if folder == DEFAULT_DIR else f" --dir {folder}"
