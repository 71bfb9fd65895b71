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
// Rows that are sinks though they are not among the first (KVSink, arXiv 2508.04257) would stretch a group's scales as
// well. Those that come with `apart` set are kept besides, as they are, TB_KV_APART at most; their group's ranges leave
// them out, and whatever their codes are, nobody sees them: the segment of groups is cut there.
//
// How a group lies in memory is said in kv_codes.h; behind all groups lie the rows apart: positions, keys, values.
#include <assert.h>
#include <math.h>

#include "model/kv_codes.h"
#include "model/kv_ring.h"

enum { CHUNK = 64 }; // channels of a row that are coded at a time

// ---- codes ----

typedef struct ranges {
    float scales[CHUNK], offsets[CHUNK]; // halves
} ranges;

// Makes the range low … high that of channel i, and stores it; 0 where there are no numbers (low > high).
static void set_range(ranges *r, size_t i, uint16_t *scale, uint16_t *offset, float low, float high, unsigned bits)
{
    *scale = tb_half_from_float(low > high ? 0 : (high - low) / (float)((1u << bits) - 1));
    *offset = tb_half_from_float(low > high ? 0 : low);
    r->scales[i] = tb_half_to_float(*scale);
    r->offsets[i] = tb_half_to_float(*offset);
}

static void find_codes(uint8_t *codes, const float *x, const ranges *r, size_t n, unsigned bits)
{
    const float most = (float)((1u << bits) - 1);
    for (size_t i = 0; i < n; i++) {
        float code = r->scales[i] > 0 ? (x[i] - r->offsets[i]) / r->scales[i] + 0.5f : 0;
        code = code > 0 ? code : 0; // NaN: 0
        codes[i] = (uint8_t)(int)(code < most ? code : most);
    }
}

// Code i of a row that was zero.
static void put_code(uint8_t *row, size_t i, unsigned bits, unsigned code)
{
    size_t bit = i * bits;
    unsigned shifted = code << bit % 8;
    row[bit / 8] |= (uint8_t)shifted;
    if (shifted > UINT8_MAX)
        row[bit / 8 + 1] |= (uint8_t)(shifted >> 8);
}

// ---- rows apart ----

typedef struct apart_rows {
    int32_t *positions; // [apart_slots], ascending
    char *keys, *values;
} apart_rows;

// Bytes of storage in front of the rows apart; false on overflow.
static bool bytes_in_front(size_t *out, const tb_kv_head *head)
{
    size_t exact, groups;
    if (!tb_kv_store_bytes(&exact, head) || !tb_mul_size(&groups, tb_kv_group_bytes(head), head->group_slots) ||
        !tb_add_size(out, exact, groups) || !tb_add_size(out, *out, TB_CODES_PAD + sizeof(float)))
        return false;
    *out -= *out % sizeof(float);
    return true;
}

static apart_rows apart_of(const tb_kv_head *head)
{
    size_t at = 0;
    bytes_in_front(&at, head);
    apart_rows a = {.positions = (int32_t *)(void *)((char *)head->storage + at)};
    a.keys = (char *)(a.positions + head->apart_slots);
    a.values = a.keys + head->apart_slots * tb_kv_row_bytes(head);
    return a;
}

// Takes in those of new rows that are to lie apart, while there is room.
static void store_apart(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows)
{
    apart_rows a = apart_of(head);
    size_t bytes = tb_kv_row_bytes(head);
    for (size_t i = 0; rows->apart && i < rows->count && head->apart < head->apart_slots; i++) {
        if (!rows->apart[i] || head->count + i < head->sinks)
            continue;
        a.positions[head->apart] = rows->positions[i];
        tb_kv_write_numbers(a.keys + head->apart * bytes, rows->keys + i * rows->stride, head, kernels);
        tb_kv_write_numbers(a.values + head->apart * bytes, rows->values + i * rows->stride, head, kernels);
        head->apart++;
    }
}

static bool is_apart(const tb_kv_head *head, size_t row)
{
    size_t position = tb_kv_ring_position(head, row);
    for (size_t i = 0; i < head->apart; i++)
        if ((size_t)apart_of(head).positions[i] == position)
            return true;
    return false;
}

static void cut_apart(tb_kv_head *head, size_t position)
{
    while (head->apart > 0 && (size_t)apart_of(head).positions[head->apart - 1] >= position)
        head->apart--;
}

