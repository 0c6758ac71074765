from __future__ import annotations

from ipaddress import ip_address

from culvert.entropy import SeededEntropy
from culvert.ike.cookies import ROTATION_NS, Cookies

HERE, THERE = ip_address("192.0.2.1"), ip_address("192.0.2.2")
NONCE, SPI = bytes(16), bytes(range(8))


def test_a_cookie_is_valid_for_its_message_and_source_only() -> None:
    cookies = Cookies(SeededEntropy(1))
    cookie = cookies.make(0, NONCE, HERE, SPI)
    assert cookies.valid(0, cookie, NONCE, HERE, SPI)
    assert not cookies.valid(0, cookie, NONCE, THERE, SPI)
    assert not cookies.valid(0, cookie, bytes(17), HERE, SPI)
    assert not cookies.valid(0, cookie, NONCE, HERE, bytes(8))
    assert not cookies.valid(0, b"", NONCE, HERE, SPI)


def test_a_cookie_outlives_one_rotation_and_not_two() -> None:
    cookies = Cookies(SeededEntropy(1))
    cookie = cookies.make(0, NONCE, HERE, SPI)
    assert cookies.valid(ROTATION_NS, cookie, NONCE, HERE, SPI)
    assert not cookies.valid(2 * ROTATION_NS, cookie, NONCE, HERE, SPI)


def test_secrets_do_not_pile_up() -> None:
    cookies = Cookies(SeededEntropy(1))
    for rotation in range(50):
        cookies.make(rotation * ROTATION_NS, NONCE, HERE, SPI)
    assert len(cookies._secrets) == 2
