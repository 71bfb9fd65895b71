// Products with and decoding of one type whose data are words of bit-planes, for one instruction set. Included
// behind its header, for each type, with
//     OP(x)        a name for this type and instruction set
//     MOST_PLANES  of the type
//     GRID         what is known of a group: its levels, or scale and offset
//     LOAD_GRID(w, row, group, planes)  that of a group
//     DECODE_WORD(weights, grid, words, planes)  floats weights[WORD] of the 32 columns of a word
//     CHAINS       1 or 2 chains of sums, which the words of a group go into in turn: two where one would wait for its
//                  additions. They decide the order of summation.
// and undefines them.

INLINE void OP(add_word)(floats sums[WORD], GRID grid, const uint32_t *words, const float *x, unsigned planes)
{
    floats weights[WORD];
    DECODE_WORD(weights, grid, words, planes);
    add_products(sums, weights, x);
}

INLINE float OP(multiply_row)(const tb_matrix *w, size_t row, const float *x, unsigned planes)
{
    const uint32_t *words = (const uint32_t *)w->data + row * tb_matrix_words(w) * planes;
    floats even[WORD], odd[WORD]; // with one chain, `odd` is not used
    for (size_t i = 0; i < WORD; i++)
        even[i] = odd[i] = zero_floats();
    for (size_t group = 0, col = 0; col < w->cols; group++) {
        const GRID grid = LOAD_GRID(w, row, group, planes);
        size_t end = w->cols - col < w->group ? w->cols : col + w->group;
        while (col < end) {
            OP(add_word)(even, grid, words, x + col, planes);
            col += TB_PLANE_WORD;
            words += planes;
            if (col >= end)
                break;
            OP(add_word)(CHAINS == 1 ? even : odd, grid, words, x + col, planes);
            col += TB_PLANE_WORD;
            words += planes;
        }
    }
    floats sum = sum_word(even);
    return sum_lanes(CHAINS == 1 ? sum : add_floats(sum, sum_word(odd)));
}

INLINE void OP(decode_row)(float *dst, const tb_matrix *w, size_t row, unsigned planes)
{
    const uint32_t *words = (const uint32_t *)w->data + row * tb_matrix_words(w) * planes;
    for (size_t group = 0, col = 0; col < w->cols; group++) {
        const GRID grid = LOAD_GRID(w, row, group, planes);
        size_t end = w->cols - col < w->group ? w->cols : col + w->group;
        for (; col < end; col += TB_PLANE_WORD, words += planes) {
            floats weights[WORD];
            DECODE_WORD(weights, grid, words, planes);
            store_word(dst + col, weights, end - col);
        }
    }
}

// Products with x, or decoded rows.
INLINE void OP(run_rows)(float *out, size_t stride, const tb_matrix *w, size_t row0, size_t row1, const float *x,
                         bool product, unsigned planes)
{
    for (size_t r = row0; r < row1; r++)
        if (product)
            out[r - row0] = OP(multiply_row)(w, r, x, planes);
        else
            OP(decode_row)(out + (r - row0) * stride, w, r, planes);
}

// Loops of their own for the numbers of planes that methods, heads and embeddings use.
INLINE void OP(run)(float *out, size_t stride, const tb_matrix *w, size_t row0, size_t row1, const float *x,
                    bool product)
{
    switch (w->planes) {
    case 1:
        OP(run_rows)(out, stride, w, row0, row1, x, product, 1);
        break;
    case 2:
        OP(run_rows)(out, stride, w, row0, row1, x, product, 2);
        break;
    case 3:
        OP(run_rows)(out, stride, w, row0, row1, x, product, 3);
        break;
    case 4:
        OP(run_rows)(out, stride, w, row0, row1, x, product, 4);
        break;
#if MOST_PLANES > TB_MAX_PLANES
    case 6:
        OP(run_rows)(out, stride, w, row0, row1, x, product, 6);
        break;
    default:
        OP(run_rows)(out, stride, w, row0, row1, x, product, w->planes);
        break;
#endif
    }
}

void OP(tb_gemv)(float *restrict y, const tb_matrix *w, size_t row0, size_t row1, const void *restrict x)
{
    OP(run)(y, 1, w, row0, row1, x, true);
}

void OP(tb_decode)(float *restrict dst, size_t stride, const tb_matrix *w, size_t row0, size_t row1)
{
    OP(run)(dst, stride, w, row0, row1, NULL, false);
}

#undef OP
#undef MOST_PLANES
#undef GRID
#undef LOAD_GRID
#undef DECODE_WORD
#undef CHAINS
