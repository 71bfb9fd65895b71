// Opening a checkpoint: which reader a path is for.
#include "formats/checkpoint.h"

#include <string.h>

static tb_code open_path(tb_checkpoint **out, const char *path, bool texts_only, tb_error *err)
{
    *out = NULL;
    tb_checkpoint *checkpoint = tb_new(tb_checkpoint);
    if (!checkpoint)
        return tb_fail(err, TB_ENOMEM, "no memory to open '%s'", path);
    tb_arena_init(&checkpoint->arena, 0);
    checkpoint->path = tb_arena_text(&checkpoint->arena, path, strlen(path));
    tb_code rc;
    tb_hf_file which;
    if (!checkpoint->path)
        rc = tb_fail(err, TB_ENOMEM, "no memory to open '%s'", path);
    else if (tb_path_is_folder(path))
        rc = texts_only ? tb_hf_read_texts(checkpoint, err) : tb_hf_read(checkpoint, err);
    else if (tb_hf_is_part(path))
        rc = tb_fail(err, TB_EINVAL, "'%s' is a part of a model; give the folder that it lies in", path);
    else if (tb_hf_is_tokenizer_file(&which, path))
        rc = tb_hf_read_tokenizer_file(checkpoint, which, err);
    else
        rc = tb_gguf_read(checkpoint, err);
    if (rc) {
        tb_checkpoint_close(checkpoint);
        return rc;
    }
    *out = checkpoint;
    return TB_OK;
}

tb_code tb_checkpoint_open(tb_checkpoint **out, const char *path, tb_error *err)
{
    return open_path(out, path, false, err);
}

tb_code tb_checkpoint_open_texts(tb_checkpoint **out, const char *path, tb_error *err)
{
    return open_path(out, path, true, err);
}
