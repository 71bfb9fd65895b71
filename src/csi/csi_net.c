// Networks: their options and parameters. net_file.c reads and writes them.
#include "csi/csi_net.h"

#include <stdio.h>
#include <string.h>

const char *const tb_csi_stage_names[TB_CSI_STAGES] = {"csi1", "det1", "csi2", "det2"};

static const struct {
    const char *name;
    tb_csi_net_kind kind;
    bool gain;
} kinds[] = {{"paper", TB_CSI_PAPER, false}, {"paper+gain", TB_CSI_PAPER, true}, {"hybrid", TB_CSI_HYBRID, false}};

static const char *const activation_names[TB_CSI_ACTIVATIONS] = {"swish", "tanh", "leaky_relu", "relu"};
static const char *const normaliser_names[TB_CSI_NORMALISERS] = {"batch", "frame", "analytic"};

const char *tb_csi_net_kind_name(const tb_csi_net_options *options)
{
    size_t i = 0;
    while (kinds[i].kind != options->kind || kinds[i].gain != options->gain)
        i++;
    return kinds[i].name;
}

bool tb_csi_net_kind_find(tb_csi_net_options *out, const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0) {
            out->kind = kinds[i].kind;
            out->gain = kinds[i].gain;
            return true;
        }
    return false;
}

const char *tb_csi_normaliser_name(tb_csi_normaliser normaliser)
{
    return normaliser_names[normaliser];
}

bool tb_csi_normaliser_find(tb_csi_normaliser *out, const char *name)
{
    for (size_t i = 0; i < TB_CSI_NORMALISERS; i++)
        if (strcmp(normaliser_names[i], name) == 0) {
            *out = (tb_csi_normaliser)i;
            return true;
        }
    return false;
}

const char *tb_csi_activation_name(tb_csi_activation activation)
{
    return activation_names[activation];
}

bool tb_csi_activation_find(tb_csi_activation *out, const char *name)
{
    for (size_t i = 0; i < TB_CSI_ACTIVATIONS; i++)
        if (strcmp(activation_names[i], name) == 0) {
            *out = (tb_csi_activation)i;
            return true;
        }
    return false;
}

tb_csi_stage_shape tb_csi_net_stage_shape(const tb_csi_net_options *o, tb_csi_stage stage)
{
    bool det = tb_csi_stage_is_det(stage);
    if (o->kind == TB_CSI_HYBRID)
        return (tb_csi_stage_shape){o->p / o->n + 2, o->hidden, o->p / o->n};
    size_t width = det ? o->p : o->n;
    return (tb_csi_stage_shape){2 * width, o->hidden * width, 2 * width};
}

// ---- making ----

static bool is_computed(const tb_csi_net_options *options, tb_csi_stage stage)
{
    return options->kind == TB_CSI_HYBRID && !tb_csi_stage_is_det(stage);
}

static tb_code add_tensor(tb_param **out, tb_csi_net *net, tb_csi_stage stage, const char *name, size_t rows,
                          size_t cols, tb_error *err)
{
    char full[16];
    snprintf(full, sizeof full, "%s.%s", tb_csi_stage_names[stage], name);
    return tb_params_add(out, net->params, full, rows, cols, err);
}

static tb_code add_subnet(tb_csi_net *net, tb_csi_stage stage, tb_error *err)
{
    tb_csi_subnet *s = &net->subnets[stage];
    tb_csi_stage_shape shape = tb_csi_net_stage_shape(&net->options, stage);
    bool packed = net->options.packed;
    s->exists = true;
    tb_code rc = packed ? TB_OK : add_tensor(&s->w1, net, stage, "w1", shape.in, shape.hidden, err);
    if (!rc)
        rc = add_tensor(&s->b1, net, stage, "b1", 1, shape.hidden, err);
    if (!rc && !packed)
        rc = add_tensor(&s->w2, net, stage, "w2", shape.hidden, shape.out, err);
    if (!rc)
        rc = add_tensor(&s->b2, net, stage, "b2", 1, shape.out, err);
    return rc;
}

// Options of networks come from files too.
static tb_code complete(tb_csi_net_options *o, tb_error *err)
{
    const size_t most = (size_t)1 << 20;
    o->n = o->n ? o->n : 64;
    o->p = o->p ? o->p : 512;
    o->hidden = o->hidden ? o->hidden : o->kind == TB_CSI_HYBRID ? 64 : 16;
    if (o->n > o->p || o->p > most || o->p % o->n != 0 || o->hidden > most)
        return tb_fail(err, TB_EINVAL, "a network cannot have %zu antennas, %zu symbols and %zu hidden units", o->n,
                       o->p, o->hidden);
    return TB_OK;
}

tb_code tb_csi_net_count_weights(double *out, const tb_csi_net_options *options, tb_error *err)
{
    tb_csi_net_options o = *options;
    *out = 0;
    tb_code rc = complete(&o, err);
    for (int stage = 0; !rc && stage < TB_CSI_STAGES; stage++) {
        tb_csi_stage_shape s = tb_csi_net_stage_shape(&o, (tb_csi_stage)stage);
        *out += is_computed(&o, (tb_csi_stage)stage) ? 0 : (double)s.hidden * (double)(s.in + s.out);
    }
    return rc;
}