static void copy_apart(tb_kv_head *to, const tb_kv_head *from)
{
    apart_rows new = apart_of(to), old = apart_of(from);
    size_t bytes = from->apart * tb_kv_row_bytes(from);
    to->apart = from->apart;
    memcpy(new.positions, old.positions, from->apart * sizeof *new.positions);
    memcpy(new.keys, old.keys, bytes);
    memcpy(new.values, old.values, bytes);
}

// ---- making a group ----

// Channels first … first + n − 1 of a row that is in the ring, of its value or else its key.
static void read_row(float *out, const tb_kv_head *head, const tb_kernels *kernels, bool values, size_t row,
                     size_t first, size_t n)
{
    size_t slot = tb_kv_ring_slot(head, row);
    const void *at = values ? tb_kv_value_at(head, slot) : tb_kv_key_at(head, slot);
    if (head->type == TB_KV_CACHE_F16) {
        tb_matrix halves = {.type = TB_TYPE_F16, .rows = 1, .cols = n, .data = (const uint16_t *)at + first};
        tb_kernels_decode(kernels, TB_TYPE_F16)(out, n, &halves, 0, 1);
    } else {
        memcpy(out, (const float *)at + first, n * sizeof *out);
    }
}

// The halves of all channels of `head->bits.group` rows from `row` on.
static void keep_whole(void *halves, const tb_kv_head *head, const tb_kernels *kernels, bool values, size_t row)
{
    uint16_t *out = halves;
    float x[CHUNK];
    for (size_t r = row; r < row + head->bits.group; r++)
        for (size_t first = 0, n; first < head->head_size; first += n, out += n) {
            n = tb_min_size(CHUNK, head->head_size - first);
            read_row(x, head, kernels, values, r, first, n);
            kernels->half_from_float(out, x, n);
        }
}

// Keys of `head->bits.group` rows from `row` on, channels first … first + n − 1.
static void code_keys(const tb_kv_group *g, const tb_kv_head *head, const tb_kernels *kernels, size_t row, size_t first,
                      size_t n)
{
    const size_t rows = head->bits.group, stride = tb_kv_group_keys(g, head).stride;
    float x[CHUNK], low[CHUNK], high[CHUNK];
    uint8_t *strips = (uint8_t *)g->keys + first * stride, codes[CHUNK];
    ranges own;
    for (size_t i = 0; i < n; i++)
        low[i] = INFINITY, high[i] = -INFINITY;
    for (size_t r = 0; r < rows; r++) {
        if (is_apart(head, row + r))
            continue;
        read_row(x, head, kernels, false, row + r, first, n);
        for (size_t i = 0; i < n; i++) {
            low[i] = x[i] < low[i] ? x[i] : low[i];
            high[i] = x[i] > high[i] ? x[i] : high[i];
        }
    }
    for (size_t i = 0; i < n; i++)
        set_range(&own, i, g->key_ranges + first + i, g->key_ranges + head->head_size + first + i, low[i], high[i],
                  head->bits.keys);
    memset(strips, 0, n * stride);
    for (size_t r = 0; r < rows; r++) {
        read_row(x, head, kernels, false, row + r, first, n);
        find_codes(codes, x, &own, n, head->bits.keys);
        for (size_t i = 0; i < n; i++)
            put_code(strips + i * stride, r, head->bits.keys, codes[i]);
    }
}
// A block of channels of the value of `row`, which becomes row r of the group.
static void code_value(const tb_kv_group *g, const tb_kv_head *head, const tb_kernels *kernels, size_t row, size_t r,
                       size_t block)
{
    const tb_kv_range channels = tb_kv_value_block(head, block);
    uint16_t *scale = g->value_ranges + 2 * block * head->bits.group + r;
    uint8_t *to = (uint8_t *)g->values + r * tb_kv_group_values(g, head, block).stride, codes[CHUNK];
    float x[CHUNK], low = INFINITY, high = -INFINITY;
    ranges own;
    for (size_t first = channels.begin, n; first < channels.end; first += n) {
        n = tb_min_size(CHUNK, channels.end - first);
        read_row(x, head, kernels, true, row, first, n);
        for (size_t i = 0; i < n; i++) {
            low = x[i] < low ? x[i] : low;
            high = x[i] > high ? x[i] : high;
        }
    }
    set_range(&own, 0, scale, scale + head->bits.group, low, high, head->bits.values);
    for (size_t i = 1; i < CHUNK; i++)
        own.scales[i] = own.scales[0], own.offsets[i] = own.offsets[0];
    for (size_t first = channels.begin, n; first < channels.end; first += n) {
        n = tb_min_size(CHUNK, channels.end - first);
        read_row(x, head, kernels, true, row, first, n);
        find_codes(codes, x, &own, n, head->bits.values);
        for (size_t i = 0; i < n; i++)
            put_code(to, first + i, head->bits.values, codes[i]);
    }
}

