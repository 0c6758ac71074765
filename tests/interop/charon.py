"""strongSwan with its user-space IPsec plugin as a gateway in a network namespace.

One charon with a private /run, talked to through vici by swanctl. ESP is in UDP on port 4500 only, tunnel mode, no ESN.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

PLUGINS = (
    "random nonce openssl aes md5 sha1 sha2 hmac kdf gcm ctr ccm xcbc cmac chapoly curve25519 gmp pem pkcs1 pkcs8 x509 "
    "pubkey revocation constraints kernel-libipsec kernel-netlink socket-default vici updown"
)
"""kernel-libipsec stands before kernel-netlink: the first that offers IPsec serves it."""


class CharonError(AssertionError):
    """charon or swanctl did not do what the test needs; the text has their output."""


class Charon:
    """One running daemon. `connections` is the text of its swanctl.conf, `settings` lines for strongswan.conf.

    `quiet`: it writes no log. `files` are certificates, keys and lists by their places in swanctl's folder.
    """

    def __init__(
        self,
        namespace: str,
        directory: Path,
        connections: str,
        *,
        settings: str = "",
        quiet: bool = False,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        self.namespace = namespace
        self.directory = directory
        self.vici = directory / "charon.vici"
        self.log = directory / "charon.log"
        self._write(connections, settings, quiet)
        for place, data in (files or {}).items():
            path = directory / "swanctl" / place
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        self._process = self._start()
        self._wait_for_vici()
        self.swanctl("--load-all", "--noprompt")

    @property
    def pid(self) -> int:
        return self._process.pid

    def _write(self, connections: str, settings: str, quiet: bool) -> None:
        level = -1 if quiet else 1
        (self.directory / "swanctl").mkdir(parents=True, exist_ok=True)
        (self.directory / "swanctl/swanctl.conf").write_text(connections)
        (self.directory / "swanctl/swanctl.conf").chmod(0o600)
        (self.directory / "strongswan.conf").write_text(
            f"""charon {{
  load_modular = no
  load = {PLUGINS}
  install_virtual_ip = no
  retransmit_timeout = 1
  retransmit_tries = 3
  {settings}
  filelog {{ main {{ path = {self.log}
      default = {level}
      ike = {level if quiet else 2}
      flush_line = yes }} }}
  plugins {{ vici {{ socket = unix://{self.vici} }} }}
}}
"""
        )

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "STRONGSWAN_CONF": str(self.directory / "strongswan.conf"),
            "SWANCTL_DIR": str(self.directory / "swanctl"),
        }

    def _start(self) -> subprocess.Popen[bytes]:
        inside = "mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/charon"
        command = ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "--propagation", "private"]
        return subprocess.Popen(
            [*command, "sh", "-c", inside],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _wait_for_vici(self, seconds: float = 20) -> None:
        """Wait until the socket is there; the process ending instead is told at once."""
        ended = os.pidfd_open(self._process.pid)
        try:
            deadline = time.monotonic() + seconds
            while not self.vici.exists():
                if select.select([ended], [], [], 0.02)[0] or time.monotonic() > deadline:
                    raise CharonError(f"charon did not start:\n{self.text()}")
        finally:
            os.close(ended)

    def text(self) -> str:
        """Give the log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def swanctl(self, *arguments: str, check: bool = True, seconds: float = 40) -> str:
        """Run one swanctl command and give its output."""
        command = ["ip", "netns", "exec", self.namespace, "swanctl", *arguments, "--uri", f"unix://{self.vici}"]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        if check and done.returncode != 0:
            raise CharonError(f"swanctl {' '.join(arguments)}: {done.stdout}{done.stderr}\n{self.text()[-6000:]}")
        return done.stdout

    def initiate(self, child: str) -> str:
        return self.swanctl("--initiate", "--child", child, "--timeout", "30")

    def associations(self) -> str:
        return self.swanctl("--list-sas")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def connection(
    local: str,
    remote: str,
    local_network: str,
    remote_network: str,
    secret: str,
    *,
    ike: str = "aes128gcm16-prfsha256-x25519",
    esp: str = "aes128gcm16-x25519",
    child: str = "",
    dpd: str = "0s",
) -> str:
    """Give the swanctl.conf of one IKEv2 connection with a pre-shared key and one child called `net`."""
    return f"""connections {{
  culvert {{
    version = 2
    local_addrs = {local}
    remote_addrs = {remote}
    proposals = {ike}
    encap = yes
    dpd_delay = {dpd}
    local {{ auth = psk
      id = {local} }}
    remote {{ auth = psk
      id = {remote} }}
    children {{ net {{
        local_ts = {local_network}
        remote_ts = {remote_network}
        esp_proposals = {esp}
        {child}
    }} }}
  }}
}}
secrets {{ ike {{ id-1 = {local}
    id-2 = {remote}
    secret = "{secret}" }} }}
"""


def certified(
    local: tuple[str, str],
    remote: tuple[str, str],
    networks: tuple[str, str],
    *,
    ike: str = "aes128gcm16-prfsha256-x25519",
    revocation: str = "relaxed",
    auth: str = "pubkey",
) -> str:
    """Give the swanctl.conf of one connection with certificates; ends are pairs of address and identity."""
    return f"""connections {{
  culvert {{
    version = 2
    local_addrs = {local[0]}
    remote_addrs = {remote[0]}
    proposals = {ike}
    encap = yes
    dpd_delay = 0s
    local {{ auth = {auth}
      certs = gateway.pem
      id = {local[1]} }}
    remote {{ auth = pubkey
      id = {remote[1]}
      cacerts = root.pem
      revocation = {revocation} }}
    children {{ net {{
        local_ts = {networks[0]}
        remote_ts = {networks[1]}
        esp_proposals = aes128gcm16-x25519
    }} }}
  }}
}}
"""


def with_children(
    local: str,
    remote: str,
    secret: str,
    children: Mapping[str, str],
    *,
    ike: str = "aes128gcm16-prfsha256-x25519",
    more: str = "encap = yes",
) -> str:
    """Give the swanctl.conf of one connection with a pre-shared key; `children` are what stands in each, by name."""
    sections = "\n".join(f"      {name} {{\n{text}\n      }}" for name, text in children.items())
    return f"""connections {{
  culvert {{
    version = 2
    local_addrs = {local}
    remote_addrs = {remote}
    proposals = {ike}
    dpd_delay = 0s
    {more}
    local {{ auth = psk
      id = {local} }}
    remote {{ auth = psk
      id = {remote} }}
    children {{
{sections}
    }}
  }}
}}
secrets {{ ike {{ id-1 = {local}
    id-2 = {remote}
    secret = "{secret}" }} }}
"""
