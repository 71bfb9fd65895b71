// Networks in files.
#include "csi/csi_net.h"

#include <stdlib.h>
#include <string.h>

// A number in the metadata of a network.
static tb_code read_size(size_t *out, const tb_safetensors *file, const char *key, const char *path, tb_error *err)
{
    const char *text = tb_safetensors_metadata(file, key);
    char *end = NULL;
    unsigned long long value = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (value == 0 || *end != '\0' || value > SIZE_MAX)
        return tb_fail(err, TB_EFORMAT, "'%s' is no network of 'twobit csi train': it does not say '%s'", path, key);
    *out = (size_t)value;
    return TB_OK;
}

static tb_code read_options(tb_csi_net_options *o, const tb_safetensors *file, const char *path, tb_error *err)
{
    *o = (tb_csi_net_options){.packed = tb_safetensors_metadata(file, "packed") != NULL};
    const char *kind = tb_safetensors_metadata(file, "recipe"), *activation = tb_safetensors_metadata(file, "act");
    if (!kind || !tb_csi_net_kind_find(o, kind))
        return tb_fail(err, TB_EFORMAT, "'%s' is no network of 'twobit csi train'", path);
    if (!activation || !tb_csi_activation_find(&o->activation, activation))
        return tb_fail(err, TB_EFORMAT, "the network '%s' has an unknown activation", path);
    tb_code rc = read_size(&o->n, file, "n", path, err);
    if (!rc)
        rc = read_size(&o->p, file, "p", path, err);
    if (!rc)
        rc = read_size(&o->hidden, file, "hidden", path, err);
    return rc;
}

// √(1 − NMSE) in the metadata: a number above 0, at most 1.
static tb_code read_shrinkage(double *out, const tb_safetensors *file, const char *key, const char *path, tb_error *err)
{
    const char *text = tb_safetensors_metadata(file, key);
    char *end = NULL;
    *out = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end != '\0' || !(*out > 0 && *out <= 1))
        return tb_fail(err, TB_EFORMAT, "the network '%s' does not say '%s', a number up to 1", path, key);
    return TB_OK;
}

static tb_code read_shrinkages(tb_csi_net *net, const tb_safetensors *file, const char *path, tb_error *err)
{
    if (!net->options.gain)
        return TB_OK;
    tb_code rc = read_shrinkage(&net->shrinkage[0], file, "kt1", path, err);
    return rc ? rc : read_shrinkage(&net->shrinkage[1], file, "kt2", path, err);
}

// Metadata may claim any size: the network's memory is only asked for where the file has the weights.
static tb_code check_size(const tb_csi_net_options *options, const tb_safetensors *file, const char *path,
                          tb_error *err)
{
    double weights, bytes = 0;
    tb_code rc = tb_csi_net_count_weights(&weights, options, err);
    if (rc)
        return tb_fail_context(err, TB_EFORMAT, "'%s'", path);
    for (size_t i = 0; i < tb_safetensors_count(file); i++)
        bytes += (double)tb_safetensors_at(file, i)->bytes;
    if (weights * (options->packed ? 1.0 / 8 : sizeof(float)) > bytes)
        return tb_fail(err, TB_EFORMAT, "'%s' has %.0f bytes of tensors, too few for a network of %.0f weights", path,
                       bytes, weights);
    return TB_OK;
}

tb_code tb_csi_net_open_trained(tb_csi_net **out, const char *path, bool trained, tb_error *err)
{
    *out = NULL;
    tb_safetensors *file;
    tb_csi_net_options options;
    tb_code rc = tb_safetensors_open(&file, path, err);
    if (rc)
        return rc;
    rc = read_options(&options, file, path, err);
    if (!rc)
        rc = check_size(&options, file, path, err);
    if (!rc)
        rc = tb_csi_net_make(out, &options, TB_SINGLE, trained, err);
    if (!rc)
        rc = read_shrinkages(*out, file, path, err);
    if (!rc)
        rc = tb_params_load((*out)->params, false, file, path, err);
    if (!rc && options.packed)
        rc = tb_csi_packed_load(*out, file, path, err);
    tb_safetensors_close(file);
    if (rc) {
        tb_csi_net_free(*out);
        *out = NULL;
    }
    return rc;
}

tb_code tb_csi_net_open(tb_csi_net **out, const char *path, tb_error *err)
{
    return tb_csi_net_open_trained(out, path, false, err);
}

tb_code tb_csi_net_save(const char *path, const tb_csi_net *net, const char *const *metadata, size_t pairs, bool state,
                        tb_error *err)
{
    enum { MOST = 16 };
    const char *all[2 * MOST];
    char numbers[TB_CSI_NET_NUMBERS][32];
    size_t own = tb_csi_net_describe(all, numbers, net);
    if (pairs > MOST - own)
        return tb_fail(err, TB_ELIMIT, "too much metadata for a network");
    memcpy(all + 2 * own, metadata, 2 * pairs * sizeof *all);
    return tb_params_save(path, net->params, state, all, own + pairs, err);
}
