// The tokens that a model is shown while it is quantized or measured: the first tokens of a
// text in windows of equal length.
#ifndef TB_QUANT_CALIBRATION_H
#define TB_QUANT_CALIBRATION_H

#include "model/model.h"

typedef struct tb_windows {
    tb_ids ids; // of which the first count·length are used: [count][length]
    size_t count, length;
} tb_windows;

// The first whole windows of `text` within `most_tokens` (at least one window). Where the
// tokenizer's own settings add a BOS, it replaces the first token of each window. `length` 0: 512, or
// the model's context when shorter. TB_EINVAL: the text does not fill one window, or a window
// does not fit the context; TB_EUNSUPPORTED: the model has no tokenizer.
tb_code tb_windows_init(tb_windows *out, const tb_model *model, tb_text text, size_t most_tokens, size_t length,
                        tb_error *err);

// The same from a file, or from the text built into twobit (path NULL); a note says when the text is short.
tb_code tb_windows_read(tb_windows *out, const tb_model *model, const char *path, size_t most_tokens, size_t length,
                        const tb_report *report, tb_error *err);
void tb_windows_clear(tb_windows *windows);

#endif
