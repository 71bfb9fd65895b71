// Scores and mixes of attention with keys and values of one type, for one instruction set. Included behind its header,
// for each type, with
//     OP(x)             a name for this type and instruction set
//     ITEM              of keys and values
//     LOAD(p)           a register of them, as floats
//     LOAD_FIRST(p, n)  the first n < LANES, with zeros behind
//     TOGETHER          1 to 4 queries whose sums fit into the registers at once
// and undefines all but TOGETHER.
//
// A block of four keys is loaded once for up to TOGETHER queries; a sum is one register, so that the order of summation
// is the same for any number of queries and keys. A mix goes through the values row by row, with the sums of up to
// TOGETHER queries and REGISTERS · LANES columns in registers.

// sums[q][r] += x[q]·keys[r] for the columns of one register.
INLINE void OP(add_scores)(floats sums[TOGETHER][4], const float *x, size_t x_stride, size_t queries,
                           const floats keys[4])
{
    for (size_t q = 0; q < queries; q++) {
        floats query = load_floats(x + q * x_stride);
        for (size_t r = 0; r < 4; r++)
            sums[q][r] = multiply_add(query, keys[r], sums[q][r]);
    }
}

// The scores of `rows` ≤ 4 keys: behind the last one, it is taken again.
INLINE void OP(score_four)(float *y, size_t y_stride, const float *x, size_t x_stride, size_t queries, const ITEM *keys,
                           size_t rows, size_t cols)
{
    const ITEM *key[4];
    floats sums[TOGETHER][4], k[4];
    for (size_t r = 0; r < 4; r++)
        key[r] = keys + (r < rows ? r : rows - 1) * cols;
    for (size_t q = 0; q < queries; q++)
        for (size_t r = 0; r < 4; r++)
            sums[q][r] = zero_floats();
    size_t c = 0;
    for (; c + LANES <= cols; c += LANES) {
        for (size_t r = 0; r < 4; r++)
            k[r] = LOAD(key[r] + c);
        OP(add_scores)(sums, x + c, x_stride, queries, k);
    }
    if (c < cols) {
        for (size_t r = 0; r < 4; r++)
            k[r] = LOAD_FIRST(key[r] + c, cols - c);
        OP(add_scores)(sums, x + c, x_stride, queries, k);
    }
    for (size_t q = 0; q < queries; q++) {
        float four[4];
        _mm_storeu_ps(four, sum_four(sums[q]));
        memcpy(y + q * y_stride, four, rows * sizeof *y);
    }
}

INLINE void OP(score_queries)(float *y, size_t y_stride, const float *x, size_t x_stride, size_t queries,
                              const ITEM *keys, size_t rows, size_t cols)
{
    size_t r = 0;
    for (; r + 4 <= rows; r += 4)
        OP(score_four)(y + r, y_stride, x, x_stride, queries, keys + r * cols, 4, cols);
    if (r < rows)
        OP(score_four)(y + r, y_stride, x, x_stride, queries, keys + r * cols, rows - r, cols);
}

void OP(tb_scores)(float *restrict y, size_t y_stride, const float *restrict x, size_t x_stride, size_t queries,
                   const void *restrict keys, size_t rows, size_t cols)
{
    for (size_t q = 0; q < queries; q += TOGETHER) {
        float *to = y + q * y_stride;
        const float *from = x + q * x_stride;
        switch (queries - q < TOGETHER ? queries - q : TOGETHER) { // constants, so that sums are registers
        case 1:
            OP(score_queries)(to, y_stride, from, x_stride, 1, keys, rows, cols);
            break;
        case 2:
            OP(score_queries)(to, y_stride, from, x_stride, 2, keys, rows, cols);
            break;
#if TOGETHER > 2
        case 3:
            OP(score_queries)(to, y_stride, from, x_stride, 3, keys, rows, cols);
            break;
        case 4:
            OP(score_queries)(to, y_stride, from, x_stride, 4, keys, rows, cols);
            break;
#endif
        }
    }
}

// y[q] += Σ_r w[q][r]·values[r] for the columns of `registers` registers, the last of which has the first `last` lanes.
INLINE void OP(mix_columns)(float *y, size_t y_stride, const float *w, size_t w_stride, size_t queries,
                            const ITEM *values, size_t rows, size_t cols, size_t registers, size_t last)
{
    floats sums[TOGETHER][REGISTERS], v[REGISTERS];
    for (size_t q = 0; q < queries; q++)
        for (size_t i = 0; i < registers; i++)
            sums[q][i] = load_floats(y + q * y_stride + i * LANES);
    for (size_t r = 0; r < rows; r++) {
        const ITEM *row = values + r * cols;
        for (size_t i = 0; i < registers; i++)
            v[i] = last < LANES ? LOAD_FIRST(row + i * LANES, last) : LOAD(row + i * LANES);
        for (size_t q = 0; q < queries; q++) {
            floats weight = broadcast_float(w[q * w_stride + r]);
            for (size_t i = 0; i < registers; i++)
                sums[q][i] = multiply_add(weight, v[i], sums[q][i]);
        }
    }
    for (size_t q = 0; q < queries; q++)
        for (size_t i = 0; i < registers; i++)
            store_floats(y + q * y_stride + i * LANES, sums[q][i]);
}

INLINE void OP(mix_queries)(float *y, size_t y_stride, const float *w, size_t w_stride, size_t queries,
                            const ITEM *values, size_t rows, size_t cols)
{
    size_t c = 0;
    for (; c + REGISTERS * LANES <= cols; c += REGISTERS * LANES)
        OP(mix_columns)(y + c, y_stride, w, w_stride, queries, values + c, rows, cols, REGISTERS, LANES);
    for (; c + LANES <= cols; c += LANES)
        OP(mix_columns)(y + c, y_stride, w, w_stride, queries, values + c, rows, cols, 1, LANES);
    if (c < cols)
        OP(mix_columns)(y + c, y_stride, w, w_stride, queries, values + c, rows, cols, 1, cols - c);
}

void OP(tb_mix)(float *restrict y, size_t y_stride, const float *restrict w, size_t w_stride, size_t queries,
                const void *restrict values, size_t rows, size_t cols)
{
    for (size_t q = 0; q < queries; q += TOGETHER) {
        float *to = y + q * y_stride;
        const float *from = w + q * w_stride;
        switch (queries - q < TOGETHER ? queries - q : TOGETHER) {
        case 1:
            OP(mix_queries)(to, y_stride, from, w_stride, 1, values, rows, cols);
            break;
        case 2:
            OP(mix_queries)(to, y_stride, from, w_stride, 2, values, rows, cols);
            break;
#if TOGETHER > 2
        case 3:
            OP(mix_queries)(to, y_stride, from, w_stride, 3, values, rows, cols);
            break;
        case 4:
            OP(mix_queries)(to, y_stride, from, w_stride, 4, values, rows, cols);
            break;
#endif
        }
    }
}

#undef OP
#undef ITEM
#undef LOAD
#undef LOAD_FIRST
