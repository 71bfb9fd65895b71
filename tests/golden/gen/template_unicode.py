#!/usr/bin/env python3
"""Writes src/template/unicode_tables.h: what Python's str methods know of Unicode beyond the general
categories and case mappings that utf8proc has. usage: template_unicode.py | clang-format > src/template/unicode_tables.h"""
import unicodedata

ALL = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
# Characters newer than Python's tables are unknown to it: they are left to their category.
KNOWN = [c for c in ALL if unicodedata.category(c) != "Cn"]


def ranges(chars):
    out = []
    for c in map(ord, chars):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def range_table(name, comment, chars):
    print(f"\n// {comment}\nstatic const uint32_t {name}[][2] = {{")
    print(", ".join(f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(chars)))
    print("};")


print(f"""// Tables of unicode.c, written by tests/golden/gen/template_unicode.py from Unicode
// {unicodedata.unidata_version} as Python has it. Ranges are first and last character.
#ifndef TB_TEMPLATE_UNICODE_TABLES_H
#define TB_TEMPLATE_UNICODE_TABLES_H

#include <stdint.h>""")
range_table("other_lowercase", "Lower case, but of another category than Ll.",
            [c for c in KNOWN if c.islower() and unicodedata.category(c) != "Ll"])
range_table("other_uppercase", "Upper case, but of another category than Lu.",
            [c for c in KNOWN if c.isupper() and unicodedata.category(c) != "Lu"])
range_table("other_digits", "Digits, but of another category than Nd.",
            [c for c in KNOWN if c.isdigit() and unicodedata.category(c) != "Nd"])
print("\n#endif")
