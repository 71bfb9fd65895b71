// The table is a length, a double-array trie of that many bytes, and texts. A trie unit holds
// in bits 0–7 its label (bit 31 set: none), in bit 8 whether a value hangs below it, and in
// bits 9–30 the offset to its children; a value is the place of the replacement.
#include "text/normalize.h"

#include <string.h>

// No rule of SentencePiece's is longer; a table that goes round in circles ends here.
enum { LONGEST_MATCH = 128 };

static uint32_t read_u32(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

tb_code tb_charsmap_init(tb_charsmap *map, tb_text bytes, tb_error *err)
{
    *map = (tb_charsmap){0};
    if (bytes.size == 0)
        return TB_OK;
    uint32_t trie = bytes.size >= 4 ? read_u32(bytes.data) : 0;
    if (trie == 0 || trie % 4 != 0 || trie > bytes.size - 4)
        return tb_fail(err, TB_EFORMAT, "the character map of %zu bytes does not hold its trie", bytes.size);
    map->units = bytes.data + 4;
    map->unit_count = trie / 4;
    map->replacements = map->units + trie;
    map->replacements_size = bytes.size - 4 - trie;
    if (map->replacements_size > 0 && map->replacements[map->replacements_size - 1] != '\0')
        return tb_fail(err, TB_EFORMAT, "the character map's last replacement does not end");
    return TB_OK;
}

// A unit, or one that matches nothing when it lies outside.
static uint32_t unit_at(const tb_charsmap *map, size_t at)
{
    return at < map->unit_count ? read_u32(map->units + 4 * at) : UINT32_MAX;
}

static size_t children_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

// Bytes of the longest match at the start of `text`, 0 if there is none; stores the place of
// its replacement.
static size_t longest_match(uint32_t *value, const tb_charsmap *map, tb_text text)
{
    size_t longest = 0, node = children_of(unit_at(map, 0));
    for (size_t i = 0; i < text.size && i < LONGEST_MATCH; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        node ^= byte;
        uint32_t unit = unit_at(map, node);
        if ((unit & (1u << 31 | 0xFF)) != byte)
            break;
        node ^= children_of(unit);
        if (unit >> 8 & 1) {
            *value = unit_at(map, node) & ~(1u << 31);
            longest = i + 1;
        }
    }
    return longest;
}

static tb_code append_replacement(tb_str *out, const tb_charsmap *map, uint32_t place, tb_error *err)
{
    if (place >= map->replacements_size)
        return tb_fail(err, TB_EFORMAT, "the character map points to byte %u of %zu", (unsigned)place,
                       map->replacements_size);
    return tb_str_append_text(out, map->replacements + place, err);
}

tb_code tb_charsmap_append(tb_str *out, const tb_charsmap *map, tb_text text, tb_error *err)
{
    if (map->unit_count == 0)
        return tb_str_append(out, text.data, text.size, err);
    tb_code rc = TB_OK;
    for (size_t at = 0, n; at < text.size && !rc; at += n) {
        tb_text rest = {text.data + at, text.size - at};
        uint32_t c, place = 0;
        n = longest_match(&place, map, rest);
        if (n > 0) {
            rc = append_replacement(out, map, place, err);
            continue;
        }
        n = tb_utf8_decode(&c, rest.data, rest.size);
        n = n ? n : 1;
        rc = tb_str_append(out, rest.data, n, err);
    }
    return rc;
}
