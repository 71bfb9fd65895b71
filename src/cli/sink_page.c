// Words from figures, and pictures as SVG within the page. The writer remembers the first error, so that the page reads
// like one.
#include "cli/sink_page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/number_text.h"
#include "cli/sink_plot.h"

typedef struct writer {
    tb_markup m;
    const tb_sink_page *page;
} writer;

static const char *model_name(const writer *w)
{
    return tb_sink_model_name(w->page->job->cli->operands.items[0]);
}

static const char *reference_name(const writer *w)
{
    return tb_sink_model_name(w->page->job->args->reference);
}

// ---- pictures ----

enum { CELL = 14, LABEL = 30, STOPS = TB_SINK_COLOURS - 1 };

// 0 … 1 to a colour of the scale.
static void put_colour(writer *w, double value)
{
    double at = fmin(fmax(value, 0), 1) * STOPS;
    size_t below = at < STOPS ? (size_t)at : STOPS - 1;
    unsigned low[3], high[3];
    sscanf(tb_sink_colours[below], "#%2x%2x%2x", &low[0], &low[1], &low[2]);
    sscanf(tb_sink_colours[below + 1], "#%2x%2x%2x", &high[0], &high[1], &high[2]);
    double part = at - (double)below;
    tb_markup_put(&w->m, "#");
    for (size_t i = 0; i < 3; i++)
        tb_markup_put(&w->m, "%02x", (unsigned)(low[i] + part * ((double)high[i] - low[i]) + 0.5));
}

typedef double value_fn(const tb_sink_result *result, size_t at);

static double first_of(const tb_sink_result *r, size_t at)
{
    return r->map.heads[at].first;
}

static double value_of(const tb_sink_result *r, size_t at)
{
    return r->values[at].value_ratio;
}

// Blocks downwards, heads to the right; each cell says its figure when it is pointed at.
static void put_map(writer *w, const tb_sink_result *r, value_fn *value, const char *caption)
{
    tb_markup_put(&w->m, "<figure><svg width='%zu' height='%zu' role='img'>", LABEL + r->heads * CELL,
                  20 + r->blocks * CELL);
    for (size_t b = 0; b < r->blocks; b++) {
        if (b % 5 == 0)
            tb_markup_put(&w->m, "<text x='%d' y='%zu' class='tick'>%zu</text>", LABEL - 4, b * CELL + 11, b);
        for (size_t h = 0; h < r->heads; h++) {
            double x = value(r, b * r->heads + h);
            tb_markup_put(&w->m, "<rect x='%zu' y='%zu' width='%d' height='%d' fill='", LABEL + h * CELL, b * CELL,
                          CELL - 1, CELL - 1);
            put_colour(w, x);
            tb_markup_put(&w->m, "'><title>block %zu, head %zu: %.3f</title></rect>", b, h, x);
        }
    }
    tb_markup_put(&w->m, "<text x='%d' y='%zu' class='axis'>heads 0 … %zu</text></svg><figcaption>", LABEL,
                  15 + r->blocks * CELL, r->heads - 1);
    tb_markup_word(&w->m, caption);
    tb_markup_put(&w->m, "</figcaption></figure>\n");
}

static void put_scale(writer *w, const char *what)
{
    tb_markup_put(&w->m, "<p class='scale'>0 <svg width='180' height='12'>");
    for (size_t i = 0; i < 60; i++) {
        tb_markup_put(&w->m, "<rect x='%zu' y='0' width='4' height='12' fill='", 3 * i);
        put_colour(w, (double)i / 59);
        tb_markup_put(&w->m, "'/>");
    }
    tb_markup_put(&w->m, "</svg> 1 &nbsp; %s; blocks downwards</p>\n", what);
}

enum { WIDTH = 640, HEIGHT = 260, LEFT = 60, BOTTOM = 30 };

// A magnitude's place on a logarithmic axis from 10^low to 10^high.
static double height_of(double value, double low, double high)
{
    double at = (log10(fmax(value, 1e-6)) - low) / (high - low);
    return (HEIGHT - BOTTOM) * (1 - fmin(fmax(at, 0), 1)) + 5;
}

typedef double stage_fn(const tb_sink_stage *stage);

static double largest_of(const tb_sink_stage *s)
{
    return s->top[0];
}

static double rest_of(const tb_sink_stage *s)
{
    return s->rest_top;
}

static double median_of(const tb_sink_stage *s)
{
    return s->median;
}

