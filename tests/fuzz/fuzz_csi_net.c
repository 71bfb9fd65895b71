// The file of a network, in float or packed: it is refused, or receives a frame.
#include <stdint.h>

#include "csi/csi.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_SYMBOLS = 64 }; // what is larger has nothing that smaller ones do not have

static void receive_frame(const char *path, const tb_csi_link *link)
{
    tb_csi_panel *panel;
    tb_csi_batch batch;
    tb_error err;
    if (tb_csi_panel_new(&panel, &path, 1, link, &(tb_csi_panel_options){0}, &err))
        return;
    if (tb_csi_batch_init(&batch, link, 1, &err) == TB_OK) {
        tb_csi_batch_draw(&batch, link, &(tb_csi_point){0.2, 5}, 0, 1);
        tb_csi_panel_receive(panel, &batch, 0, 0);
    }
    tb_csi_batch_clear(&batch);
    tb_csi_panel_free(panel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = scratch_write("net.safetensors", data, size);
    tb_csi_net *net;
    tb_csi_link *link;
    tb_error err;
    if (tb_csi_net_open(&net, path, &err))
        return 0;
    tb_csi_options options = {.n = tb_csi_net_get_options(net)->n, .p = tb_csi_net_get_options(net)->p};
    tb_csi_net_free(net);
    if (options.p <= MOST_SYMBOLS && tb_csi_link_new(&link, &options, &err) == TB_OK) {
        receive_frame(path, link);
        tb_csi_link_free(link);
    }
    return 0;
}
