// Angles are computed in double: at position 100,000 a float angle is off by 0.004.
#include "model/rope.h"

#include <math.h>

bool tb_rope_table_init(tb_rope_table *table, tb_arena *arena, const tb_rope_settings *settings, size_t head_size,
                        size_t positions)
{
    size_t pairs = head_size / 2, n;
    if (!tb_mul_size(&n, positions, pairs))
        return false;
    *table = (tb_rope_table){
        .pairs = pairs,
        .cos = tb_arena_array(arena, n, sizeof(float)),
        .sin = tb_arena_array(arena, n, sizeof(float)),
    };
    if (!table->cos || !table->sin)
        return false;
    for (size_t i = 0; i < pairs; i++) {
        double frequency = settings->scale * pow(settings->base, -2.0 * (double)i / (double)head_size);
        if (settings->factors)
            frequency /= (double)settings->factors[i];
        for (size_t p = 0; p < positions; p++) {
            table->cos[p * pairs + i] = (float)cos((double)p * frequency);
            table->sin[p * pairs + i] = (float)sin((double)p * frequency);
        }
    }
    return true;
}

void tb_rope_apply(float *head, const tb_rope_table *table, size_t position, bool halves)
{
    size_t pairs = table->pairs;
    const float *c = table->cos + position * pairs, *s = table->sin + position * pairs;
    size_t step = halves ? 1 : 2, other = halves ? pairs : 1;
    for (size_t i = 0; i < pairs; i++) {
        float a = head[i * step], b = head[i * step + other];
        head[i * step] = a * c[i] - b * s[i];
        head[i * step + other] = a * s[i] + b * c[i];
    }
}
