// Matrices that keep more bits than the others of their block.
//
// What is held out is not quantized: it stays as the source has it where that takes at most 8 bits, and else becomes
// Q8_0 (or halves, where rows do not divide into blocks of 32). No reader needs to know: such a matrix is a tensor like
// those of any GGUF file. Its inputs are scaled with those of the others where the method scales inputs.
//
// Attention's gate saturates, and its errors multiply what the heads have read: it has 4 bits at least. Where it lies
// between the queries they have them with it; where the method has no 4 bits, the matrix is held out.
#ifndef TB_QUANT_HELD_OUT_H
#define TB_QUANT_HELD_OUT_H

#include "model/model.h"
#include "quant/method.h"

enum { TB_LEAST_GATE_BITS = 4 };

// Planes of a linear in a block of so many bits.
unsigned tb_linear_bits(const tb_linear *linear, unsigned bits);

// Whether linear `which` of a block is held out. `listed` [count of the block]: those that are to be; NULL: none.
bool tb_is_held_out(const bool *listed, size_t which, const tb_linear *linear, tb_method method);

// The shape that it gets, without data of its own.
tb_matrix tb_held_out_shape(const tb_matrix *source, tb_method method);

// Into new storage. `weights` are those of `source`, with its inputs scaled where the method does so. The report has
// nothing but weights that are not finite.
tb_code tb_held_out_pack(tb_packed *out, tb_quant_report *report, const tb_matrix *source, const float *weights,
                         tb_method method, size_t threads, tb_error *err);

#endif
