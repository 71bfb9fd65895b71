// Receivers side by side.
#include <string.h>

#include "csi/link.h"

struct tb_csi_panel {
    const tb_csi_link *link;
    tb_csi_receiver *receivers; // [count]
};

tb_code tb_csi_panel_new(tb_csi_panel **out, const char *const *names, size_t count, const tb_csi_link *link,
                         size_t threads, tb_error *err)
{
    *out = NULL;
    (void)threads;
    tb_csi_panel *panel = tb_new(tb_csi_panel);
    tb_csi_receiver *receivers = tb_alloc_array(count, sizeof *receivers);
    tb_code rc = panel && receivers ? TB_OK : tb_fail(err, TB_ENOMEM, "no memory for %zu receivers", count);
    for (size_t i = 0; !rc && i < count; i++)
        if (!tb_csi_receiver_find(&receivers[i], names[i]))
            rc = tb_fail(err, TB_EINVAL,
                         "unknown receiver '%s'; use none, ls, mmse, hard, hard-K, soft, soft-K or bayes", names[i]);
        else
            rc = tb_csi_receiver_check(&receivers[i], link, err);
    if (rc) {
        tb_free(receivers);
        tb_free(panel);
        return rc;
    }
    *panel = (tb_csi_panel){link, receivers};
    *out = panel;
    return TB_OK;
}

void tb_csi_panel_free(tb_csi_panel *panel)
{
    if (!panel)
        return;
    tb_free(panel->receivers);
    tb_free(panel);
}

void tb_csi_panel_receive(void *user, tb_csi_batch *batch, size_t receiver, size_t worker)
{
    (void)worker;
    tb_csi_panel *panel = user;
    tb_csi_receive(batch, &panel->receivers[receiver], panel->link);
}
