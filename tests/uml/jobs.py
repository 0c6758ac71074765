"""What tests have done inside the guest, one function a job; see `agent` for how they are called."""

from __future__ import annotations

import subprocess
from typing import Any

from culvert.xfrm.transport import kernel_transport
from tests.differential import conversation


def shell(script: str) -> str:
    """Run a script to its first failure; raise with all that it said, or give its standard output."""
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


async def converse(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send XFRM messages to the guest's kernel, in order, and give its replies."""
    replies = await conversation.converse(kernel_transport(), conversation.requests_from_json(requests))
    return conversation.replies_to_json(replies)