static void put_curve(writer *w, const tb_sink_result *r, stage_fn *value, double low, double high, const char *style)
{
    tb_markup_put(&w->m, "<polyline class='%s' points='", style);
    for (size_t s = 0; s <= r->blocks; s++)
        tb_markup_put(&w->m, "%.1f,%.1f ", LEFT + (double)(WIDTH - LEFT - 10) * (double)s / (double)r->blocks,
                      height_of(value(&r->massive.stages[s]), low, high));
    tb_markup_put(&w->m, "'/>");
}

static void put_depth(writer *w)
{
    const tb_sink_result *r = w->page->result, *reference = w->page->reference;
    double least = r->massive.stages[0].median, most = r->massive.largest;
    for (size_t s = 0; s <= r->blocks; s++)
        least = fmin(least, r->massive.stages[s].median);
    double low = floor(log10(fmax(least, 1e-6))), high = fmax(ceil(log10(fmax(most, 1e-6))), low + 1);
    tb_markup_put(&w->m, "<figure><svg width='%d' height='%d' role='img'>", WIDTH, HEIGHT + 10);
    for (double d = low; d <= high; d++)
        tb_markup_put(
            &w->m,
            "<line class='grid' x1='%d' x2='%d' y1='%.1f' y2='%.1f'/><text class='tick' x='%d' y='%.1f'>%g</text>",
            LEFT, WIDTH - 10, height_of(pow(10, d), low, high), height_of(pow(10, d), low, high), LEFT - 6,
            height_of(pow(10, d), low, high) + 4, pow(10, d));
    if (reference)
        put_curve(w, reference, largest_of, low, high, "reference");
    put_curve(w, r, median_of, low, high, "median");
    put_curve(w, r, rest_of, low, high, "rest");
    put_curve(w, r, largest_of, low, high, "largest");
    tb_markup_put(&w->m, "<text class='axis' x='%d' y='%d'>embeddings → stage %zu, behind the last block</text></svg>",
                  LEFT, HEIGHT + 4, r->blocks);
    tb_markup_put(
        &w->m,
        "<figcaption><span class='key largest'>largest activation</span> <span class='key rest'>largest of the other "
        "tokens</span> <span class='key median'>median</span>%s</figcaption></figure>\n",
        reference ? " <span class='key reference'>largest, of the reference</span>" : "");
}

// ---- chapters ----

static void put_head(writer *w)
{
    tb_markup_put(&w->m, "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>Attention sinks of ");
    tb_markup_word(&w->m, model_name(w));
    tb_markup_put(
        &w->m,
        "</title>\n<style>\n"
        "body{font:16px/1.5 system-ui,sans-serif;max-width:920px;margin:2em auto;padding:0 1em;color:#222}\n"
        "h1{font-size:1.7em}h2{margin-top:2em;border-bottom:1px solid #ddd}\n"
        "figure{display:inline-block;margin:0 1.5em 0 0;vertical-align:top}figcaption{font-size:.85em;color:#555}\n"
        "table{border-collapse:collapse;font-size:.9em}td,th{padding:.15em .7em;text-align:right;white-space:nowrap}\n"
        "th{border-bottom:1px solid #999;font-weight:600}td.t,th.t{text-align:left}\n"
        ".tick{font-size:10px;fill:#777;text-anchor:end}.axis{font-size:11px;fill:#777}.grid{stroke:#e4e4e4}\n"
        "polyline{fill:none;stroke-width:2}.largest{stroke:#d1495b;color:#d1495b}.rest{stroke:#1f5f8b;color:#1f5f8b}\n"
        ".median{stroke:#999;color:#777}.reference{stroke:#d1495b;stroke-dasharray:4 3;color:#d1495b}\n"
        ".key::before{content:'— ';font-weight:bold}.scale,.small{font-size:.85em;color:#555}\n"
        ".bar{background:#d1495b;height:.8em;display:inline-block}\n"
        "</style></head><body>\n<h1>Attention sinks of ");
    tb_markup_word(&w->m, model_name(w));
    tb_markup_put(&w->m, "</h1>\n");
}

