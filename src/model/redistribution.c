#include "model/redistribution.h"

#include <math.h>
#include <string.h>

#include "model/model.h"

enum {
    FIRST_BLOCKS = 2, // that stay as they are …
    LAST_BLOCKS = 1,  // … and so do these (ACT)
};

#define DEFAULT_THRESHOLD 0.1 // ACT's

// ---- plans ----

tb_code tb_redistribution_check(const tb_kv_plan *plan, const tb_settings *settings, tb_error *err)
{
    const tb_redistribution *r = &plan->redistribution;
    if (!(r->freed >= 0 && r->freed <= 1))
        return tb_fail(err, TB_EINVAL, "a share of %g cannot be taken from attention; it is at least 0 and at most 1",
                       r->freed);
    if (r->freed == 0)
        return TB_OK;
    if (!(r->threshold > 0 && r->threshold < 1))
        return tb_fail(err, TB_EINVAL, "a threshold of %g of the attention makes no sense; it is above 0 and below 1",
                       r->threshold);
    if (plan->window > 0 || plan->eviction != TB_EVICT_NOTHING || plan->split || plan->skip > 0)
        return tb_fail(
            err, TB_EUNSUPPORTED,
            "attention is redistributed where all tokens are kept and read: not in a stream, with a budget, a "
            "head split or where keys are skipped");
    if (settings->arch && settings->arch->weighing != TB_SOFTMAX)
        return tb_fail(err, TB_EUNSUPPORTED, "redistribution needs weights of a softmax; the model has others");
    return TB_OK;
}

bool tb_redistribution_changes(const tb_redistribution *how, const tb_settings *settings, size_t block)
{
    return how->freed > 0 && !settings->near[block] && block >= FIRST_BLOCKS &&
           block + LAST_BLOCKS < settings->config.blocks;
}

// ---- weights ----

// A token gets as much as a query has to give in all, on average. Its mean over few queries is large by that alone;
// over this many it is half the threshold at most.
static size_t queries_needed(double threshold)
{
    return (size_t)ceil(2 / threshold);
}

static bool is_secondary(const float *given, size_t position, size_t query, size_t exempt, const tb_redistribution *how)
{
    size_t queries = query - position;
    return position >= exempt && queries >= queries_needed(how->threshold) &&
           (double)given[position] > how->threshold * (double)queries;
}

void tb_redistribute(float *weights, float *given, size_t first, size_t n, size_t exempt, const tb_redistribution *how)
{
    size_t query = first + n - 1, receivers = 0;
    double taken = 0, received = 0;
    for (size_t i = 0; i < n; i++)
        if (is_secondary(given, first + i, query, exempt, how)) {
            taken += how->freed * (double)weights[i];
        } else {
            received += (double)weights[i];
            receivers++;
        }
    if (!how->alike && received == 0) // then there is nobody to receive in proportion
        taken = 0;
    for (size_t i = 0; i < n; i++) {
        double weight = (double)weights[i];
        if (taken > 0 && is_secondary(given, first + i, query, exempt, how))
            weights[i] = (float)((1 - how->freed) * weight);
        else if (taken > 0)
            weights[i] = (float)(how->alike ? weight + taken / (double)receivers : weight + taken * weight / received);
        given[first + i] += (float)weight;
    }
}

// ---- options ----

// What stands behind the number: ":alike" and ":tT", in this order.
static tb_code read_rest(tb_redistribution *r, const char *rest, const char *text, tb_error *err)
{
    static const char alike[] = ":alike";
    r->alike = strncmp(rest, alike, strlen(alike)) == 0;
    rest += r->alike ? strlen(alike) : 0;
    if (rest[0] == ':' && rest[1] == 't')
        return tb_parse_real(&r->threshold, rest + 2, err);
    return *rest ? tb_fail(err, TB_EINVAL, "'%s' is not a share, ALPHA[:alike][:tT]", text) : TB_OK;
}

tb_code tb_seq_options_set_redistribution(tb_seq_options *options, const char *text, tb_error *err)
{
    tb_redistribution r = {.threshold = DEFAULT_THRESHOLD};
    char number[32] = {0};
    double alpha = 0;
    size_t n = strcspn(text, ":");
    if (n >= sizeof number)
        return tb_fail(err, TB_EINVAL, "'%s' is not a share, ALPHA[:alike][:tT]", text);
    memcpy(number, text, n);
    tb_code rc = tb_parse_real(&alpha, number, err);
    if (!rc)
        rc = read_rest(&r, text + n, text, err);
    if (rc)
        return rc;
    if (!(alpha >= 0 && alpha <= 1))
        return tb_fail(err, TB_EINVAL, "'%s' leaves tokens a share of their attention that is not 0 to 1", text);
    if (!(r.threshold > 0 && r.threshold < 1))
        return tb_fail(err, TB_EINVAL, "the threshold of '%s' is not above 0 and below 1", text);
    r.freed = 1 - alpha;
    options->redistribution = r;
    return TB_OK;
}
