"""The lines of keys in TOML of every shape."""

from __future__ import annotations

from culvert.config.dialects.toml_lines import lines_of

TEXT = '''\
# a comment = 1
title = "x = 1 # no" # and [one] behind

[gateway]
a = 1
"quoted key" = 2
'li.teral' . b = 3
list = [ # comment, with [brackets]
  "one",
  "t]wo", "three",
  [ "deep",
    { x = 1, y.z = [
      5 ] } ],
]
multi = """
[not.a.table]
key = "\\""" """
raw = \'\'\'
[nor.this]\'\'\'
date = 1979-05-27 07:32:00Z
  [ peers . "a b" ]
  inline = { one = 1, two = [ 1 ] }
[[array]]
k = 1
[[array]]
k = 2
'''


def test_lines() -> None:
    lines = lines_of(TEXT)
    assert lines == {
        ("title",): 2,
        ("gateway",): 4,
        ("gateway", "a"): 5,
        ("gateway", "quoted key"): 6,
        ("gateway", "li.teral"): 7,
        ("gateway", "li.teral", "b"): 7,
        ("gateway", "list"): 8,
        ("gateway", "list", 0): 9,
        ("gateway", "list", 1): 10,
        ("gateway", "list", 2): 10,
        ("gateway", "list", 3): 11,
        ("gateway", "list", 3, 0): 11,
        ("gateway", "list", 3, 1): 12,
        ("gateway", "list", 3, 1, "x"): 12,
        ("gateway", "list", 3, 1, "y"): 12,
        ("gateway", "list", 3, 1, "y", "z"): 12,
        ("gateway", "list", 3, 1, "y", "z", 0): 13,
        ("gateway", "multi"): 15,
        ("gateway", "raw"): 18,
        ("gateway", "date"): 20,
        ("peers",): 21,
        ("peers", "a b"): 21,
        ("peers", "a b", "inline"): 22,
        ("peers", "a b", "inline", "one"): 22,
        ("peers", "a b", "inline", "two"): 22,
        ("peers", "a b", "inline", "two", 0): 22,
        ("array",): 23,
        ("array", 0): 23,
        ("array", 0, "k"): 24,
        ("array", 1): 25,
        ("array", 1, "k"): 26,
    }


def test_line_ends_of_windows() -> None:
    assert lines_of("a = 1\r\n\r\n[b]\r\nc = 2") == {("a",): 1, ("b",): 3, ("b", "c"): 4}
