// Rows in few bits, once they are no longer new (KIVI, arXiv 2402.02750).
//
//     [ sinks, as they are | groups of G rows in codes | the newest rows, as they are ]
//
// Behind the sinks, the oldest G rows become a group as soon as R newer ones follow them. Keys have a scale and an
// offset per channel and group, for a few channels of keys are large in every token; values have them per row and G
// channels. Sinks are never part of a group: their outliers would stretch the scale of all its rows.
//
// A number x of a range [low, high] becomes the code nearest to (x − o)/s, where o = low and s = (high − low)/(2^bits −
// 1) are halves; it comes back as o + s·code, off by s/2 at most, but for the rounding of o and s. 16 bits are halves.
//
// The newest rows lie in a ring that has R + G − 1 of them and a batch's: a batch's first query sees rows as they are
// that its last one sees in codes (tb_kv_aging). In a stream the groups go round, too.
//
// A group is: (s, o) of keys [channel]; (s, o) of values [row][block]; codes of keys [row][channel]; codes of values. A
// row of codes begins at a byte.
#include <assert.h>
#include <math.h>

#include "model/kv_ring.h"

enum {
    CHUNK = 64, // numbers decoded at a time; a multiple of 8, so that codes of any width end at a byte there
    WHOLE = 16, // bits: no codes but halves
};

typedef struct range {
    uint16_t scale, offset; // halves
} range;

// ---- layout ----

static size_t code_row_bytes(const tb_kv_head *head, unsigned bits)
{
    return (head->head_size * bits + 7) / 8;
}

// Blocks of channels of a row of values.
static size_t value_blocks(const tb_kv_head *head)
{
    return (head->head_size + head->bits.group - 1) / head->bits.group;
}

static size_t key_ranges(const tb_kv_head *head)
{
    return head->bits.keys == WHOLE ? 0 : head->head_size;
}

static size_t value_ranges(const tb_kv_head *head)
{
    return head->bits.values == WHOLE ? 0 : head->bits.group * value_blocks(head);
}

// Rounded up, so that the ranges of the next group are aligned.
static size_t group_bytes(const tb_kv_head *head)
{
    size_t codes = code_row_bytes(head, head->bits.keys) + code_row_bytes(head, head->bits.values);
    size_t bytes = (key_ranges(head) + value_ranges(head)) * sizeof(range) + head->bits.group * codes;
    return (bytes + sizeof(range) - 1) / sizeof(range) * sizeof(range);
}

typedef struct group {
    range *key_ranges, *value_ranges;
    uint8_t *keys, *values;
} group;

static group get_group(const tb_kv_head *head, size_t index)
{
    char *groups = (char *)head->storage + 2 * head->capacity * tb_kv_row_bytes(head);
    group g = {.key_ranges = (range *)(void *)(groups + index % head->group_slots * group_bytes(head))};
    g.value_ranges = g.key_ranges + key_ranges(head);
    g.keys = (uint8_t *)(g.value_ranges + value_ranges(head));
    g.values = g.keys + head->bits.group * code_row_bytes(head, head->bits.keys);
    return g;
}

static bool coded_bytes(size_t *out, const tb_kv_head *head)
{
    size_t exact, groups;
    return tb_kv_store_bytes(&exact, head) && tb_mul_size(&groups, group_bytes(head), head->group_slots) &&
           tb_add_size(out, exact, groups);
}

// ---- codes ----

// Code i of a row that was zero.
static void put_code(uint8_t *row, size_t i, unsigned bits, unsigned code)
{
    size_t bit = i * bits;
    unsigned shifted = code << bit % 8;
    row[bit / 8] |= (uint8_t)shifted;
    if (shifted > UINT8_MAX)
        row[bit / 8 + 1] |= (uint8_t)(shifted >> 8);
}

// n codes from a byte on.
static void get_codes(uint8_t *codes, const uint8_t *from, size_t n, unsigned bits)
{
    const unsigned mask = (1u << bits) - 1, per_byte = 8 / bits;
    size_t i = 0;
    if (8 % bits == 0)
        for (; i + per_byte <= n; i += per_byte)
            for (unsigned k = 0; k < per_byte; k++)
                codes[i + k] = (uint8_t)(from[i / per_byte] >> k * bits & mask);
    for (; i < n; i++) {
        size_t bit = i * bits;
        unsigned both = from[bit / 8];
        if (bit % 8 + bits > 8)
            both |= (unsigned)from[bit / 8 + 1] << 8;
        codes[i] = (uint8_t)(both >> bit % 8 & mask);
    }
}

static range range_of(float low, float high, unsigned bits)
{
    float steps = (float)((1u << bits) - 1);
    return (range){tb_half_from_float((high - low) / steps), tb_half_from_float(low)};
}

