// Angles are computed in double: at position 100,000 a float angle is off by 0.004.
#include "model/rope.h"

#include <math.h>
#include <string.h>

size_t tb_rope_regime(const tb_rope *rope, size_t length)
{
    if (rope->original == 0 || length <= rope->original)
        return 0;
    return rope->long_frequencies ? 1 : length;
}

bool tb_rope_turns_again(const tb_rope *rope, size_t from, size_t to)
{
    return rope->long_frequencies && tb_rope_regime(rope, from) != tb_rope_regime(rope, to);
}

void tb_rope_base_frequencies(double *out, size_t pairs, double base)
{
    for (size_t i = 0; i < pairs; i++)
        out[i] = pow(base, -2.0 * (double)i / (double)(2 * pairs));
}

// NTK-aware scaling that grows with the length: the slowest pair turns as if positions were divided by
// factor·length/original − (factor − 1), the fastest as ever.
static double dynamic_base(const tb_rope *rope, size_t length)
{
    double size = 2 * (double)rope->pairs;
    double stretch = rope->factor * (double)length / (double)rope->original - (rope->factor - 1);
    return rope->base * pow(stretch, size / (size - 2));
}

void tb_rope_get_frequencies(double *out, const tb_rope *rope, size_t length)
{
    bool is_long = tb_rope_regime(rope, length) != 0;
    if (is_long && !rope->long_frequencies)
        tb_rope_base_frequencies(out, rope->pairs, dynamic_base(rope, length));
    else
        memcpy(out, is_long ? rope->long_frequencies : rope->frequencies, rope->pairs * sizeof *out);
}

bool tb_rope_table_init(tb_rope_table *table, tb_arena *arena, const tb_rope *rope, size_t capacity)
{
    size_t n;
    if (!tb_mul_size(&n, capacity, rope->pairs))
        return false;
    *table = (tb_rope_table){
        .rope = rope,
        .cos = tb_arena_array(arena, n, sizeof(float)),
        .sin = tb_arena_array(arena, n, sizeof(float)),
        .positions = tb_arena_array(arena, capacity, sizeof(int32_t)),
        .regimes = tb_arena_array(arena, capacity, sizeof(size_t)),
        .frequencies = tb_arena_array(arena, rope->pairs, sizeof(double)),
    };
    if (!table->cos || !table->sin || !table->positions || !table->regimes || !table->frequencies)
        return false;
    for (size_t row = 0; row < capacity; row++)
        table->positions[row] = -1;
    return true;
}

static void fill_row(const tb_rope_table *table, size_t row, int32_t position)
{
    size_t pairs = table->rope->pairs;
    double magnitude = table->rope->magnitude;
    for (size_t i = 0; i < pairs; i++) {
        double angle = (double)position * table->frequencies[i];
        table->cos[row * pairs + i] = (float)(magnitude * cos(angle));
        table->sin[row * pairs + i] = (float)(magnitude * sin(angle));
    }
}

void tb_rope_table_fill(const tb_rope_table *table, size_t first, const int32_t *positions, size_t n, size_t length)
{
    size_t regime = tb_rope_regime(table->rope, length);
    tb_rope_get_frequencies(table->frequencies, table->rope, length);
    for (size_t i = 0; i < n; i++) {
        size_t row = first + i;
        if (table->positions[row] == positions[i] && table->regimes[row] == regime)
            continue;
        fill_row(table, row, positions[i]);
        table->positions[row] = positions[i];
        table->regimes[row] = regime;
    }
}

void tb_rope_apply(float *head, const tb_rope_table *table, size_t row)
{
    size_t pairs = table->rope->pairs;
    const float *c = table->cos + row * pairs, *s = table->sin + row * pairs;
    size_t step = table->rope->halves ? 1 : 2, other = table->rope->halves ? pairs : 1;
    for (size_t i = 0; i < pairs; i++) {
        float a = head[i * step], b = head[i * step + other];
        head[i * step] = a * c[i] - b * s[i];
        head[i * step + other] = a * s[i] + b * c[i];
    }
}
