"""Words for the transforms of IANA's table that are not done here, so that what a peer offers can be called by name.

Numbers: IANA "IKEv2 Parameters", transform types 1 to 4. Words: those of proposals, as strongSwan writes them.
"""

from __future__ import annotations

ENCRYPTION: dict[int, str] = {
    1: "des_iv64",
    2: "des",
    3: "3des",
    4: "rc5",
    5: "idea",
    6: "cast",
    7: "blowfish",
    8: "3idea",
    9: "des_iv32",
    11: "null",
    12: "aes",
    13: "aesctr",
    14: "aesccm8",
    15: "aesccm12",
    16: "aesccm16",
    18: "aesgcm8",
    19: "aesgcm12",
    20: "aesgcm16",
    21: "aesgmac",
    23: "camellia",
    24: "camelliactr",
    25: "camelliaccm8",
    26: "camelliaccm12",
    27: "camelliaccm16",
    28: "chacha20poly1305",
}
"""By number; the length of the key, where there is one, is written behind it."""
PRF: dict[int, str] = {1: "prfmd5", 2: "prfsha1", 3: "prftiger", 4: "prfaesxcbc", 8: "prfaescmac", 9: "prfstreebog512"}
INTEGRITY: dict[int, str] = {
    1: "md5",
    2: "sha1",
    3: "desmac",
    4: "kpdkmd5",
    5: "aesxcbc",
    6: "md5_128",
    7: "sha1_160",
    8: "aescmac",
    9: "aes128gmac",
    10: "aes192gmac",
    11: "aes256gmac",
}
KEY_EXCHANGE: dict[int, str] = {
    1: "modp768",
    17: "modp6144",
    18: "modp8192",
    21: "ecp521",
    22: "modp1024s160",
    23: "modp2048s224",
    24: "modp2048s256",
    25: "ecp192",
    26: "ecp224",
    27: "ecp224bp",
    28: "ecp256bp",
    29: "ecp384bp",
    30: "ecp512bp",
    32: "x448",
    35: "mlkem512",
    36: "mlkem768",
    37: "mlkem1024",
}
