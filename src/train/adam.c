// The optimiser and its learning rates.
#include <math.h>

#include "train/graph.h"

// One parameter's step, with everything that does not depend on the element.
typedef struct move {
    tb_param *param;
    double rate, beta1, beta2, epsilon, decay;
    double correct1, correct2; // 1/(1−β^t)
} move;

enum { STRIP = 1 << 14 };

#define REAL float
#define OP(x) x##_f32
#define SQRT sqrtf
#include "train/adam_tmpl.h"
#undef REAL
#undef OP
#undef SQRT

#define REAL double
#define OP(x) x##_f64
#define SQRT sqrt
#include "train/adam_tmpl.h"

static double value_or(double value, double otherwise)
{
    return value > 0 ? value : otherwise;
}

void tb_adam_step(tb_params *params, const tb_adam *adam, double rate, uint64_t step)
{
    move m = {.rate = rate,
              .beta1 = value_or(adam->beta1, 0.9),
              .beta2 = value_or(adam->beta2, 0.999),
              .epsilon = value_or(adam->epsilon, 1e-8)};
    m.correct1 = 1 / (1 - pow(m.beta1, (double)step));
    m.correct2 = 1 / (1 - pow(m.beta2, (double)step));
    bool is_double = tb_params_precision(params) == TB_DOUBLE;
    for (size_t i = 0; i < tb_params_count(params); i++) {
        m.param = tb_params_at(params, i);
        m.decay = m.param->vector ? 0 : adam->decay;
        if (!m.param->frozen && m.param->gradient)
            tb_parallel(adam->threads ? adam->threads : 1, m.param->rows * m.param->cols, STRIP,
                        is_double ? move_strip_f64 : move_strip_f32, &m);
    }
}

double tb_schedule_rate(const tb_schedule *s, uint64_t step)
{
    const double pi = 3.14159265358979323846;
    if (step <= s->warmup)
        return s->rate * (double)step / (double)s->warmup;
    if (s->kind == TB_RATE_CONSTANT || s->steps <= s->warmup)
        return s->rate;
    double done = (double)(step - 1 - s->warmup) / (double)(s->steps - s->warmup);
    double left = done < 1 ? 1 - done : 0;
    return s->rate * (s->kind == TB_RATE_LINEAR ? left : (1 - cos(pi * left)) / 2);
}
