"""Drivers of the host's own network: each observes, applies what is wanted and sweeps what is not."""
