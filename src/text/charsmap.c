// The table is a length, a double-array trie of that many bytes, and texts. A trie unit holds
// in bits 0–7 its label (bit 31 set: none), in bit 8 whether a value hangs below it, and in
// bits 9–30 the offset to its children; a value is the place of the replacement.
#include "text/normalize.h"

#include <string.h>

#include <nettle/base64.h>
#include <utf8proc.h>

// No rule of SentencePiece's is longer; a table that goes round in circles ends here.
enum { LONGEST_MATCH = 128 };

static uint32_t read_u32(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

tb_code tb_charsmap_decode(tb_text *out, tb_arena *arena, tb_text base64, tb_error *err)
{
    struct base64_decode_ctx context;
    size_t size = BASE64_DECODE_LENGTH(base64.size);
    uint8_t *bytes = tb_arena_alloc(arena, size);
    if (!bytes)
        return tb_fail(err, TB_ENOMEM, "no memory for a character map of %zu bytes", size);
    base64_decode_init(&context);
    if (base64.size > 0 &&
        (!base64_decode_update(&context, &size, bytes, base64.size, base64.data) || !base64_decode_final(&context)))
        return tb_fail(err, TB_EFORMAT, "precompiled_charsmap is not base64");
    *out = (tb_text){(const char *)bytes, base64.size ? size : 0};
    return TB_OK;
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

// Bytes of the longest match, or of the shortest, at the start of `text`, 0 if there is none; stores the place of
// its replacement.
static size_t match_prefix(uint32_t *value, const tb_charsmap *map, tb_text text, bool shortest)
{
    size_t found = 0, node = children_of(unit_at(map, 0));
    for (size_t i = 0; i < text.size && i < LONGEST_MATCH; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        node ^= byte;
        uint32_t unit = unit_at(map, node);
        if ((unit & (1u << 31 | 0xFF)) != byte)
            break;
        node ^= children_of(unit);
        if (unit >> 8 & 1) {
            *value = unit_at(map, node) & ~(1u << 31);
            found = i + 1;
            if (shortest)
                break;
        }
    }
    return found;
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
        n = match_prefix(&place, map, rest, false);
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

// ---- by graphemes ----

// Replaces `part` as a whole by what stands for its shortest beginning; false where there is nothing.
static bool replace_part(tb_code *rc, tb_str *out, const tb_charsmap *map, tb_text part, tb_error *err)
{
    uint32_t place = 0;
    if (part.data[0] == '\0' || match_prefix(&place, map, part, true) == 0)
        return false;
    *rc = append_replacement(out, map, place, err);
    return true;
}

// Bytes of the first character as readers see it, or of one byte that is not UTF-8.
static size_t grapheme_size(tb_text text)
{
    uint32_t before, next;
    utf8proc_int32_t state = 0;
    size_t at = tb_utf8_decode(&before, text.data, text.size), n;
    if (at == 0)
        return 1;
    while ((n = tb_utf8_decode(&next, text.data + at, text.size - at)) > 0 &&
           !utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)next, &state)) {
        before = next;
        at += n;
    }
    return at;
}

tb_code tb_charsmap_append_by_grapheme(tb_str *out, const tb_charsmap *map, tb_text text, tb_error *err)
{
    enum { LONGEST_GRAPHEME = 5 }; // bytes of one that is replaced as a whole
    if (map->unit_count == 0)
        return tb_str_append(out, text.data, text.size, err);
    tb_code rc = TB_OK;
    for (size_t at = 0, end; at < text.size && !rc; at = end) {
        end = at + grapheme_size((tb_text){text.data + at, text.size - at});
        tb_text grapheme = {text.data + at, end - at};
        if (grapheme.size <= LONGEST_GRAPHEME && replace_part(&rc, out, map, grapheme, err))
            continue;
        for (size_t i = 0, n; i < grapheme.size && !rc; i += n) {
            uint32_t c;
            n = tb_utf8_decode(&c, grapheme.data + i, grapheme.size - i);
            n = n ? n : 1;
            if (!replace_part(&rc, out, map, (tb_text){grapheme.data + i, n}, err))
                rc = tb_str_append(out, grapheme.data + i, n, err);
        }
    }
    return rc;
}
