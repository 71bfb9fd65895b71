// NumPy's .npy files: version 1.0 to 3.0 read, 1.0 written; C order, little-endian.
//
// A file is: "\x93NUMPY", two version bytes, a header length (u16; u32 from version 2.0 on),
// and a Python dict as text, padded with spaces and ended by a newline so that the values
// start at a multiple of 64:
//     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
// NumPy writes the keys in this order; other orders are read as well.
#include "formats/formats.h"

#include "formats/bytes.h"

#include <inttypes.h>
#include <string.h>

static const char npy_magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

// ---- the dict ----

static void skip_spaces(tb_cursor *in)
{
    while (tb_cursor_left(in) && (in->data[in->position] == ' ' || in->data[in->position] == '\n'))
        in->position++;
}

// Takes a token after spaces if it comes next.
static bool take_token(tb_cursor *in, const char *token)
{
    size_t n = strlen(token);
    skip_spaces(in);
    if (tb_cursor_left(in) < n || memcmp(in->data + in->position, token, n) != 0)
        return false;
    in->position += n;
    return true;
}

// '<f4' and its kin: byte order, kind, bytes.
static bool take_descr(tb_cursor *in, tb_npy *npy)
{
    const unsigned char *d;
    if (!take_token(in, "'") || !tb_cursor_take(in, &d, 4) || d[3] != '\'')
        return false;
    npy->kind = (char)d[1];
    npy->item_size = (size_t)(d[2] - '0');
    bool order = d[0] == '<' || (d[0] == '|' && npy->item_size == 1);
    bool kind = npy->kind != '\0' && strchr("fiub", npy->kind);
    bool size = npy->item_size == 1 || npy->item_size == 2 || npy->item_size == 4 || npy->item_size == 8;
    return order && kind && size && !(npy->kind == 'f' && npy->item_size == 1) &&
           !(npy->kind == 'b' && npy->item_size != 1);
}

static bool take_number(tb_cursor *in, size_t *value)
{
    skip_spaces(in);
    size_t start = in->position;
    *value = 0;
    while (tb_cursor_left(in) && in->data[in->position] >= '0' && in->data[in->position] <= '9') {
        size_t digit = (size_t)(in->data[in->position++] - '0');
        if (*value > (SIZE_MAX - digit) / 10)
            return false;
        *value = 10 * *value + digit;
    }
    return in->position > start;
}

// "()", "(3,)", "(3, 4)".
static bool take_shape(tb_cursor *in, tb_npy *npy)
{
    if (!take_token(in, "("))
        return false;
    while (!take_token(in, ")")) {
        if (npy->dim_count == TB_MAX_DIMS || !take_number(in, &npy->dims[npy->dim_count]))
            return false;
        npy->dim_count++;
        if (!take_token(in, ",")) // only a one-element tuple needs its comma
            return npy->dim_count > 1 && take_token(in, ")");
    }
    return true;
}

// Values of the three keys, in any order, each exactly once.
static bool take_dict(tb_cursor *in, tb_npy *npy)
{
    bool descr = false, order = false, shape = false, ok = take_token(in, "{");
    while (ok && !take_token(in, "}")) {
        if (!descr && take_token(in, "'descr':"))
            descr = ok = take_descr(in, npy);
        else if (!order && take_token(in, "'fortran_order':"))
            order = ok = take_token(in, "False");
        else if (!shape && take_token(in, "'shape':"))
            shape = ok = take_shape(in, npy);
        else
            ok = false;
        ok = ok && (take_token(in, ",") || (tb_cursor_left(in) && in->data[in->position] == '}'));
    }
    skip_spaces(in);
    return ok && descr && order && shape && tb_cursor_left(in) == 0;
}

// ---- reading ----

static bool take_header(tb_cursor *in, tb_cursor *header)
{
    const unsigned char *start, *text;
    uint64_t size;
    if (!tb_cursor_take(in, &start, 8) || memcmp(start, npy_magic, sizeof npy_magic) != 0)
        return false;
    if (start[6] < 1 || start[6] > 3 || !tb_cursor_take_le(in, &size, start[6] == 1 ? 2 : 4))
        return false;
    if (!tb_cursor_take(in, &text, size))
        return false;
    *header = (tb_cursor){text, (size_t)size, 0};
    return true;
}

static tb_code read_npy(tb_npy *npy, const char *path, tb_error *err)
{
    tb_cursor in = {npy->map.data, npy->map.size, 0}, header;
    if (!take_header(&in, &header))
        return tb_fail(err, TB_EFORMAT, "'%s' is not an .npy file", path);
    if (!take_dict(&header, npy))
        return tb_fail(
            err, TB_EUNSUPPORTED,
            "the array of '%s' is not what twobit reads: little-endian numbers in C order, at most %d dimensions", path,
            TB_MAX_DIMS);
    size_t bytes = 1;
    bool fits = true;
    for (unsigned i = 0; i < npy->dim_count; i++)
        fits = fits && tb_mul_size(&bytes, bytes, npy->dims[i]);
    npy->count = bytes;
    if (!fits || !tb_mul_size(&bytes, bytes, npy->item_size) || bytes != tb_cursor_left(&in))
        return tb_fail(err, TB_EFORMAT, "'%s' has %zu bytes of values, not what its shape says", path,
                       tb_cursor_left(&in));
    if (in.position % npy->item_size != 0)
        return tb_fail(err, TB_EFORMAT, "the values of '%s' are not aligned", path);
    npy->data = in.data + in.position;
    return TB_OK;
}

tb_code tb_npy_open(tb_npy *out, const char *path, tb_error *err)
{
    *out = (tb_npy){0};
    tb_npy npy = {0};
    tb_code rc = tb_map_open(&npy.map, path, err);
    if (!rc)
        rc = read_npy(&npy, path, err);
    if (rc)
        tb_npy_close(&npy);
    else
        *out = npy;
    return rc;
}

void tb_npy_close(tb_npy *npy)
{
    if (!npy)
        return;
    tb_map_close(&npy->map);
    *npy = (tb_npy){0};
}

// ---- writing ----

static tb_code append_header(tb_str *header, const size_t *dims, unsigned dim_count, tb_error *err)
{
    tb_code rc = tb_str_append_text(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (", err);
    for (unsigned i = 0; i < dim_count && !rc; i++)
        rc = tb_str_printf(header, err, "%s%zu%s", i ? ", " : "", dims[i], dim_count == 1 ? "," : "");
    return rc ? rc : tb_str_append_text(header, "), }", err);
}

tb_code tb_npy_write_header_f32(tb_outfile *file, const size_t *dims, unsigned dim_count, tb_error *err)
{
    enum { PREFIX = 10, ALIGNMENT = 64 }; // magic, version, header length; where the values start
    tb_str header = {0};
    tb_code rc = append_header(&header, dims, dim_count, err);
    while (!rc && (PREFIX + header.size + 1) % ALIGNMENT != 0)
        rc = tb_str_append(&header, " ", 1, err);
    if (!rc)
        rc = tb_str_append(&header, "\n", 1, err);
    unsigned char prefix[PREFIX] = {[6] = 1};
    memcpy(prefix, npy_magic, sizeof npy_magic);
    tb_store_le(prefix + 8, header.size, 2);
    if (!rc)
        rc = tb_outfile_write(file, prefix, sizeof prefix, err);
    if (!rc)
        rc = tb_outfile_write(file, header.data, header.size, err);
    tb_str_clear(&header);
    return rc;
}
