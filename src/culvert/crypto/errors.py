"""How cryptography refuses what a peer sent."""

from __future__ import annotations


class NotAuthentic(ValueError):  # noqa: N818 - the name says what is the case, as the drop reason does
    """The octets were not protected by these keys, or are no protected message at all. It does not say which."""


class InvalidKeyExchange(ValueError):  # noqa: N818 - named after the notification that answers it
    """A public value that no honest peer sends; the text says why, without the value."""
