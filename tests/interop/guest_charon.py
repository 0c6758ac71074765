"""strongSwan on a real kernel's IPsec, in the guest: transport mode, AH and ESN, which its user-space plugin lacks."""

from __future__ import annotations

import shlex

from tests.uml.guest import Guest

VICI = "unix:///tmp/charon.vici"
LOG = "/tmp/charon.log"  # noqa: S108 - the guest's own
PLUGINS = (
    "random nonce openssl aes md5 sha1 sha2 hmac kdf gcm ctr ccm xcbc cmac chapoly curve25519 gmp pem pkcs1 x509 "
    "pubkey constraints kernel-netlink socket-default vici updown"
)
SETTINGS = f"""charon {{
  load_modular = no
  load = {PLUGINS}
  retransmit_timeout = 1
  retransmit_tries = 3
  filelog {{ main {{ path = {LOG}
      default = 1
      flush_line = yes }} }}
  plugins {{ vici {{ socket = {VICI} }} }}
}}
"""
ENVIRONMENT = "export STRONGSWAN_CONF=/tmp/strongswan.conf SWANCTL_DIR=/tmp/swanctl"


class GuestCharon:
    """One running daemon in the guest. `connections` is the text of its swanctl.conf."""

    def __init__(self, guest: Guest, connections: str) -> None:
        self._guest = guest
        files = {"strongswan.conf": SETTINGS, "swanctl/swanctl.conf": connections}
        written = "\n".join(f"echo {shlex.quote(text)} > /tmp/{name}" for name, text in files.items())
        guest.shell(
            f"rm -rf /tmp/swanctl {LOG} /tmp/charon.vici; mkdir -p /tmp/swanctl\n{written}\n{ENVIRONMENT}\n"
            "setsid /usr/lib/ipsec/charon > /tmp/charon.out 2>&1 < /dev/null &\n"
            "for _ in $(seq 200); do test -S /tmp/charon.vici && break; sleep 0.1; done"
        )
        self.swanctl("--load-all --noprompt")

    def swanctl(self, arguments: str) -> str:
        """Run a command. Raise GuestError where it fails."""
        return self._guest.shell(f"{ENVIRONMENT}\nswanctl {arguments} --uri {VICI}")

    def associations(self) -> str:
        return self.swanctl("--list-sas")

    def states(self) -> str:
        """Give what its kernel holds."""
        return self._guest.shell("ip xfrm state; ip xfrm policy")

    def log(self) -> str:
        return self._guest.shell(f"tail -c 5000 {LOG} || true")

    def stop(self) -> None:
        self._guest.shell(
            "pid=$(pidof charon) || exit 0; kill $pid; for _ in $(seq 100); do pidof charon || break; sleep 0.1; done\n"
            "ip xfrm state flush; ip xfrm policy flush"
        )
