"""Finds what other firewalls on this host would do to the tunnel's traffic. Accepting in our table cannot undo it."""
