// Embedding and output head: what they are stored as, and their way there.
#ifndef TB_QUANT_ENDS_H
#define TB_QUANT_ENDS_H

#include "model/model.h"

// Bits that one may ask for. Eight are Q8_0; fewer are planes with a scale and an offset per group (TB_TYPE_OFFSET),
// which divide rows of any length. An embedding that is not the head as well bears fewer than a head.
enum { TB_LEAST_HEAD_BITS = 4, TB_LEAST_EMBEDDING_BITS = 2, TB_MOST_END_BITS = 8 };

// Bits of both; 0: it stays as it is. A tied head has those of the embedding, which are then at least
// TB_LEAST_HEAD_BITS.
typedef struct tb_end_bits {
    unsigned embedding, head;
} tb_end_bits;

// The shape that `source` gets, without data: itself where `bits` is 0 or where that would not be smaller.
tb_matrix tb_end_shape(const tb_matrix *source, unsigned bits);

// The matrix in that shape. *out is `source` itself, or what `packed` owns; clear `packed`. Weights that are not finite
// count as 0 and are counted in *nonfinite.
tb_code tb_end_convert(tb_matrix *out, tb_packed *packed, const tb_matrix *source, unsigned bits, size_t threads,
                       size_t *nonfinite, tb_error *err);

#endif
