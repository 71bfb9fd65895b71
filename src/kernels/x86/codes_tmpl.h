// Mixes and decoding of rows of codes, for one instruction set. Included behind its header, with
//     OP(x)        a name for the instruction set
//     width        FEW, SOME, MANY bits or BYTES, which are read in ways of their own; width_of(bits)
//     lanes        where each lane of a register finds its code; find_lanes(bits)
//     numbers      what a row's codes become; begin_row(scale, offset, lanes, width)
//     read_numbers(codes, numbers, lanes, width)   a register of them
//     TOGETHER, REGISTERS   1 to 4 queries and registers of columns whose sums fit into the registers at once
//
// A register of codes becomes numbers once for up to TOGETHER queries. Where few bits leave a row few numbers, they fit
// into a register, and a lane permutation turns codes into them. Sums go through the rows one by one, in registers, so
// that the order of summation is the same for any number of queries and columns.

// Scales and offsets of rows r … r + LANES − 1 < rows become floats.
INLINE void load_ranges(float scales[LANES], float offsets[LANES], const tb_codes *codes, size_t r, size_t rows)
{
    if (rows - r >= LANES) {
        store_floats(scales, load_halves(codes->scales + r));
        store_floats(offsets, load_halves(codes->offsets + r));
    } else {
        store_floats(scales, load_first_halves(codes->scales + r, rows - r));
        store_floats(offsets, load_first_halves(codes->offsets + r, rows - r));
    }
}

// y[q] += Σ_r w[q][r]·number[r] for the columns of `registers` registers, the last of which has the first `last` lanes;
// `at`: the bytes in front of them in a row of codes.
INLINE void mix_columns(float *y, size_t y_stride, const float *w, size_t w_stride, size_t queries,
                        const tb_codes *codes, size_t rows, size_t at, size_t registers, size_t last, const lanes *l,
                        width bits)
{
    floats sums[TOGETHER][REGISTERS];
    float scales[LANES], offsets[LANES];
    const size_t step = LANES / 8 * codes->bits;
    for (size_t q = 0; q < queries; q++)
        for (size_t i = 0; i < registers; i++)
            sums[q][i] =
                registers > 1 ? load_floats(y + q * y_stride + i * LANES) : load_first_floats(y + q * y_stride, last);
    for (size_t r = 0; r < rows; r++) {
        if (r % LANES == 0)
            load_ranges(scales, offsets, codes, r, rows);
        const numbers row = begin_row(scales[r % LANES], offsets[r % LANES], l, bits);
        const uint8_t *from = codes->codes + r * codes->stride + at;
        for (size_t i = 0; i < registers; i++) {
            floats v = read_numbers(from + i * step, &row, l, bits);
            for (size_t q = 0; q < queries; q++)
                sums[q][i] = multiply_add(broadcast_float(w[q * w_stride + r]), v, sums[q][i]);
        }
    }
    for (size_t q = 0; q < queries; q++)
        for (size_t i = 0; i < registers; i++)
            if (registers > 1)
                store_floats(y + q * y_stride + i * LANES, sums[q][i]);
            else
                store_first_floats(y + q * y_stride, sums[q][i], last);
}

INLINE void mix_queries(float *y, size_t y_stride, const float *w, size_t w_stride, size_t queries,
                        const tb_codes *codes, size_t rows, size_t cols, const lanes *l, width bits)
{
    size_t c = 0;
    for (; c + REGISTERS * LANES <= cols; c += REGISTERS * LANES)
        mix_columns(y + c, y_stride, w, w_stride, queries, codes, rows, c / 8 * codes->bits, REGISTERS, LANES, l, bits);
    for (; c < cols; c += LANES) {
        size_t last = cols - c < LANES ? cols - c : LANES;
        mix_columns(y + c, y_stride, w, w_stride, queries, codes, rows, c / 8 * codes->bits, 1, last, l, bits);
    }
}

INLINE void mix_width(float *y, size_t y_stride, const float *w, size_t w_stride, size_t queries, const tb_codes *codes,
                      size_t rows, size_t cols, width bits)
{
    const lanes l = find_lanes(codes->bits);
    for (size_t q = 0; q < queries; q += TOGETHER) {
        float *to = y + q * y_stride;
        const float *from = w + q * w_stride;
        switch (queries - q < TOGETHER ? queries - q : TOGETHER) { // constants, so that sums are registers
        case 1:
            mix_queries(to, y_stride, from, w_stride, 1, codes, rows, cols, &l, bits);
            break;
        case 2:
            mix_queries(to, y_stride, from, w_stride, 2, codes, rows, cols, &l, bits);
            break;
        case 3:
            mix_queries(to, y_stride, from, w_stride, 3, codes, rows, cols, &l, bits);
            break;
        case 4:
            mix_queries(to, y_stride, from, w_stride, 4, codes, rows, cols, &l, bits);
            break;
        }
    }
}

void OP(tb_mix_codes)(float *restrict y, size_t y_stride, const float *restrict w, size_t w_stride, size_t queries,
                      const tb_codes *codes, size_t rows, size_t cols)
{
    switch (width_of(codes->bits)) {
    case FEW:
        mix_width(y, y_stride, w, w_stride, queries, codes, rows, cols, FEW);
        break;
    case SOME:
        mix_width(y, y_stride, w, w_stride, queries, codes, rows, cols, SOME);
        break;
    case MANY:
        mix_width(y, y_stride, w, w_stride, queries, codes, rows, cols, MANY);
        break;
    case BYTES:
        mix_width(y, y_stride, w, w_stride, queries, codes, rows, cols, BYTES);
        break;
    }
}

INLINE void decode_width(float *dst, size_t dst_stride, const tb_codes *codes, size_t rows, size_t cols, width bits)
{
    const lanes l = find_lanes(codes->bits);
    float scales[LANES], offsets[LANES];
    for (size_t r = 0; r < rows; r++, dst += dst_stride) {
        if (r % LANES == 0)
            load_ranges(scales, offsets, codes, r, rows);
        const numbers row = begin_row(scales[r % LANES], offsets[r % LANES], &l, bits);
        const uint8_t *from = codes->codes + r * codes->stride;
        size_t c = 0;
        for (; c + LANES <= cols; c += LANES)
            store_floats(dst + c, read_numbers(from + c / 8 * codes->bits, &row, &l, bits));
        if (c < cols)
            store_first_floats(dst + c, read_numbers(from + c / 8 * codes->bits, &row, &l, bits), cols - c);
    }
}

void OP(tb_decode_codes)(float *restrict dst, size_t dst_stride, const tb_codes *codes, size_t rows, size_t cols)
{
    switch (width_of(codes->bits)) {
    case FEW:
        decode_width(dst, dst_stride, codes, rows, cols, FEW);
        break;
    case SOME:
        decode_width(dst, dst_stride, codes, rows, cols, SOME);
        break;
    case MANY:
        decode_width(dst, dst_stride, codes, rows, cols, MANY);
        break;
    case BYTES:
        decode_width(dst, dst_stride, codes, rows, cols, BYTES);
        break;
    }
}
