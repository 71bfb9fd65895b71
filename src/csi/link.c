// The link's options, checked and completed.
#include "csi/link.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    MOST_SYMBOLS = 1 << 16, // a unit of 256 such frames takes 1 GB, and every thread has one
    MOST_USERS = 64,        // their number is part of a frame's
};

static const char *const channel_names[TB_CSI_CHANNELS] = {"rayleigh", "sparse", "cdl-a",  "cdl-b",
                                                           "cdl-c",    "cdl-d",  "digital"};
static const char *const spreading_names[TB_CSI_SPREADINGS] = {"walsh-first", "walsh-random"};
static const char *const modulation_names[TB_CSI_MODULATIONS] = {"qpsk", "16qam", "64qam"};

const char *tb_csi_channel_name(tb_csi_channel channel)
{
    return channel_names[channel];
}

const char *tb_csi_spreading_name(tb_csi_spreading spreading)
{
    return spreading_names[spreading];
}

const char *tb_csi_modulation_name(tb_csi_modulation modulation)
{
    return modulation_names[modulation];
}

// The index of a name, or `count`.
static size_t find_name(const char *const *names, size_t count, const char *name)
{
    size_t i = 0;
    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

bool tb_csi_channel_find(tb_csi_channel *out, const char *name)
{
    *out = (tb_csi_channel)find_name(channel_names, TB_CSI_CHANNELS, name);
    return *out < TB_CSI_CHANNELS;
}

bool tb_csi_spreading_find(tb_csi_spreading *out, const char *name)
{
    *out = (tb_csi_spreading)find_name(spreading_names, TB_CSI_SPREADINGS, name);
    return *out < TB_CSI_SPREADINGS;
}

bool tb_csi_modulation_find(tb_csi_modulation *out, const char *name)
{
    *out = (tb_csi_modulation)find_name(modulation_names, TB_CSI_MODULATIONS, name);
    return *out < TB_CSI_MODULATIONS;
}

static bool is_power_of_two(size_t x)
{
    return x && (x & (x - 1)) == 0;
}

static tb_code complete(tb_csi_options *o, tb_error *err)
{
    o->n = o->n ? o->n : 64;
    o->p = o->p ? o->p : 512;
    o->b = o->b ? o->b : o->n;
    o->users = o->users ? o->users : 1;
    if (!is_power_of_two(o->n) && o->channel != TB_CSI_DIGITAL)
        return tb_fail(err, TB_EINVAL, "%zu antennas are not a power of two, which Walsh spreading needs", o->n);
    if (!is_power_of_two(o->p) || o->p > MOST_SYMBOLS)
        return tb_fail(err, TB_EINVAL, "%zu symbols per frame are not a power of two up to %d", o->p, MOST_SYMBOLS);
    if (o->n > o->p)
        return tb_fail(err, TB_EINVAL, "%zu antennas need a frame of as many symbols, not %zu", o->n, o->p);
    if (o->b > MOST_SYMBOLS)
        return tb_fail(err, TB_EINVAL, "%zu combined antennas are too many", o->b);
    if (o->users > o->b || o->users > MOST_USERS)
        return tb_fail(err, TB_EINVAL,
                       "%zu users cannot be taken apart: there may be as many as combined antennas (%zu), up to %d",
                       o->users, o->b, MOST_USERS);
    return TB_OK;
}

tb_code tb_csi_link_new(tb_csi_link **out, const tb_csi_options *options, tb_error *err)
{
    *out = NULL;
    tb_csi_options complete_options = *options;
    tb_code rc = complete(&complete_options, err);
    if (rc)
        return rc;
    tb_csi_link *link = tb_new(tb_csi_link);
    if (!link)
        return tb_fail(err, TB_ENOMEM, "no memory for a link");
    link->options = complete_options;
    link->r = link->options.p / link->options.n;
    tb_csi_axis_init(&link->axis, link->options.modulation);
    rc = tb_csi_spreading_init(link, err);
    if (!rc)
        rc = tb_csi_channel_init(link, err);
    if (rc) {
        tb_csi_link_free(link);
        return rc;
    }
    *out = link;
    return TB_OK;
}

void tb_csi_link_free(tb_csi_link *link)
{
    if (!link)
        return;
    tb_arena_clear(&link->arena);
    tb_free(link);
}

const tb_csi_options *tb_csi_link_options(const tb_csi_link *link)
{
    return &link->options;
}

size_t tb_csi_link_bits(const tb_csi_link *link)
{
    return 2 * link->axis.bits * link->options.p;
}

tb_code tb_csi_link_describe(tb_str *out, const tb_csi_link *link, tb_error *err)
{
    const tb_csi_options *o = &link->options;
    return tb_str_printf(out, err,
                         "n=%zu p=%zu b=%zu users=%zu channel=%s spreading=%s spreading_seed=%" PRIu64
                         " modulation=%s full_front_end=%d seed=%" PRIu64,
                         o->n, o->p, o->b, o->users, channel_names[o->channel], spreading_names[o->spreading],
                         o->spreading_seed, modulation_names[o->modulation], o->full_front_end, o->seed);
}

tb_code tb_csi_point_check(const tb_csi_point *point, tb_error *err)
{
    if (!(point->rho >= 0 && point->rho <= 1))
        return tb_fail(err, TB_EINVAL, "a power share rho of %g lies outside 0 … 1", point->rho);
    if (!(fabs(point->snr_db) <= 100))
        return tb_fail(err, TB_EINVAL, "an SNR of %g dB lies outside -100 … 100", point->snr_db);
    return TB_OK;
}
