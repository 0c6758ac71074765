"""Culvert joins two private networks over the Internet with IPsec, so that they behave as one."""

__version__ = "0.1.0"
