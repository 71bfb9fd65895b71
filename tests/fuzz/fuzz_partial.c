// The file of a finished block that an interrupted run left behind, with bytes changed: it counts as absent, or every
// matrix in it can be read. The file is a whole one, and the input says what befalls it:
//
//     flags      1: its hash is made to fit again
//     cut        two bytes: so many bytes are missing at the end, hash aside
//     changes    three bytes each: where, and the new byte
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quant/partial.h"
#include "scratch.h"
#include "tiny_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 3, CHANGE = 3, HEX = 64, MOST_BYTES = 1 << 20 };

static void require(int condition)
{
    if (!condition)
        abort();
}

// ---- what all inputs share ----

static struct {
    tb_model *model;
    tb_partial *partial;
    char path[128]; // of the block
    char *file;     // a whole one
    size_t size;
} run;

static void close_run(void)
{
    tb_partial_remove(run.partial, NULL);
    tb_partial_close(run.partial);
    tb_model_close(run.model);
    tb_free(run.file);
}

static void fill_linear(tb_packed *out, const tb_matrix *original)
{
    tb_matrix_part parts[TB_MATRIX_PARTS];
    require(tb_packed_init(out, TB_TYPE_AFFINE, original->rows, original->cols, 2, 32, NULL) == TB_OK);
    size_t count = tb_matrix_get_parts(parts, &out->view);
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < parts[i].bytes; b++)
            ((uint8_t *)tb_packed_part(out, i))[b] = (uint8_t)(31 * b + i);
}

static void store_block(void)
{
    tb_quant_block block;
    tb_linears linears = tb_model_linears(run.model, 0);
    size_t channels = tb_fold_channels(tb_model_config(run.model), TB_INPUT_FFN);
    require(tb_quant_block_init(&block, run.model, 0, NULL) == TB_OK);
    for (size_t i = 0; i < block.count; i++)
        fill_linear(&block.linears[i].packed, &linears.at[i].matrix);
    block.fold.scales[TB_INPUT_FFN] = tb_alloc_array(channels, sizeof(float));
    require(block.fold.scales[TB_INPUT_FFN] != NULL);
    require(tb_partial_store(run.partial, run.model, 0, &block, NULL) == TB_OK);
    tb_quant_block_clear(&block);
}

static void begin_run(void)
{
    char source[128], out[128];
    tb_quant_identity identity = {.model = "m"};
    tb_model_options options = {.threads = 1};
    require((size_t)snprintf(source, sizeof source, "%s/source.gguf", scratch_folder()) < sizeof source);
    require((size_t)snprintf(out, sizeof out, "%s/out.gguf", scratch_folder()) < sizeof out);
    require((size_t)snprintf(run.path, sizeof run.path, "%s.partial/block-00000.bin", out) < sizeof run.path);
    require(tiny_model_write(source, &tiny_model_default, NULL) == TB_OK);
    require(tb_model_open(&run.model, source, &options, NULL) == TB_OK);
    require(tb_str_append_text(&identity.recipe, "{}", NULL) == TB_OK);
    require(tb_partial_open(&run.partial, out, &identity, NULL) == TB_OK);
    tb_str_clear(&identity.recipe);
    store_block();
    require(tb_file_read(&run.file, &run.size, run.path, MOST_BYTES, NULL) == TB_OK);
    atexit(close_run);
}

// ---- one input ----

static void write_block(char *bytes, size_t size, bool fits)
{
    if (fits) {
        char hex[HEX + 1];
        tb_hash *hash = tb_hash_new();
        require(hash != NULL);
        tb_hash_update(hash, bytes, size - HEX);
        tb_hash_hex(hash, hex);
        tb_hash_free(hash);
        memcpy(bytes + size - HEX, hex, HEX);
    }
    require(tb_file_write(run.path, bytes, size, NULL) == TB_OK);
}

static void read_block(void)
{
    static float row[1 << 12];
    tb_quant_block block;
    bool found;
    require(tb_partial_load(&block, &found, run.partial, run.model, 0, NULL) == TB_OK);
    for (size_t i = 0; found && i < block.count; i++) {
        const tb_matrix *m = &block.linears[i].packed.view;
        require(m->cols <= sizeof row / sizeof row[0]);
        tb_matrix_checksum(m, row);
    }
    tb_quant_block_clear(&block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!run.model)
        begin_run();
    if (size < HEADER)
        return 0;
    char *bytes = tb_alloc(run.size);
    size_t left = run.size - HEX - (data[1] | data[2] << 8) % (run.size - HEX);
    require(bytes != NULL);
    memcpy(bytes, run.file, left);
    memcpy(bytes + left, run.file + run.size - HEX, HEX);
    for (size_t i = HEADER; i + CHANGE <= size; i += CHANGE)
        bytes[(size_t)(data[i] | data[i + 1] << 8) % left] = (char)data[i + 2];
    write_block(bytes, left + HEX, data[0] & 1);
    read_block();
    tb_free(bytes);
    return 0;
}