static void put_protocol(writer *w)
{
    const tb_sink_page *p = w->page;
    const tb_sink_result *r = p->result;
    const tb_config *c = tb_model_config(p->job->model);
    char seconds[TB_NUMBER_TEXT];
    tb_markup_put(
        &w->m,
        "<p class='small'>%s, %zu blocks of %zu heads on %zu KV heads, width %zu. Measured on %zu sequences of T = %zu "
        "tokens%s (",
        tb_model_architecture(p->job->model), c->blocks, c->heads, c->kv_heads, c->width, r->sequences, r->ctx,
        r->registers ? " behind registers, the first of which is called first token" : "");
    tb_markup_word(&w->m, p->job->options.input != TB_SINK_NATURAL ? p->job->args->input
                          : p->job->args->text                     ? p->job->args->text
                                                                   : "held-out text of twobit");
    tb_markup_put(&w->m, ", raw), %s; ε = %g, seed %llu; took %s.",
                  r->bos ? "a BOS in the place of the first" : "no BOS", r->epsilon,
                  (unsigned long long)p->job->options.seed, tb_text_of_seconds(seconds, p->seconds));
    if (p->reference) {
        tb_markup_put(&w->m, " Reference: ");
        tb_markup_word(&w->m, reference_name(w));
        tb_markup_put(&w->m, ", on the same sequences.");
    }
    tb_markup_put(
        &w->m,
        "</p>\n<p>A row of attention sums to 1, so a head with nothing to read has to spend its weight somewhere. "
        "Where that is, "
        "what puts it there, and what happens without it:</p>\n");
}

static void put_where(writer *w)
{
    const tb_sink_result *r = w->page->result;
    const tb_sink_map *m = &r->map;
    tb_markup_put(&w->m, "<h2>Where the sink is</h2>\n");
    tb_markup_put(
        &w->m,
        "<p><b>%.0f %%</b> of the heads give the first token more than %g of their weight on average; a head that "
        "reads all it sees "
        "alike would give it %.3f. Over all heads and queries, %.0f %% of all weight lies on the first token, and for "
        "%.0f %% of the "
        "queries no other token has more.",
        100 * m->sink, r->epsilon, m->uniform, 100 * m->share, 100 * m->argmax);
    if (m->sink_logit > 0.001)
        tb_markup_put(&w->m, " Another %.0f %% goes to no token at all: to learned sinks in the denominator.",
                      100 * m->sink_logit);
    tb_markup_put(&w->m, "</p>\n");
    put_scale(w, "α₀, the mean weight of the first token");
    put_map(w, r, first_of, model_name(w));
    if (w->page->reference)
        put_map(w, w->page->reference, first_of, reference_name(w));
}

static void put_spot(writer *w, const tb_sink_spot *s, const char *token)
{
    tb_markup_put(&w->m, "<tr><td class='t'>");
    tb_markup_word(&w->m, token);
    tb_markup_put(&w->m, "</td><td>%zu</td><td>%zu</td><td>%zu</td><td>%.1f</td></tr>\n", s->seen, s->sinks, s->massive,
                  s->position);
}

static void put_tokens(writer *w)
{
    enum { SHOWN = 6 };
    const tb_sink_result *r = w->page->result;
    const tb_sink_positions *p = &r->positions;
    char text[TB_SINK_TOKEN_TEXT];
    tb_markup_put(
        &w->m,
        "<h2>Which tokens</h2>\n<p>The first token was a sink of some head in %zu of %zu sequences; there were %.2f "
        "other sinks "
        "per sequence: <b>%s</b>.</p>\n",
        p->first.sinks, r->sequences, (double)p->others / (double)r->sequences,
        tb_sink_class_name(tb_sink_class_of(r)));
    tb_markup_put(
        &w->m,
        "<table><tr><th class='t'>token</th><th>seen</th><th>a sink</th><th>massive</th><th>mean position</th></tr>\n");
    put_spot(w, &p->first, "the first, whichever it is");
    for (size_t i = 0; i < p->token_count && i < SHOWN; i++)
        put_spot(w, &p->tokens[i], tb_sink_token_text(text, w->page->job->model, p->tokens[i].token));
    tb_markup_put(&w->m, "</table>\n");
}

static void put_massive(writer *w)
{
    const tb_sink_result *r = w->page->result;
    const tb_sink_massive *m = &r->massive;
    char number[TB_NUMBER_TEXT];
    tb_markup_put(&w->m, "<h2>Which activations</h2>\n");
    if (m->rule == TB_SINK_RULE_NONE)
        tb_markup_put(&w->m, "<p>No activation is massive: the largest has the magnitude %s.</p>\n",
                      tb_text_of_real(number, m->largest));
    else {
        const tb_sink_channel *c = &m->channels[0];
        tb_markup_put(
            &w->m,
            "<p>In channel <b>%zu</b> the residual stream of %s reaches <b>%s</b>, %.0f times the median of its token. "
            "Such activations emerge behind block %zu",
            c->channel, c->first ? "the first token" : "some tokens", tb_text_of_real(number, c->value),
            fabs(c->value) / (c->first ? m->stages[c->stage].first_median : m->stages[c->stage].median),
            m->emergence ? m->emergence - 1 : 0);
        if (m->stable_end > m->stable_begin + 1)
            tb_markup_put(&w->m, ", stay as they are from stage %zu to %zu", m->stable_begin, m->stable_end - 1);
        if (m->dissipation)
            tb_markup_put(&w->m, ", and are halved behind block %zu", m->dissipation - 1);
        tb_markup_put(
            &w->m,
            ". The norm in front of the next part turns them into a token of nearly constant content, which queries "
            "find from "
            "everywhere.</p>\n");
    }
    put_depth(w);
}

