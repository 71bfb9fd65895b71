// Rows of attention for one precision: scores into weights, and gradients by weights into those by scores. Included
// with
//     REAL   float or double
//     OP(x)  a name for this precision
//     EXP    e^x of it
//
// Formulas: z scores, w weights, g the gradients by w, n the keys that are seen. A softmax with something besides the
// keys in its denominator (softmax1, sink) leaves it the weight `rest`.

enum { LANES = 8 }; // sums and maxima are taken in so many lanes, so that compilers vectorise them

static REAL OP(largest)(const REAL *z, size_t n, REAL least)
{
    REAL lanes[LANES];
    for (size_t l = 0; l < LANES; l++)
        lanes[l] = least;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] = z[i + l] > lanes[l] ? z[i + l] : lanes[l];
    for (; i < n; i++)
        lanes[0] = z[i] > lanes[0] ? z[i] : lanes[0];
    for (size_t l = 1; l < LANES; l++)
        lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    return lanes[0];
}

static REAL OP(fold)(const REAL lanes[LANES])
{
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

static REAL OP(sum)(const REAL *a, size_t n)
{
    REAL lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += a[i + l];
    for (; i < n; i++)
        lanes[0] += a[i];
    return OP(fold)(lanes);
}

static REAL OP(dot)(const REAL *a, const REAL *b, size_t n)
{
    REAL lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        lanes[0] += a[i] * b[i];
    return OP(fold)(lanes);
}

// e^z/(e^extra + Σe^z); extra = −∞: none. Returns the rest. Where nothing has a score, nothing has a weight.
static REAL OP(soften)(REAL *w, const REAL *z, size_t n, REAL extra)
{
    REAL most = OP(largest)(z, n, extra);
    if (most == -(REAL)INFINITY) {
        memset(w, 0, n * sizeof *w);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        w[i] = EXP(z[i] - most);
    REAL rest = EXP(extra - most), scale = 1 / (rest + OP(sum)(w, n));
    for (size_t i = 0; i < n; i++)
        w[i] *= scale;
    return rest * scale;
}

static void OP(clip)(REAL *w, size_t n, REAL gamma)
{
    for (size_t i = 0; i < n; i++) {
        REAL c = (1 - gamma) * w[i] + gamma;
        w[i] = c < 0 ? 0 : c > 1 ? 1 : c;
    }
}

static void OP(relu)(REAL *w, const REAL *z, size_t n, REAL shift, REAL scale)
{
    for (size_t i = 0; i < n; i++)
        w[i] = z[i] + shift > 0 ? (z[i] + shift) * scale : 0;
}

static void OP(sigmoid)(REAL *w, const REAL *z, size_t n, REAL bias)
{
    for (size_t i = 0; i < n; i++)
        w[i] = 1 / (1 + EXP(-(z[i] + bias)));
}

// Of softpick: e^z − 1, times e^−m so that neither overflows; keys that are not seen give 0.
static REAL OP(pick_term)(REAL z, REAL most, REAL unit)
{
    return z > -(REAL)INFINITY ? EXP(z - most) - unit : 0;
}

// The denominator, with an ε that keeps a row of zeros finite (Zuhri et al., arXiv 2504.20966).
static REAL OP(pick_sum)(const REAL *z, size_t n, REAL most)
{
    REAL unit = EXP(-most), total = (REAL)1e-8;
    for (size_t i = 0; i < n; i++) {
        REAL term = OP(pick_term)(z[i], most, unit);
        total += term < 0 ? -term : term;
    }
    return total;
}

static void OP(softpick)(REAL *w, const REAL *z, size_t n)
{
    REAL most = OP(largest)(z, n, 0), unit = EXP(-most), scale = 1 / OP(pick_sum)(z, n, most);
    for (size_t i = 0; i < n; i++)
        w[i] = z[i] > 0 ? OP(pick_term)(z[i], most, unit) * scale : 0;
}

// w may be z. Returns the rest.
static REAL OP(weigh)(REAL *w, const REAL *z, size_t n, tb_lm_normalizer normalizer, REAL gamma, REAL extra)
{
    const REAL none = -(REAL)INFINITY;
    switch (normalizer) {
    case TB_LM_SOFTMAX1:
        return OP(soften)(w, z, n, 0);
    case TB_LM_SINK:
        return OP(soften)(w, z, n, extra);
    case TB_LM_SIGMOID:
        OP(sigmoid)(w, z, n, extra);
        return 0;
    case TB_LM_RELU:
        OP(relu)(w, z, n, 0, 1 / (REAL)n);
        return 0;
    case TB_LM_SOFTPICK:
        OP(softpick)(w, z, n);
        return 0;
    case TB_LM_CLIP:
        OP(soften)(w, z, n, none);
        OP(clip)(w, n, gamma);
        return 0;
    case TB_LM_ELASTIC:
        OP(soften)(w, z, n, none);
        OP(relu)(w, w, n, extra / (REAL)n, 1);
        return 0;
    default:
        OP(soften)(w, z, n, none);
        return 0;
    }
}

// ---- backward ----

// Of p = softmax(z) that is followed by something with slope `slope` where 0 < w < top: dz = p·(h − Σp·h), h = slope·g
// there. Returns Σh. dz holds z.
static REAL OP(unsoften_cut)(REAL *dz, const REAL *w, const REAL *g, size_t n, REAL slope, REAL top)
{
    REAL total = 0, mean = 0;
    OP(soften)(dz, dz, n, -(REAL)INFINITY);
    for (size_t i = 0; i < n; i++) {
        REAL h = w[i] > 0 && w[i] < top ? slope * g[i] : 0;
        total += h;
        mean += dz[i] * h;
    }
    for (size_t i = 0; i < n; i++)
        dz[i] *= (w[i] > 0 && w[i] < top ? slope * g[i] : 0) - mean;
    return total;
}

static void OP(unsoftpick)(REAL *dz, const REAL *w, const REAL *g, size_t n)
{
    REAL most = OP(largest)(dz, n, 0), scale = 1 / OP(pick_sum)(dz, n, most), mean = OP(dot)(w, g, n);
    for (size_t i = 0; i < n; i++) {
        REAL z = dz[i], sign = z > 0 ? 1 : z < 0 ? -1 : 0;
        dz[i] = EXP(z - most) * scale * ((z > 0 ? g[i] : 0) - sign * mean);
    }
}

// dz holds the scores and gets the gradients by them; `rest` is what weigh returned. Returns the gradient by `extra`.
static REAL OP(unweigh)(REAL *dz, const REAL *w, const REAL *g, size_t n, tb_lm_normalizer normalizer, REAL gamma,
                        REAL rest)
{
    const REAL each = 1 / (REAL)n;
    REAL by_extra = 0;
    switch (normalizer) {
    case TB_LM_SIGMOID:
        for (size_t i = 0; i < n; i++)
            dz[i] = w[i] * (1 - w[i]) * g[i];
        return OP(sum)(dz, n);
    case TB_LM_RELU:
        for (size_t i = 0; i < n; i++)
            dz[i] = w[i] > 0 ? g[i] * each : 0;
        return 0;
    case TB_LM_SOFTPICK:
        OP(unsoftpick)(dz, w, g, n);
        return 0;
    case TB_LM_CLIP:
        OP(unsoften_cut)(dz, w, g, n, 1 - gamma, 1);
        return 0;
    case TB_LM_ELASTIC:
        return each * OP(unsoften_cut)(dz, w, g, n, 1, (REAL)INFINITY);
    default:
        by_extra = OP(dot)(w, g, n);
        for (size_t i = 0; i < n; i++)
            dz[i] = w[i] * (g[i] - by_extra);
        return -rest * by_extra;
    }
}