tb_code tb_csi_net_make(tb_csi_net **out, const tb_csi_net_options *options, tb_precision precision, bool trained,
                        tb_error *err)
{
    *out = NULL;
    tb_csi_net *net = tb_new(tb_csi_net);
    if (!net)
        return tb_fail(err, TB_ENOMEM, "no memory for a network");
    net->options = *options;
    tb_code rc = complete(&net->options, err);
    if (!rc)
        rc = tb_compute_init(&net->compute, tb_cpu_detect(), 1, err);
    if (!rc)
        rc = tb_params_new(&net->params, precision, trained, err);
    for (int stage = 0; !rc && stage < TB_CSI_STAGES; stage++)
        if (!is_computed(&net->options, (tb_csi_stage)stage))
            rc = add_subnet(net, (tb_csi_stage)stage, err);
    if (rc) {
        tb_csi_net_free(net);
        return rc;
    }
    *out = net;
    return TB_OK;
}

void tb_csi_net_free(tb_csi_net *net)
{
    if (!net)
        return;
    for (size_t i = 0; i < TB_CSI_STAGES; i++) {
        tb_packed_clear(&net->subnets[i].packed1);
        tb_packed_clear(&net->subnets[i].packed2);
    }
    tb_params_free(net->params);
    tb_free(net);
}

const tb_csi_net_options *tb_csi_net_get_options(const tb_csi_net *net)
{
    return &net->options;
}

size_t tb_csi_net_weights(const tb_csi_net *net)
{
    size_t count = 0;
    for (int stage = 0; stage < TB_CSI_STAGES; stage++)
        if (net->subnets[stage].exists) {
            tb_csi_stage_shape s = tb_csi_net_stage_shape(&net->options, (tb_csi_stage)stage);
            count += (s.in + 1) * s.hidden + (s.hidden + 1) * s.out;
        }
    return count;
}

double tb_csi_net_matrix_bits(const tb_csi_net *net)
{
    double bits = 0, weights = 0;
    for (int stage = 0; stage < TB_CSI_STAGES; stage++) {
        const tb_csi_subnet *subnet = &net->subnets[stage];
        if (!subnet->exists)
            continue;
        tb_csi_stage_shape s = tb_csi_net_stage_shape(&net->options, (tb_csi_stage)stage);
        double first = (double)(s.in * s.hidden), second = (double)(s.hidden * s.out);
        weights += first + second;
        bits += subnet->packed1.view.rows ? tb_matrix_bits(&subnet->packed1.view) : 32 * first;
        bits += subnet->packed2.view.rows ? tb_matrix_bits(&subnet->packed2.view) : 32 * second;
    }
    return bits / weights;
}

tb_code tb_csi_net_check(const tb_csi_net *net, const tb_csi_link *link, tb_error *err)
{
    const tb_csi_net_options *o = &net->options;
    const tb_csi_options *l = &link->options;
    if (l->modulation != TB_CSI_QPSK)
        return tb_fail(err, TB_EUNSUPPORTED, "networks detect qpsk, not %s", tb_csi_modulation_name(l->modulation));
    if (l->channel == TB_CSI_DIGITAL)
        return tb_fail(err, TB_EUNSUPPORTED, "networks do not decide a digital CSI");
    if (o->kind == TB_CSI_HYBRID && l->spreading != TB_CSI_WALSH_FIRST)
        return tb_fail(err, TB_EUNSUPPORTED, "the hybrid network needs the spreading walsh-first");
    if (o->kind == TB_CSI_HYBRID && o->p / o->n != link->r)
        return tb_fail(err, TB_EINVAL, "the network is for %zu symbols per antenna, not %zu", o->p / o->n, link->r);
    if (o->kind == TB_CSI_PAPER && (o->n != l->n || o->p != l->p))
        return tb_fail(err, TB_EINVAL, "the network is for %zu antennas and %zu symbols, not %zu and %zu", o->n, o->p,
                       l->n, l->p);
    return TB_OK;
}

// ---- what files say of it ----

size_t tb_csi_net_describe(const char *metadata[2 * TB_CSI_NET_PAIRS], char numbers[TB_CSI_NET_NUMBERS][32],
                           const tb_csi_net *net)
{
    const tb_csi_net_options *o = &net->options;
    const size_t sizes[] = {o->n, o->p, o->hidden};
    for (size_t i = 0; i < 3; i++)
        snprintf(numbers[i], sizeof numbers[i], "%zu", sizes[i]);
    for (size_t i = 0; i < 2; i++)
        snprintf(numbers[3 + i], sizeof numbers[3 + i], "%.17g", net->shrinkage[i]);
    const char *const pairs[2 * TB_CSI_NET_PAIRS] = {"recipe", tb_csi_net_kind_name(o),
                                                     "act",    activation_names[o->activation],
                                                     "n",      numbers[0],
                                                     "p",      numbers[1],
                                                     "hidden", numbers[2],
                                                     "kt1",    numbers[3],
                                                     "kt2",    numbers[4]};
    memcpy(metadata, pairs, sizeof pairs);
    return o->gain ? TB_CSI_NET_PAIRS : TB_CSI_NET_PAIRS - 2;
}