static void put_weights(writer *w)
{
    enum { SHOWN = 6 };
    const tb_super_result *s = w->page->weights;
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT], c[TB_NUMBER_TEXT];
    if (!s)
        return;
    tb_markup_put(&w->m, "<h2>Which weights make it</h2>\n");
    if (s->count == 0)
        tb_markup_put(
            &w->m, "<p>No single weight does: no input and output of a down matrix both exceed %g at one token.</p>\n",
            s->spike);
    else
        tb_markup_put(&w->m,
                      "<p>Single weights of down matrices, found one by one as each is taken out: %zu%s. The first "
                      "ones:</p>\n<table><tr>"
                      "<th>block</th><th>row</th><th>column</th><th>weight</th><th>input</th><th>output</th></tr>\n",
                      s->count, s->complete ? "" : ", and more");
    for (size_t i = 0; i < s->count && i < SHOWN; i++)
        tb_markup_put(&w->m, "<tr><td>%zu</td><td>%zu</td><td>%zu</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
                      s->weights[i].block, s->weights[i].row, s->weights[i].col,
                      tb_text_of_real(a, s->weights[i].weight), tb_text_of_real(b, s->weights[i].input),
                      tb_text_of_real(c, s->weights[i].output));
    tb_markup_put(&w->m, "%s", s->count ? "</table>\n" : "");
}

static void put_heads(writer *w)
{
    const tb_sink_result *r = w->page->result;
    size_t counts[TB_SINK_ROLES] = {0}, dormant = 0, all = r->blocks * r->heads;
    for (size_t i = 0; i < all; i++) {
        counts[tb_sink_role_of(&r->map.heads[i], &r->values[i], r->epsilon)]++;
        dormant += r->map.heads[i].share > TB_SINK_DORMANT;
    }
    tb_markup_put(
        &w->m,
        "<h2>What the heads find there</h2>\n<p>Of %zu heads, %zu read other tokens. <b>%zu</b> rest at the first "
        "token and find "
        "a value there that is less than a fifth as long as others': they do nothing. %zu find one that is as long as "
        "any and spread it; "
        "%zu are between. %zu heads are dormant on this text: more than nine tenths of their weight lies there.</p>\n",
        all, counts[TB_SINK_ROLE_READS], counts[TB_SINK_ROLE_IDLE], counts[TB_SINK_ROLE_BROADCAST],
        counts[TB_SINK_ROLE_MIXED], dormant);
    put_scale(w, "length of the first token's value over that of the others' (1: or more)");
    put_map(w, r, value_of, model_name(w));
    if (w->page->reference)
        put_map(w, w->page->reference, value_of, reference_name(w));
}

static const char *text_of_ratio(char out[TB_NUMBER_TEXT], const tb_ablation *row, tb_ablation_kind kind)
{
    if (kind == TB_ABLATE_NOTHING)
        return "";
    return row->identical ? "same bits" : tb_text_of_real(out, row->ratio);
}

static void put_ablation(writer *w)
{
    const tb_ablation_result *a = w->page->ablation;
    char number[TB_NUMBER_TEXT], ratio[TB_NUMBER_TEXT];
    if (!a)
        return;
    tb_markup_put(
        &w->m,
        "<h2>What happens without it</h2>\n<p>One thing is changed in the forward pass at a time; %zu predictions on "
        "%zu sequences. The "
        "bar shows how many times the perplexity grows, logarithmically.</p>\n<table><tr><th></th><th "
        "class='t'>changed</th>"
        "<th>perplexity</th><th>times</th><th class='t'></th><th>KL</th><th>Sink₀</th><th>max |h|</th></tr>\n",
        a->predictions, a->sequences);
    for (unsigned k = 0; k < TB_ABLATIONS; k++) {
        const tb_ablation *row = &a->rows[k];
        if (!row->ran)
            continue;
        double bar = 24 * fmin(fmax(log10(fmax(row->ratio, 1e-9)), 0), 6);
        tb_markup_put(
            &w->m,
            "<tr><td class='t'>%s</td><td class='t'>%s</td><td>%s</td><td>%s</td><td class='t'><span class='bar' "
            "style='width:%.0fpx'></span></td><td>%.4f</td>",
            tb_ablation_id((tb_ablation_kind)k), tb_ablation_name((tb_ablation_kind)k),
            tb_text_of_real(number, exp(row->nll)), text_of_ratio(ratio, row, (tb_ablation_kind)k), bar, row->kl);
        if (row->has_map)
            tb_markup_put(&w->m, "<td>%.0f %%</td>", 100 * row->sink);
        else
            tb_markup_put(&w->m, "<td></td>");
        tb_markup_put(&w->m, "<td>%s</td></tr>\n", tb_text_of_real(number, row->largest));
    }
    tb_markup_put(&w->m, "</table>\n");
}

