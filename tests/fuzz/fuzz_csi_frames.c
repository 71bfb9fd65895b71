// A file of frames: it is refused, or every frame can be read and received.
#include <stdint.h>

#include "csi/csi.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void receive_all(const tb_csi_frame_file *file, const tb_csi_link *link)
{
    const tb_csi_receiver receiver = {TB_CSI_HARD, 2};
    tb_csi_batch batch;
    if (tb_csi_batch_init(&batch, link, 1, NULL))
        return;
    for (size_t i = 0; i < tb_csi_frame_file_count(file); i++) {
        tb_csi_tally tally = {0};
        batch.count = 0;
        tb_csi_batch_read(&batch, file, i);
        tb_csi_receive(&batch, &receiver, link);
        tb_csi_tally_batch(&tally, &batch, link);
    }
    tb_csi_batch_clear(&batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_csi_frame_file *file;
    tb_csi_link *link;
    tb_error err;
    if (tb_csi_frame_file_open(&file, scratch_write("frames.safetensors", data, size), &err) == TB_OK &&
        tb_csi_link_new(&link, tb_csi_frame_file_options(file), &err) == TB_OK) {
        receive_all(file, link);
        tb_csi_link_free(link);
    }
    tb_csi_frame_file_close(file);
    return 0;
}
