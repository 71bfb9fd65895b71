// A matrix of a plane type in a GGUF file, whole or with flaws: a whole one is found, verified and has its bytes back;
// a flawed one is refused, or found and decoded whatever its values are. The file is made from the input:
//
//     type, rows, cols, planes, group  a byte each
//     flaw                             a byte: which of the flaws below
//     text size                        a byte, then so many bytes of text, for flaws that need one
//     the bytes of the parts           repeated as often as they are needed
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/formats.h"
#include "scratch.h"
#include "walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum flaw_kind {
    WHOLE,
    OTHER_CHECKSUM,
    NO_CHECKSUM,
    NO_VERSION,
    NEWER_VERSION,
    NO_KEY,
    OTHER_KEY,    // the text in place of "KIND COLS GROUP PLANES"
    STORED_TWICE, // a tensor has the matrix' name
    LACKS_PART,   // which: the first byte of the text
    OTHER_TYPE,   // of a part
    OTHER_DIMS,   // of a part
    FLAWS
} flaw_kind;

enum { HEADER = 7, MOST_BYTES = 1 << 14 };

#define NAME "blk.0.ffn_up.weight"

static void require(int condition)
{
    if (!condition)
        abort();
}

typedef struct input {
    tb_matrix shape;
    flaw_kind flaw;
    tb_text text;
    const uint8_t *bytes;
    size_t byte_count;
} input;

static bool read_input(input *in, const uint8_t *data, size_t size)
{
    if (size < HEADER || size - HEADER < data[6])
        return false;
    *in = (input){
        .shape = {.type = (tb_type)(TB_TYPE_BITPLANES + data[0] % TB_PLANE_TYPES),
                  .rows = data[1] % 8 + 1u,
                  .cols = data[2] + 1u,
                  .planes = data[3],
                  .group = data[4] * (size_t)TB_PLANE_WORD},
        .flaw = (flaw_kind)(data[5] % FLAWS),
        .text = {(const char *)data + HEADER, data[6]},
        .bytes = data + HEADER + data[6],
        .byte_count = size - HEADER - data[6],
    };
    return true;
}

// ---- the file ----

// A part of another type or shape, of zeros.
static void spoil(tb_matrix_part *part, flaw_kind flaw)
{
    static const uint8_t zeros[MOST_BYTES];
    if (flaw == OTHER_TYPE)
        part->type = TB_TYPE_I16;
    else
        part->dims[0]++;
    part->bytes = tb_type_traits_get((uint32_t)part->type)->unit_bytes;
    for (unsigned i = 0; i < part->dim_count; i++)
        part->bytes *= (size_t)part->dims[i];
    require(part->bytes <= sizeof zeros);
    part->data = zeros;
}

// The tensors of the file; returns how many there are.
static size_t get_tensors(tb_matrix_part out[TB_MATRIX_PARTS + 1], const input *in, const tb_matrix *m)
{
    size_t count = tb_matrix_get_parts(out, m);
    size_t flawed = in->text.size ? (unsigned char)in->text.data[0] % count : 0;
    if (in->flaw == OTHER_TYPE || in->flaw == OTHER_DIMS)
        spoil(&out[flawed], in->flaw);
    if (in->flaw == LACKS_PART)
        out[flawed] = out[--count];
    if (in->flaw == STORED_TWICE)
        out[count++] = (tb_matrix_part){"", TB_TYPE_I8, 1, {1, 1, 1}, 1, m->data};
    return count;
}

static tb_code add_keys(tb_gguf_writer *w, const input *in, uint64_t checksum)
{
    tb_code rc = TB_OK;
    tb_str shape = {0};
    const tb_matrix *m = &in->shape;
    require(tb_str_printf(&shape, NULL, "%s %zu %zu %u", tb_type_name((uint32_t)m->type), m->cols, m->group,
                          m->planes) == TB_OK);
    if (in->flaw != NO_VERSION)
        rc = tb_gguf_writer_add_u32(w, TB_KEY_TWOBIT_VERSION, in->flaw == NEWER_VERSION ? 99 : TB_TWOBIT_VERSION, NULL);
    if (!rc && in->flaw != NO_KEY)
        rc = tb_gguf_writer_add_text(w, "twobit.matrix." NAME,
                                     in->flaw == OTHER_KEY ? in->text : (tb_text){shape.data, shape.size}, NULL);
    if (!rc && in->flaw != NO_CHECKSUM)
        rc = tb_gguf_writer_add_u64(w, TB_KEY_CHECKSUM NAME, in->flaw == OTHER_CHECKSUM ? ~checksum : checksum, NULL);
    tb_str_clear(&shape);
    return rc;
}