// `head->bits.group` rows from `row` on become a group.
static void make_group(const tb_kv_head *head, const tb_kernels *kernels, size_t index, size_t row)
{
    const tb_kv_group g = tb_kv_group_get(head, index);
    const size_t n = head->head_size, rows = head->bits.group;
    if (head->bits.keys == TB_KV_WHOLE)
        keep_whole(g.keys, head, kernels, false, row);
    else
        for (size_t first = 0; first < n; first += CHUNK)
            code_keys(&g, head, kernels, row, first, tb_min_size(CHUNK, n - first));
    if (head->bits.values == TB_KV_WHOLE) {
        keep_whole(g.values, head, kernels, true, row);
        return;
    }
    memset(g.values, 0, rows * tb_kv_group_values(&g, head, 0).stride);
    for (size_t r = 0; r < rows; r++)
        for (size_t b = 0; b < tb_kv_value_blocks(head); b++)
            code_value(&g, head, kernels, row + r, r, b);
}

// ---- the policy ----

static bool coded_bytes(size_t *out, const tb_kv_head *head)
{
    size_t apart = head->apart_slots * (sizeof(int32_t) + 2 * tb_kv_row_bytes(head));
    return bytes_in_front(out, head) && tb_add_size(out, *out, apart);
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
    store_apart(head, kernels, rows);
    tb_kv_ring_store(head, kernels, rows);
    size_t groups = head->count > head->sinks ? groups_at(head, head->count - 1) : 0;
    for (; head->groups < groups; head->groups++) {
        size_t row = head->sinks + head->groups * head->bits.group;
        assert(row >= head->oldest);
        make_group(head, kernels, head->groups, row);
    }
    if (head->groups > head->group_slots && head->oldest_group < head->groups - head->group_slots)
        head->oldest_group = head->groups - head->group_slots;
}

// Rows of groups, in pieces, and between them those apart.
static size_t old_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    const apart_rows a = apart_of(head);
    const size_t size = head->bits.group, bytes = tb_kv_row_bytes(head);
    size_t n = 0;
    tb_kv_segment rest = {
        .coded = head,
        .count = (head->groups - head->oldest_group) * size,
        .first = head->window_first + head->oldest_group * size,
        .reach = head->reach,
        .aging = aging_of(head),
        .age = TB_KV_OLD,
    };
    const size_t end = rest.first + rest.count;
    for (size_t i = 0; i < head->apart; i++) {
        size_t position = (size_t)a.positions[i];
        if (position < rest.first || position >= end)
            continue;
        out[n] = rest;
        out[n].count = position - rest.first;
        n += out[n].from < out[n].count;
        out[n++] = (tb_kv_segment){
            .type = head->type,
            .keys = a.keys + i * bytes,
            .values = a.values + i * bytes,
            .count = 1,
            .first = position,
            .reach = head->reach,
            .aging = rest.aging,
            .age = TB_KV_OLD,
        };
        rest.from = position + 1 - rest.first;
    }
    out[n] = rest;
    return n + (rest.from < rest.count);
}

static size_t coded_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    size_t n = tb_kv_ring_sinks(out, head);
    if (head->oldest_group < head->groups)
        n += old_segments(out + n, head);
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
    cut_apart(head, position);
    head->groups = groups;
    head->oldest_group = tb_min_size(head->oldest_group, groups);
    return is_there;
}

static void coded_copy(tb_kv_head *to, const tb_kv_head *from)
{
    tb_kv_ring_copy(to, from);
    copy_apart(to, from);
    to->groups = from->groups;
    to->oldest_group = from->oldest_group;
    for (size_t i = from->oldest_group; i < from->groups; i++)
        tb_kv_group_copy(to, from, i);
}

const tb_kv_policy tb_kv_coded = {
    .bytes = coded_bytes,
    .store = coded_store,
    .segments = coded_segments,
    .truncate = coded_truncate,
    .copy = coded_copy,
};
