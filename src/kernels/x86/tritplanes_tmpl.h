// The loops of trit-planes, for one instruction set. Included behind its header, trits.h and
//     OP(x)       a name for the instruction set
//     LEVELS      the levels of a group
//     load_levels(coefs)
//     decode_word(weights, levels, chunk, word)  floats weights[WORD] of columns 32·word … of a chunk

// Passes over a row: returns its product with x, or decodes it into dst.
INLINE float run_row(float *dst, const tb_matrix *w, size_t row, const float *x, bool product)
{
    const size_t bytes = tb_matrix_trit_bytes(w);
    const uint8_t *plane1 = (const uint8_t *)w->data + 2 * row * bytes, *plane2 = plane1 + bytes;
    const uint16_t *coefs = w->coefs + 2 * row * tb_matrix_groups(w);
    floats sums[WORD];
    for (size_t i = 0; i < WORD; i++)
        sums[i] = zero_floats();
    LEVELS group = load_levels(coefs);
    size_t group_end = w->group;
    for (size_t col = 0; col < w->cols;) {
        trit_chunk c;
        open_chunk(&c, plane1 + col / TB_TRITS_PER_BYTE, plane2 + col / TB_TRITS_PER_BYTE,
                   bytes - col / TB_TRITS_PER_BYTE);
        for (size_t word = 0; word < CHUNK / TB_PLANE_WORD && col < w->cols; word++, col += TB_PLANE_WORD) {
            if (col == group_end) {
                coefs += 2;
                group = load_levels(coefs);
                group_end += w->group;
            }
            floats weights[WORD];
            decode_word(weights, group, &c, word);
            if (product)
                add_products(sums, weights, x + col);
            else
                store_word(dst + col, weights, w->cols - col);
        }
    }
    return sum_lanes(sum_word(sums));
}

void OP(tb_gemv_tritplanes)(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const void *restrict x)
{
    for (size_t r = row0; r < row1; r++)
        y[r - row0] = run_row(NULL, w, r, x, true);
}

void OP(tb_decode_tritplanes)(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    for (size_t r = row0; r < row1; r++)
        run_row(dst + (r - row0) * stride, w, r, NULL, false);
}