// ---- beside the reference ----

// Heads that have a sink in the reference, and how many of them have one here.
static size_t count_kept(size_t *had, const tb_sink_result *r, const tb_sink_result *reference)
{
    size_t kept = 0;
    *had = 0;
    for (size_t i = 0; i < r->blocks * r->heads; i++) {
        bool before = reference->map.heads[i].first > r->epsilon;
        *had += before;
        kept += before && r->map.heads[i].first > r->epsilon;
    }
    return kept;
}

static void put_pair(writer *w, const char *what, const char *unit, double model, double reference)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    tb_markup_put(&w->m, "<tr><td class='t'>%s</td><td>%s%s</td><td>%s%s</td></tr>\n", what, tb_text_of_real(a, model),
                  unit, tb_text_of_real(b, reference), unit);
}

static void put_weights_kept(writer *w)
{
    const tb_super_result *own = w->page->weights, *other = w->page->reference_weights;
    size_t kept = 0;
    for (size_t i = 0; own && other && i < other->count; i++)
        for (size_t k = 0; k < own->count; k++)
            kept += own->weights[k].block == other->weights[i].block && own->weights[k].row == other->weights[i].row &&
                    own->weights[k].col == other->weights[i].col;
    if (own && other && other->count)
        tb_markup_put(&w->m, "<p>Of the reference's %zu super weights, %zu are found here.</p>\n", other->count, kept);
}

static void put_survival(writer *w)
{
    const tb_sink_result *r = w->page->result, *reference = w->page->reference;
    size_t had;
    if (!reference)
        return;
    size_t kept = count_kept(&had, r, reference);
    tb_markup_put(&w->m, "<h2>Did it survive?</h2>\n<p>Of %zu heads with a sink in ", had);
    tb_markup_word(&w->m, reference_name(w));
    tb_markup_put(&w->m, ", <b>%zu</b> have one in ", kept);
    tb_markup_word(&w->m, model_name(w));
    tb_markup_put(&w->m, ".</p>\n<table><tr><th class='t'></th><th>model</th><th>reference</th></tr>\n");
    put_pair(w, "heads with a sink at the first token", " %", 100 * r->map.sink, 100 * reference->map.sink);
    put_pair(w, "weight on the first token", " %", 100 * r->map.share, 100 * reference->map.share);
    put_pair(w, "entropy of its largest", " %", 100 * r->map.entropy_share, 100 * reference->map.entropy_share);
    put_pair(w, "largest activation", "", r->massive.largest, reference->massive.largest);
    tb_markup_put(&w->m, "<tr><td class='t'>stage of emergence</td><td>%zu</td><td>%zu</td></tr>\n",
                  r->massive.emergence, reference->massive.emergence);
    tb_markup_put(&w->m, "</table>\n");
    put_weights_kept(w);
}

static void put_end(writer *w)
{
    tb_markup_put(
        &w->m,
        "<p class='small'>α₀ is the weight of position 0, averaged over the queries that see it. Stage 0 is the "
        "embeddings, stage s "
        "stands behind block s − 1; blocks, heads and channels count from 0. Figures depend on T, ε, the text and the "
        "BOS. Made by "
        "twobit %s.</p>\n</body></html>\n",
        tb_version());
}

tb_code tb_sink_page_write(tb_str *out, const tb_sink_page *page, tb_error *err)
{
    writer w = {.m = {out, err, TB_OK}, .page = page};
    put_head(&w);
    put_protocol(&w);
    put_where(&w);
    put_tokens(&w);
    put_massive(&w);
    put_weights(&w);
    put_heads(&w);
    put_ablation(&w);
    put_survival(&w);
    put_end(&w);
    return w.m.rc;
}
