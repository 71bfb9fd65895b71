// The quantized model file: GGUF with the source's metadata, its tokenizer, twobit's own keys,
// and every tensor of the source in the source's order.
#ifndef TB_QUANT_OUTPUT_H
#define TB_QUANT_OUTPUT_H

#include "quant/ends.h"
#include "quant/method.h"
#include "quant/partial.h"

// Embedding or head on its way into the file: converted when it is declared, kept until it is written.
typedef struct tb_output_end {
    tb_matrix matrix;
    tb_packed packed; // owns the matrix where it is not the source's own
} tb_output_end;

typedef struct tb_output {
    const tb_model *model;
    const tb_partial *partial; // holds every block
    const uint64_t *checksums; // of the packed linears, block after block; NULL suffices for tb_output_measure
    tb_method method;
    const tb_quant_options *options; // resolved
    const uint8_t *block_bits;       // [blocks] instead of options->bits; NULL: all the same
    const bool *held_out;            // [tb_model_linear_count]; NULL: none
    const tb_quant_identity *identity;
    tb_end_bits end_bits;
    const tb_report *report;
    tb_output_end embedding, head;
    size_t nonfinite_weights; // of embedding and head, counted while writing
} tb_output;

tb_code tb_output_write(tb_output *output, const char *path, tb_error *err);

// Bytes of the file that tb_output_write would write; needs no finished block.
tb_code tb_output_measure(uint64_t *bytes, const tb_output *output, tb_error *err);

// The shape that a linear of a block, `which` of its list, has in the file.
tb_matrix tb_output_shape(const tb_output *output, size_t block, size_t which);

#endif