// False when the text of the input may not stand in a file.
static bool write_file(const char *path, const input *in, const tb_matrix *m)
{
    static float row[256];
    tb_matrix_part tensors[TB_MATRIX_PARTS + 1];
    size_t count = get_tensors(tensors, in, m);
    tb_gguf_writer *w;
    require(tb_gguf_writer_open(&w, path, NULL) == TB_OK);
    tb_code rc = add_keys(w, in, tb_matrix_checksum(m, row));
    for (size_t i = 0; i < count && !rc; i++) {
        char name[64] = NAME;
        const tb_matrix_part *t = &tensors[i];
        rc = tb_gguf_writer_add_tensor(w, strcat(name, t->suffix), t->type, t->dim_count, t->dims, NULL);
    }
    if (!rc)
        rc = tb_gguf_writer_begin(w, NULL);
    for (size_t i = 0; i < count && !rc; i++)
        rc = tb_gguf_writer_data(w, tensors[i].data, tensors[i].bytes, NULL);
    if (!rc)
        rc = tb_gguf_writer_commit(w, NULL);
    tb_gguf_writer_close(w);
    return rc == TB_OK;
}

// ---- what is read from it ----

static void check_whole(const tb_checkpoint *checkpoint, const tb_matrix *m)
{
    tb_matrix found;
    tb_matrix_part wanted[TB_MATRIX_PARTS], parts[TB_MATRIX_PARTS];
    require(tb_checkpoint_verify(checkpoint, 1, NULL, NULL) == TB_OK);
    require(tb_checkpoint_matrix(&found, checkpoint, NAME, NULL) == TB_OK);
    size_t count = tb_matrix_get_parts(wanted, m);
    require(tb_matrix_get_parts(parts, &found) == count);
    for (size_t i = 0; i < count; i++)
        require(parts[i].bytes == wanted[i].bytes && memcmp(parts[i].data, wanted[i].data, wanted[i].bytes) == 0);
}

static void check_flawed(const tb_checkpoint *checkpoint, flaw_kind flaw)
{
    static float row[1 << 16];
    tb_matrix found;
    tb_code verdict = tb_checkpoint_verify(checkpoint, 1, NULL, NULL);
    require(verdict != TB_OK || flaw == OTHER_KEY); // another text may say the same, or what decodes to the same
    if (tb_checkpoint_matrix(&found, checkpoint, NAME, NULL) == TB_OK && found.rows && found.cols <= 1 << 16)
        for (size_t r = 0; r < found.rows; r++)
            tb_matrix_decode_row(row, &found, r);
}

static void check_file(const char *path, const input *in, const tb_matrix *m)
{
    tb_checkpoint *checkpoint;
    require(tb_checkpoint_open(&checkpoint, path, NULL) == TB_OK);
    walk_checkpoint(checkpoint);
    if (in->flaw == WHOLE)
        check_whole(checkpoint, m);
    else
        check_flawed(checkpoint, in->flaw);
    tb_checkpoint_close(checkpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in;
    tb_packed packed;
    char path[128];
    if (!read_input(&in, data, size) ||
        tb_packed_init(&packed, in.shape.type, in.shape.rows, in.shape.cols, in.shape.planes, in.shape.group, NULL))
        return 0;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    size_t count = tb_matrix_get_parts(parts, &packed.view), at = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < parts[i].bytes && in.byte_count; b++)
            ((uint8_t *)tb_packed_part(&packed, i))[b] = in.bytes[at++ % in.byte_count];
    require(strlen(scratch_folder()) + 16 < sizeof path);
    strcat(strcpy(path, scratch_folder()), "/planes.gguf");
    if (write_file(path, &in, &packed.view))
        check_file(path, &in, &packed.view);
    tb_packed_clear(&packed);
    return 0;
}