static unsigned code_of(float x, range r, unsigned bits)
{
    float scale = tb_half_to_float(r.scale), most = (float)((1u << bits) - 1);
    float code = scale > 0 ? roundf((x - tb_half_to_float(r.offset)) / scale) : 0;
    return code > 0 ? (unsigned)(code < most ? code : most) : 0; // NaN: 0
}

// ---- making a group ----

// Number i of row `row`, which is in the ring, of its value or else its key.
static float number_at(const tb_kv_head *head, bool values, size_t row, size_t i)
{
    size_t slot = tb_kv_ring_slot(head, row);
    const void *at = values ? tb_kv_value_at(head, slot) : tb_kv_key_at(head, slot);
    return head->type == TB_KV_CACHE_F16 ? tb_half_to_float(((const uint16_t *)at)[i]) : ((const float *)at)[i];
}

static void code_whole(uint8_t *codes, const tb_kv_head *head, bool values, size_t row)
{
    for (size_t i = 0; i < head->head_size; i++) {
        uint16_t half = tb_half_from_float(number_at(head, values, row, i));
        memcpy(codes + i * sizeof half, &half, sizeof half);
    }
}

// Channels first … first + count − 1 of rows from `row` on, all with one range.
static range find_range(const tb_kv_head *head, bool values, size_t row, size_t rows, size_t first, size_t count)
{
    float low = INFINITY, high = -INFINITY;
    for (size_t r = row; r < row + rows; r++)
        for (size_t i = first; i < first + count; i++) {
            float x = number_at(head, values, r, i);
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
    return range_of(low, high, values ? head->bits.values : head->bits.keys);
}

static void code_keys(const group *g, const tb_kv_head *head, size_t row)
{
    const size_t bytes = code_row_bytes(head, head->bits.keys);
    if (head->bits.keys == WHOLE) {
        for (size_t r = 0; r < head->bits.group; r++)
            code_whole(g->keys + r * bytes, head, false, row + r);
        return;
    }
    memset(g->keys, 0, head->bits.group * bytes);
    for (size_t i = 0; i < head->head_size; i++) {
        g->key_ranges[i] = find_range(head, false, row, head->bits.group, i, 1);
        for (size_t r = 0; r < head->bits.group; r++)
            put_code(g->keys + r * bytes, i, head->bits.keys,
                     code_of(number_at(head, false, row + r, i), g->key_ranges[i], head->bits.keys));
    }
}

static void code_value(const group *g, const tb_kv_head *head, size_t row, size_t r)
{
    uint8_t *codes = g->values + r * code_row_bytes(head, head->bits.values);
    if (head->bits.values == WHOLE) {
        code_whole(codes, head, true, row + r);
        return;
    }
    memset(codes, 0, code_row_bytes(head, head->bits.values));
    for (size_t b = 0; b < value_blocks(head); b++) {
        size_t first = b * head->bits.group, count = tb_min_size(head->bits.group, head->head_size - first);
        range own = g->value_ranges[r * value_blocks(head) + b] = find_range(head, true, row + r, 1, first, count);
        for (size_t i = first; i < first + count; i++)
            put_code(codes, i, head->bits.values, code_of(number_at(head, true, row + r, i), own, head->bits.values));
    }
}

static tb_kv_aging aging_of(const tb_kv_head *head)
{
    return (tb_kv_aging){head->window_first, head->bits.group, head->bits.residual};
}

// Groups that a query at a row behind the sinks sees.
static size_t groups_at(const tb_kv_head *head, size_t row)
{
    tb_kv_aging aging = {head->sinks, head->bits.group, head->bits.residual};
    return (tb_kv_get_old_end(&aging, row) - aging.first) / aging.group;
}

static void coded_store(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows)
{
    tb_kv_ring_store(head, kernels, rows);
    size_t groups = head->count > head->sinks ? groups_at(head, head->count - 1) : 0;
    for (; head->groups < groups; head->groups++) {
        size_t row = head->sinks + head->groups * head->bits.group;
        group g = get_group(head, head->groups);
        assert(row >= head->oldest);
        code_keys(&g, head, row);
        for (size_t r = 0; r < head->bits.group; r++)
            code_value(&g, head, row, r);
    }
    if (head->groups > head->group_slots && head->oldest_group < head->groups - head->group_slots)
        head->oldest_group = head->groups - head->group_slots;
}

// ---- reading ----

static void decode_codes(float *out, const uint8_t *codes, size_t n, unsigned bits, const float *scales,
                         const float *offsets)
{
    uint8_t own[CHUNK];
    get_codes(own, codes, n, bits);
    for (size_t i = 0; i < n; i++)
        out[i] = offsets[i] + scales[i] * (float)own[i];
}

static void decode_whole(float *out, const uint8_t *codes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, codes + i * sizeof half, sizeof half);
        out[i] = tb_half_to_float(half);
    }
}

