// The largest of many numbers, and exponentials with their sum, for one instruction set. Included with OP(x), a name
// for it, which it undefines. These are the loops of ref/, cut so that compilers make vectors of them: nothing is
// contracted, and the order of the sixteen sums is the same, so that the bits are, too.

enum { SUMS = 16 };

float OP(tb_max_f32)(const float *x, size_t n)
{
    float most[SUMS];
    for (size_t j = 0; j < SUMS; j++)
        most[j] = -INFINITY;
    size_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
        for (size_t j = 0; j < SUMS; j++)
            most[j] = x[i + j] > most[j] ? x[i + j] : most[j];
    for (; i < n; i++)
        most[0] = x[i] > most[0] ? x[i] : most[0];
    for (size_t j = 1; j < SUMS; j++)
        most[0] = most[j] > most[0] ? most[j] : most[0];
    return most[0];
}

float OP(tb_exp_f32)(float *x, float top, size_t n)
{
    float sums[SUMS] = {0};
    size_t i = 0;
    for (; i + SUMS <= n; i += SUMS)
        for (size_t j = 0; j < SUMS; j++) {
            x[i + j] = tb_exp(x[i + j] - top);
            sums[j] += x[i + j];
        }
    for (size_t j = 0; i + j < n; j++) {
        x[i + j] = tb_exp(x[i + j] - top);
        sums[j] += x[i + j];
    }
    for (size_t half = SUMS / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            sums[j] += sums[j + half];
    return sums[0];
}

#undef OP
