// Receivers side by side, classical ones and networks.
#include <string.h>

#include "csi/csi_net.h"

typedef struct member {
    const char *name; // the caller's
    tb_csi_receiver receiver;
    tb_csi_net *net;      // NULL for a classical receiver
    tb_csi_chain *chains; // [workers]: the network at work
} member;

struct tb_csi_panel {
    const tb_csi_link *link;
    tb_csi_panel_options options; // defaults filled in
    size_t count;
    member *members;
};

static tb_code open_net(member *m, const char *path, const tb_csi_panel *panel, tb_error *err)
{
    size_t workers = panel->options.workers;
    tb_code rc = tb_csi_net_open(&m->net, path, err);
    if (rc)
        return rc;
    rc = tb_csi_net_check(m->net, panel->link, err);
    if (rc)
        return tb_fail_context(err, rc, "'%s'", path);
    m->net->compute.threads = panel->options.threads;
    m->net->normaliser = panel->options.normaliser;
    m->chains = tb_alloc_array(workers, sizeof *m->chains);
    if (!m->chains)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu networks at work", workers);
    for (size_t i = 0; !rc && i < workers; i++)
        rc = tb_csi_chain_init(&m->chains[i], m->net, panel->link, TB_CSI_UNIT_FRAMES, TB_CSI_STAGES, 0, err);
    return rc;
}

// No receiver's name has a dot or a slash.
static bool looks_like_file(const char *name)
{
    return strpbrk(name, "./") != NULL;
}

static tb_code open_member(member *m, const char *name, const tb_csi_panel *panel, tb_error *err)
{
    m->name = name;
    if (tb_csi_receiver_find(&m->receiver, name))
        return tb_csi_receiver_check(&m->receiver, panel->link, err);
    if (tb_path_exists(name) || looks_like_file(name))
        return open_net(m, name, panel, err);
    return tb_fail(err, TB_EINVAL,
                   "unknown receiver '%s'; use none, ls, mmse, hard, hard-K, soft, soft-K, bayes or the file of a "
                   "network",
                   name);
}

tb_code tb_csi_panel_new(tb_csi_panel **out, const char *const *names, size_t count, const tb_csi_link *link,
                         const tb_csi_panel_options *options, tb_error *err)
{
    *out = NULL;
    tb_csi_panel *panel = tb_new(tb_csi_panel);
    if (!panel)
        return tb_fail(err, TB_ENOMEM, "no memory for %zu receivers", count);
    *panel = (tb_csi_panel){link, *options, count, tb_alloc_array(count, sizeof(member))};
    panel->options.workers = options->workers ? options->workers : 1;
    panel->options.threads = options->threads ? options->threads : 1;
    tb_code rc = panel->members ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for %zu receivers", count);
    for (size_t i = 0; !rc && i < count; i++)
        rc = open_member(&panel->members[i], names[i], panel, err);
    if (rc) {
        tb_csi_panel_free(panel);
        return rc;
    }
    *out = panel;
    return TB_OK;
}

void tb_csi_panel_free(tb_csi_panel *panel)
{
    if (!panel)
        return;
    for (size_t i = 0; panel->members && i < panel->count; i++) {
        member *m = &panel->members[i];
        for (size_t k = 0; m->chains && k < panel->options.workers; k++)
            tb_csi_chain_clear(&m->chains[k]);
        tb_free(m->chains);
        tb_csi_net_free(m->net);
    }
    tb_free(panel->members);
    tb_free(panel);
}

// The name, and for a network the fingerprint of its file.
static tb_code describe(tb_str *out, const member *m, tb_error *err)
{
    tb_code rc = tb_str_printf(out, err, " %s", m->name);
    if (rc || !m->net)
        return rc;
    tb_map file;
    char digits[65];
    tb_hash *hash = tb_hash_new();
    rc = hash ? tb_map_open(&file, m->name, err) : tb_fail(err, TB_ENOMEM, "no memory for a fingerprint");
    if (!rc) {
        tb_hash_update(hash, file.data, file.size);
        tb_hash_hex(hash, digits);
        tb_map_close(&file);
        rc = tb_str_printf(out, err, "=%s", digits);
    }
    tb_hash_free(hash);
    return rc;
}

tb_code tb_csi_panel_describe(tb_str *out, const tb_csi_panel *panel, tb_error *err)
{
    tb_code rc = tb_str_printf(out, err, " normaliser=%s", tb_csi_normaliser_name(panel->options.normaliser));
    for (size_t i = 0; !rc && i < panel->count; i++)
        rc = describe(out, &panel->members[i], err);
    return rc;
}

void tb_csi_panel_receive(void *user, tb_csi_batch *batch, size_t receiver, size_t worker)
{
    const tb_csi_panel *panel = user;
    const member *m = &panel->members[receiver];
    if (m->net)
        tb_csi_chain_receive(&m->chains[worker], batch);
    else
        tb_csi_receive(batch, &m->receiver, panel->link);
}
