// Square QAM with the Gray maps of 3GPP TS 38.211, section 5.1, one real axis at a time.
#include <float.h>
#include <math.h>

#include "csi/link.h"

void tb_csi_axis_init(tb_csi_axis *axis, tb_csi_modulation modulation)
{
    *axis = (tb_csi_axis){.bits = (unsigned)modulation + 1};
    axis->level_count = 1u << axis->bits;
    double count = axis->level_count;
    axis->step = sqrt(3 / (2 * (count * count - 1))); // E|d|² = 1
    for (unsigned code = 0; code < axis->level_count; code++) {
        // 38.211: (1−2b0)·(2 − (1−2b2)·…): each bit chooses a half, mirrored by the bit before.
        int value = 1;
        for (unsigned i = 0; i + 1 < axis->bits; i++)
            value = (2 << i) - (code >> i & 1 ? -value : value);
        if (code >> (axis->bits - 1) & 1)
            value = -value;
        unsigned place = (unsigned)(value + (int)axis->level_count - 1) / 2;
        axis->levels[place] = value * axis->step;
        axis->codes[place] = (uint8_t)code;
        axis->places[code] = (uint8_t)place;
    }
}

// Two levels are by far the most frequent case, and the simplest: a bit is a sign.
void tb_csi_modulate(double *d, const tb_csi_link *link, const uint8_t *bits)
{
    const tb_csi_axis *axis = &link->axis;
    size_t p = link->options.p;
    if (axis->level_count == 2) {
        for (size_t i = 0; i < p; i++) {
            d[i] = bits[2 * i] ? -axis->step : axis->step;
            d[p + i] = bits[2 * i + 1] ? -axis->step : axis->step;
        }
        return;
    }
    for (size_t part = 0; part < 2; part++)
        for (size_t i = 0; i < p; i++) {
            unsigned code = 0;
            for (unsigned k = 0; k < axis->bits; k++)
                code = code << 1 | bits[2 * (axis->bits * i + k) + part];
            d[part * p + i] = axis->levels[axis->places[code]];
        }
}

// ---- decisions ----

// Places per unit of a signal that is scaled by `gain`.
static double density(const tb_csi_axis *axis, double gain)
{
    return gain > 0 ? 1 / (2 * gain * axis->step) : DBL_MAX;
}

// The place of the level nearest to x.
static unsigned slice(const tb_csi_axis *axis, double x, double per_unit)
{
    double place = x * per_unit + axis->level_count / 2, most = axis->level_count - 1;
    place = place < 0 ? 0 : place;
    return (unsigned)(int)(place > most ? most : place);
}

void tb_csi_decide(double *d, const tb_csi_axis *axis, const double *z, size_t n, double gain)
{
    double per_unit = density(axis, gain), step = axis->step;
    if (axis->level_count == 2) {
        for (size_t i = 0; i < n; i++)
            d[i] = z[i] < 0 ? -step : step;
        return;
    }
    for (size_t i = 0; i < n; i++)
        d[i] = axis->levels[slice(axis, z[i], per_unit)];
}

void tb_csi_demodulate(uint8_t *bits, const tb_csi_link *link, const double *z, double gain)
{
    const tb_csi_axis *axis = &link->axis;
    double per_unit = density(axis, gain);
    size_t p = link->options.p;
    if (axis->level_count == 2) {
        for (size_t i = 0; i < p; i++) {
            bits[2 * i] = z[i] < 0;
            bits[2 * i + 1] = z[p + i] < 0;
        }
        return;
    }
    for (size_t part = 0; part < 2; part++)
        for (size_t i = 0; i < p; i++) {
            unsigned code = axis->codes[slice(axis, z[part * p + i], per_unit)];
            for (unsigned k = 0; k < axis->bits; k++)
                bits[2 * (axis->bits * i + k) + part] = code >> (axis->bits - 1 - k) & 1;
        }
}

double tb_csi_tail(double x)
{
    return 0.5 * erfc(x * 0.70710678118654752440);
}