// Rows [begin, end) of a group.
static void decode_keys(float *out, const tb_kv_head *head, const group *g, size_t begin, size_t end)
{
    const size_t n = head->head_size, bytes = code_row_bytes(head, head->bits.keys);
    float scales[CHUNK], offsets[CHUNK];
    for (size_t first = 0; first < n; first += CHUNK) {
        size_t count = tb_min_size(CHUNK, n - first);
        for (size_t i = 0; i < count; i++) {
            scales[i] = tb_half_to_float(g->key_ranges[first + i].scale);
            offsets[i] = tb_half_to_float(g->key_ranges[first + i].offset);
        }
        for (size_t r = begin; r < end; r++)
            decode_codes(out + (r - begin) * n + first, g->keys + r * bytes + first * head->bits.keys / 8, count,
                         head->bits.keys, scales, offsets);
    }
}

static void decode_value(float *out, const tb_kv_head *head, const group *g, size_t r)
{
    const size_t n = head->head_size, block = head->bits.group;
    const uint8_t *codes = g->values + r * code_row_bytes(head, head->bits.values);
    float scales[CHUNK], offsets[CHUNK];
    for (size_t first = 0, count; first < n; first += count) {
        size_t b = first / block;
        count = tb_min_size(tb_min_size(CHUNK, n - first), (b + 1) * block - first);
        range own = g->value_ranges[r * value_blocks(head) + b];
        for (size_t i = 0; i < count; i++) {
            scales[i] = tb_half_to_float(own.scale);
            offsets[i] = tb_half_to_float(own.offset);
        }
        decode_codes(out + first, codes + first * head->bits.values / 8, count, head->bits.values, scales, offsets);
    }
}

static void decode_group(float *out, const tb_kv_head *head, size_t index, bool values, size_t begin, size_t end)
{
    const size_t n = head->head_size;
    group g = get_group(head, index);
    const unsigned bits = values ? head->bits.values : head->bits.keys;
    const uint8_t *codes = values ? g.values : g.keys;
    if (bits == WHOLE)
        for (size_t r = begin; r < end; r++)
            decode_whole(out + (r - begin) * n, codes + r * code_row_bytes(head, bits), n);
    else if (values)
        for (size_t r = begin; r < end; r++)
            decode_value(out + (r - begin) * n, head, &g, r);
    else
        decode_keys(out, head, &g, begin, end);
}

static void coded_decode(float *out, const tb_kv_segment *segment, bool values, size_t begin, size_t end)
{
    const tb_kv_head *head = segment->head;
    size_t size = head->bits.group, row = segment->first - head->window_first + begin;
    for (size_t left = end - begin, count; left > 0; left -= count, row += count) {
        count = tb_min_size(left, size - row % size);
        decode_group(out, head, row / size, values, row % size, row % size + count);
        out += count * head->head_size;
    }
}

static size_t coded_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    const size_t size = head->bits.group;
    size_t n = tb_kv_ring_sinks(out, head);
    if (head->oldest_group < head->groups)
        out[n++] = (tb_kv_segment){
            .decode = coded_decode,
            .head = head,
            .count = (head->groups - head->oldest_group) * size,
            .first = head->window_first + head->oldest_group * size,
            .reach = head->reach,
            .aging = aging_of(head),
            .age = TB_KV_OLD,
        };
    size_t young = tb_kv_ring_newest(out + n, head, head->oldest);
    for (size_t i = n; i < n + young; i++) {
        out[i].aging = aging_of(head);
        out[i].age = TB_KV_YOUNG;
    }
    return n + young;
}

// The next query sees groups up to its border, and rows from there on as they are.
static bool coded_truncate(tb_kv_head *head, size_t position)
{
    const size_t kept = tb_kv_ring_rows_below(head, position), size = head->bits.group;
    if (kept == head->count)
        return true;
    size_t groups = kept > head->sinks ? tb_min_size(head->groups, groups_at(head, kept)) : 0;
    size_t seen = head->reach && kept >= head->reach ? kept + 1 - head->reach : 0;
    bool is_there =
        kept <= head->sinks || (head->oldest <= head->sinks + groups * size &&
                                (head->oldest_group == 0 || head->sinks + head->oldest_group * size <= seen));
    tb_kv_ring_cut(head, kept);
    head->groups = groups;
    head->oldest_group = tb_min_size(head->oldest_group, groups);
    return is_there;
}

static void coded_copy(tb_kv_head *to, const tb_kv_head *from)
{
    tb_kv_ring_copy(to, from);
    to->groups = from->groups;
    to->oldest_group = from->oldest_group;
    for (size_t i = from->oldest_group; i < from->groups; i++)
        memcpy(get_group(to, i).key_ranges, get_group(from, i).key_ranges, group_bytes(from));
}

const tb_kv_policy tb_kv_coded = {coded_bytes, coded_store, coded_segments, coded_truncate, coded_copy};
