// One step of Adam on a strip of a parameter. Included with REAL, OP(x) and SQRT; see ops_tmpl.h.
//
//     m ← β1·m + (1−β1)·g      v ← β2·v + (1−β2)·g²
//     w ← w − rate·(m/(1−β1^t)/(√(v/(1−β2^t)) + ε) + decay·w)

static void OP(move_strip)(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    const move *step = user;
    REAL *w = step->param->value, *m = step->param->mean, *v = step->param->square;
    const REAL *g = step->param->gradient;
    const REAL beta1 = (REAL)step->beta1, beta2 = (REAL)step->beta2, epsilon = (REAL)step->epsilon;
    const REAL rate = (REAL)step->rate, shrink = (REAL)(step->rate * step->decay);
    const REAL correct1 = (REAL)step->correct1, correct2 = (REAL)step->correct2;
    for (size_t i = begin; i < end; i++) {
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        w[i] -= rate * (m[i] * correct1) / (SQRT(v[i] * correct2) + epsilon) + shrink * w[i];
    }
}
