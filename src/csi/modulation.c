// Square QAM with the Gray maps of 3GPP TS 38.211, section 5.1, one real axis at a time.
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

void tb_csi_modulate(double *d, const tb_csi_link *link, const uint8_t *bits)
{
    const tb_csi_axis *axis = &link->axis;
    size_t p = link->options.p;
    for (size_t i = 0; i < p; i++)
        for (size_t part = 0; part < 2; part++) {
            unsigned code = 0;
            for (unsigned k = 0; k < axis->bits; k++)
                code = code << 1 | bits[2 * (axis->bits * i + k) + part];
            d[part * p + i] = axis->levels[axis->places[code]];
        }
}

unsigned tb_csi_slice(const tb_csi_axis *axis, double x, double gain)
{
    double half = axis->level_count / 2;
    double place = (gain > 0 ? x / (2 * gain * axis->step) : copysign(0.5, x)) + half;
    double most = axis->level_count - 1;
    place = place < 0 ? 0 : place;
    return (unsigned)(place > most ? most : place);
}

void tb_csi_demodulate(uint8_t *bits, const tb_csi_link *link, const double *z, double gain)
{
    const tb_csi_axis *axis = &link->axis;
    size_t p = link->options.p;
    for (size_t i = 0; i < p; i++)
        for (size_t part = 0; part < 2; part++) {
            unsigned code = axis->codes[tb_csi_slice(axis, z[part * p + i], gain)];
            for (unsigned k = 0; k < axis->bits; k++)
                bits[2 * (axis->bits * i + k) + part] = code >> (axis->bits - 1 - k) & 1;
        }
}

double tb_csi_tail(double x)
{
    return 0.5 * erfc(x * 0.70710678118654752440);
}
