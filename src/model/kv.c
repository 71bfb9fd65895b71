// The plain cache, and what memories do with their heads by whatever policy.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "model/head_bias.h"
#include "model/head_split.h"
#include "model/kv_pages.h"
#include "model/kv_store.h"
#include "model/redistribution.h"

// ---- segments ----

// Rows in front of `position`.
static size_t rows_below(const tb_kv_segment *s, size_t position)
{
    if (!s->positions)
        return position <= s->first ? 0 : position - s->first < s->count ? position - s->first : s->count;
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((size_t)s->positions[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t tb_kv_get_old_end(const tb_kv_aging *aging, size_t position)
{
    size_t young = aging->first + aging->lag, seen = position + 1;
    return seen <= young ? aging->first : aging->first + (seen - young) / aging->group * aging->group;
}

tb_kv_range tb_kv_get_seen(const tb_kv_segment *segment, size_t position)
{
    size_t reach = segment->reach;
    if (segment->slot)
        return (tb_kv_range){0, segment->count};
    size_t from = reach && position >= reach ? position - reach + 1 : 0, to = position + 1;
    if (position >= segment->hidden && from < segment->hidden)
        from = segment->hidden;
    if (segment->age != TB_KV_ANY_AGE) {
        size_t border = tb_kv_get_old_end(&segment->aging, position);
        if (segment->age == TB_KV_OLD)
            to = border < to ? border : to;
        else
            from = border > from ? border : from;
    }
    tb_kv_range seen = {.begin = from ? rows_below(segment, from) : 0, .end = rows_below(segment, to)};
    seen.begin = tb_max_size(seen.begin, segment->from);
    seen.begin = seen.begin < seen.end ? seen.begin : seen.end;
    return seen;
}

// ---- the plain cache: rows, and behind them what is known of pages ----

static void *pages_of(const tb_kv_head *head)
{
    return tb_kv_value_at(head, head->capacity);
}

static bool plain_bytes(size_t *out, const tb_kv_head *head)
{
    size_t pages = 0;
    return tb_kv_store_bytes(out, head) && (!head->paged || tb_kv_pages_bytes(&pages, head)) &&
           tb_add_size(out, *out, pages);
}

static void plain_store(tb_kv_head *head, const tb_kernels *kernels, const tb_kv_rows *rows)
{
    assert(rows->count <= head->capacity - head->count);
    if (head->count == 0)
        head->first = (size_t)rows->positions[0];
    for (size_t i = 0; i < rows->count; i++, head->count++) {
        assert((size_t)rows->positions[i] == head->first + head->count);
        tb_kv_write_row(head, head->count, kernels, rows, i);
        if (head->paged)
            tb_kv_pages_add(pages_of(head), head, head->count, tb_kv_key_at(head, head->count));
    }
}

static size_t plain_segments(tb_kv_segment *out, const tb_kv_head *head)
{
    out[0] = tb_kv_slots(head, 0, head->count, head->first);
    if (head->paged)
        out[0].pages = tb_kv_pages_get(pages_of(head), head);
    return 1;
}

static bool plain_truncate(tb_kv_head *head, size_t position)
{
    size_t kept = position > head->first ? position - head->first : 0;
    if (kept >= head->count)
        return true;
    head->count = kept;
    for (size_t row = kept / TB_KV_PAGE * TB_KV_PAGE; row < kept && head->paged; row++) // of the page that was cut
        tb_kv_pages_add(pages_of(head), head, row, tb_kv_key_at(head, row));
    return true;
}

static void plain_copy(tb_kv_head *to, const tb_kv_head *from)
{
    assert(from->count <= to->capacity);
    to->first = from->first;
    to->count = from->count;
    tb_kv_copy_slots(to, from, from->count);
    for (size_t row = 0; row < to->count && to->paged; row++)
        tb_kv_pages_add(pages_of(to), to, row, tb_kv_key_at(to, row));
}

const tb_kv_policy tb_kv_plain = {
    .bytes = plain_bytes,
    .store = plain_store,
    .segments = plain_segments,
    .truncate = plain_truncate,
    .copy = plain_copy,
};

// ---- plans ----

tb_kv_plan tb_kv_plan_of(const tb_seq_options *o, const tb_settings *settings)
{
    size_t registers = settings->config.registers; // rows besides those of tokens, which always stay as they are
    bool changes = o->window > 0 || o->kv_bits.keys > 0 || o->eviction != TB_EVICT_NOTHING;
    return (tb_kv_plan){
        .type = o->kv_cache,
        .capacity = o->context + registers,
        .sinks = o->keep_sinks + (changes ? registers : 0),
        .window = o->window,
        .bits = o->kv_bits,
        .apart = o->apart_ratio,
        .eviction = o->eviction,
        .budget = o->budget + (o->eviction != TB_EVICT_NOTHING ? registers : 0),
        .split = o->head_split,
        .batch = o->batch,
        .sink_bias = (float)o->sink_bias,
        .head_biases = o->head_biases,
        .head_bias_count = o->head_bias_count,
        .redistribution = o->redistribution,
        .skip = o->skip_mass,
    };
}

size_t tb_kv_plan_pin(const tb_kv_plan *plan)
{
    return plan->window > 0 && plan->sinks > 0 ? plan->sinks + plan->window - 1 : SIZE_MAX;
}

static bool has_codes(const tb_kv_plan *plan)
{
    return plan->bits.keys > 0;
}

// Rows that a head of a stream keeps: those that the first query of a batch sees, which are `least` at least, and the
// rest of the batch.
static size_t stream_rows(const tb_kv_plan *plan, size_t least)
{
    size_t rows = plan->sinks + plan->window;
    return (rows > least ? rows : least) + plan->batch - 1;
}

// Rows as they are, where others are in codes: the sinks, those too new for a group, and a batch's.
static size_t uncoded_rows(const tb_kv_plan *plan)
{
    size_t new = plan->bits.residual + plan->bits.group - 1 + plan->batch;
    return plan->sinks + (plan->window ? new : tb_min_size(new, plan->capacity));
}

// Groups that hold all rows, or, of a stream, those that the queries of a batch see, which may begin and end anywhere.
static size_t most_groups(const tb_kv_plan *plan, size_t least)
{
    size_t size = plan->bits.group;
    return plan->window ? (stream_rows(plan, least) + size - 1) / size + 1 : (plan->capacity + size - 1) / size;
}

size_t tb_kv_plan_rows(const tb_kv_plan *plan, const tb_settings *settings)
{
    if (has_codes(plan))
        return uncoded_rows(plan) + most_groups(plan, settings->reach) * plan->bits.group;
    return plan->window == 0 ? plan->capacity : stream_rows(plan, settings->reach);
}

// Of `rest` rows for each of `blocks`, those of the first `count` blocks together where a block has fewer than the one
// in front of it, by always the same: from (2 − 1/β)·rest to rest/β, with β = 20 as in PyramidKV.
static size_t pyramid_rows(size_t rest, size_t blocks, size_t count)
{
    enum { BETA = 20 };
    if (blocks < 2 || count == 0)
        return count * rest;
    uint64_t steps = blocks - 1;
    return (size_t)((uint64_t)rest * count * ((2 * BETA - 1) * steps - (BETA - 1) * (count - 1)) / (BETA * steps));
}

// What a head of a block keeps of a prompt: in a pyramid the sums of all that see everything are as without.
static size_t prompt_rows(const tb_kv_plan *plan, const tb_settings *settings, size_t block)
{
    size_t fixed = plan->sinks + TB_KV_PROMPT_RECENT, above = 0, all = 0;
    size_t rest = tb_min_size(plan->budget - fixed, TB_MOST_POSITIONS); // so that what follows has no overflow
    if (plan->eviction == TB_EVICT_SNAPKV)
        return plan->budget;
    for (size_t b = 0; b < settings->config.blocks; b++) {
        above += b < block && !settings->near[b];
        all += !settings->near[b];
    }
    return fixed + pyramid_rows(rest, all, above + 1) - pyramid_rows(rest, all, above);
}

// How RoPE is called whose angles depend on the length; NULL: they do not.
static const char *unsteady_rope(const tb_rope *rope)
{
    return rope->original == 0 ? NULL : rope->long_frequencies ? "longrope" : "dynamic";
}

static tb_code check_bits(const tb_kv_plan *plan, tb_error *err)
{
    const tb_kv_bits *bits = &plan->bits;
    const unsigned both[] = {bits->keys, bits->values};
    for (size_t i = 0; i < 2; i++)
        if ((both[i] < 1 || both[i] > 8) && both[i] != 16)
            return tb_fail(err, TB_EINVAL, "%u bits for %s of the KV cache are neither 1 to 8 nor 16", both[i],
                           i ? "values" : "keys");
    if (bits->group < 8 || bits->group % 8 || bits->group > TB_MOST_POSITIONS)
        return tb_fail(err, TB_EINVAL, "a group of %zu in the KV cache is not a multiple of 8", bits->group);
    if (bits->residual > TB_MOST_POSITIONS || plan->sinks > TB_MOST_POSITIONS)
        return tb_fail(err, TB_ELIMIT, "more than %zu tokens are to be kept as they are", TB_MOST_POSITIONS);
    if (plan->window && bits->group > plan->window - tb_min_size(bits->residual, plan->window))
        return tb_fail(
            err, TB_EINVAL,
            "a window of %zu tokens never has a group of %zu behind the %zu newest, which are kept as they are",
            plan->window, bits->group, bits->residual);
    return TB_OK;
}

static bool cuts_prompts(const tb_kv_plan *plan)
{
    return plan->eviction == TB_EVICT_SNAPKV || plan->eviction == TB_EVICT_PYRAMID;
}

static tb_code check_eviction(const tb_kv_plan *plan, const tb_settings *settings, tb_error *err)
{
    if (plan->eviction > TB_EVICT_PYRAMID)
        return tb_fail(err, TB_EINVAL, "eviction %d is not known", (int)plan->eviction);
    if (plan->window > 0)
        return tb_fail(err, TB_EINVAL, "a stream drops tokens by their age, so it takes no eviction");
    if (has_codes(plan))
        return tb_fail(err, TB_EUNSUPPORTED, "eviction moves tokens one by one, which those in few bits cannot");
    if (plan->eviction != TB_EVICT_KEYDIFF && settings->arch && settings->arch->weighing != TB_SOFTMAX)
        return tb_fail(err, TB_EUNSUPPORTED, "eviction by attention needs weights of a softmax; the model has others");
    if (plan->budget <= plan->sinks)
        return tb_fail(err, TB_EINVAL, "a budget of %zu tokens has no room for a new one behind the %zu first",
                       plan->budget, plan->sinks);
    if (cuts_prompts(plan) && plan->budget - plan->sinks < TB_KV_PROMPT_RECENT)
        return tb_fail(err, TB_EINVAL,
                       "a budget of %zu tokens has no room for the %zu first and the %d last of a prompt", plan->budget,
                       plan->sinks, TB_KV_PROMPT_RECENT);
    return TB_OK;
}

static tb_code check_split(const tb_kv_plan *plan, const tb_config *config, tb_error *err)
{
    if (plan->split->blocks != config->blocks || plan->split->kv_heads != config->kv_heads)
        return tb_fail(err, TB_EINVAL, "the head split is one of %zu blocks of %zu KV heads, the model has %zu of %zu",
                       plan->split->blocks, plan->split->kv_heads, config->blocks, config->kv_heads);
    if (plan->window > 0 || has_codes(plan) || plan->eviction != TB_EVICT_NOTHING || plan->skip > 0)
        return tb_fail(err, TB_EUNSUPPORTED,
                       "a head split goes with tokens that are kept as they are: not with a stream, few bits, a budget "
                       "or keys that are not read");
    return TB_OK;
}

static tb_code check_skip(const tb_kv_plan *plan, const tb_settings *settings, tb_error *err)
{
    if (!(plan->skip >= 0 && plan->skip < 1))
        return tb_fail(err, TB_EINVAL, "a share of %g of the attention cannot be skipped; it is at least 0 and below 1",
                       plan->skip);
    if (plan->skip > 0 && (plan->window > 0 || has_codes(plan) || plan->eviction != TB_EVICT_NOTHING))
        return tb_fail(err, TB_EUNSUPPORTED,
                       "keys are skipped where all are kept as they are: not in a stream, in few "
                       "bits or with a budget");
    if (plan->skip > 0 && settings->arch && settings->arch->weighing != TB_SOFTMAX)
        return tb_fail(err, TB_EUNSUPPORTED, "skipping keys needs weights of a softmax; the model has others");
    return TB_OK;
}

tb_code tb_kv_plan_check(const tb_kv_plan *plan, const tb_settings *settings, tb_error *err)
{
    size_t trained = settings->config.registers + settings->config.context;
    const char *rope = unsteady_rope(&settings->rope);
    if (plan->type != TB_KV_CACHE_F16 && plan->type != TB_KV_CACHE_F32)
        return tb_fail(err, TB_EINVAL, "KV cache type %d is neither f16 nor f32", (int)plan->type);
    if (!(plan->apart >= 0 && isfinite(plan->apart)) || (plan->apart > 0 && (plan->apart < 1 || !has_codes(plan))))
        return tb_fail(
            err, TB_EINVAL,
            "tokens with activations of %g times the median are to lie apart: of those in few bits, and from 1 "
            "on",
            plan->apart);
    if (has_codes(plan) || plan->bits.values) {
        tb_code rc = check_bits(plan, err);
        if (rc)
            return rc;
    }
    tb_code rc = tb_head_biases_check(plan, &settings->config, err);
    if (!rc)
        rc = check_skip(plan, settings, err);
    if (!rc)
        rc = tb_redistribution_check(plan, settings, err);
    if (rc)
        return rc;
    if (plan->split)
        rc = check_split(plan, &settings->config, err);
    if (rc)
        return rc;
    if (plan->eviction != TB_EVICT_NOTHING)
        return check_eviction(plan, settings, err);
    if (plan->window == 0 && plan->sinks > 0 && !has_codes(plan))
        return tb_fail(err, TB_EINVAL, "%zu first tokens are to be kept where all are kept as they are", plan->sinks);
    if (plan->window == 0)
        return TB_OK;
    if (plan->sinks > plan->window)
        return tb_fail(err, TB_EINVAL, "a stream that keeps %zu first tokens needs a window as long, not one of %zu",
                       plan->sinks, plan->window);
    if (plan->window > trained || plan->sinks > trained - plan->window)
        return tb_fail(err, TB_ELIMIT,
                       "a stream of %zu + %zu tokens is longer than the %zu that the model was trained for",
                       plan->sinks, plan->window, trained);
    if (rope)
        return tb_fail(err, TB_EUNSUPPORTED,
                       "a stream needs RoPE that is the same at every length, and the model's '%s' is not", rope);
    return TB_OK;
}

// ---- memories ----

// Bytes of a head's storage, so that the next one's is aligned too.
static bool storage_bytes(size_t *out, const tb_kv_head *head)
{
    size_t bytes;
    if (!head->policy->bytes(&bytes, head) || !tb_add_size(&bytes, bytes, TB_ALIGNMENT - 1))
        return false;
    *out = bytes / TB_ALIGNMENT * TB_ALIGNMENT;
    return true;
}

// An empty head of a block, without storage.
static tb_kv_head plan_head(const tb_kv_plan *plan, const tb_settings *settings, size_t block, size_t index)
{
    bool near = settings->near[block];
    // Near blocks have the rows of others at least: while a stream drops nothing, all lie in one piece.
    size_t least = near ? settings->reach : 0;
    tb_kv_head head = {
        .policy = &tb_kv_plain,
        .type = plan->type,
        .head_size = settings->config.head_size,
        .capacity = plan->capacity,
        .reach = near ? settings->reach : plan->window,
        .sink_reach = least,
        .pinned_from = near ? SIZE_MAX : tb_kv_plan_pin(plan),
        .bits = plan->bits,
        .paged = plan->skip > 0 && !near,
    };
    if (has_codes(plan)) {
        head.policy = &tb_kv_coded;
        head.capacity = uncoded_rows(plan);
        head.sinks = plan->sinks;
        head.group_slots = most_groups(plan, least);
        head.apart_slots = plan->apart > 0 ? TB_KV_APART : 0;
    } else if (plan->window) {
        head.policy = &tb_kv_stream;
        head.capacity = stream_rows(plan, least);
        head.sinks = near ? 0 : plan->sinks;
    } else if (plan->split && !near && !plan->split->retrieval[block * settings->config.kv_heads + index]) {
        head.policy = &tb_kv_stream;
        head.sinks = settings->config.registers + plan->split->sinks;
        head.reach = plan->split->window;
        head.capacity = head.sinks + head.reach + plan->batch - 1;
    } else if (cuts_prompts(plan) && !near) {
        head.policy = &tb_kv_prompt;
        head.eviction = plan->eviction;
        head.sinks = plan->sinks;
        head.recent = TB_KV_PROMPT_RECENT;
        head.budget = prompt_rows(plan, settings, block);
    } else if (plan->eviction != TB_EVICT_NOTHING && !near) {
        head.policy = &tb_kv_evict;
        head.eviction = plan->eviction;
        head.capacity = plan->budget < plan->capacity ? plan->budget : plan->capacity;
        head.sinks = plan->sinks < head.capacity ? plan->sinks : head.capacity - 1;
        head.recent = (head.capacity - head.sinks + 1) / 2; // as many as are chosen: H2O's default
    }
    return head;
}

static bool add_heads(tb_memory *memory, size_t *bytes, const tb_settings *settings, size_t block)
{
    const tb_config *config = &settings->config;
    tb_kv_block *kv = tb_memory_get_kv(memory, block);
    kv->head_count = config->kv_heads;
    kv->heads = tb_arena_array(&memory->arena, kv->head_count, sizeof *kv->heads);
    for (size_t h = 0; kv->heads && h < kv->head_count; h++) {
        size_t own;
        kv->heads[h] = plan_head(&memory->plan, settings, block, h);
        if (!storage_bytes(&own, &kv->heads[h]) || !tb_add_size(bytes, *bytes, own))
            return false;
    }
    return kv->heads;
}

static bool init_bias(tb_memory *memory)
{
    if (memory->plan.sink_bias == 0 && memory->plan.head_bias_count == 0)
        return true;
    memory->first_bias = tb_arena_array(&memory->arena, memory->blocks, memory->heads * sizeof *memory->first_bias);
    if (memory->first_bias)
        tb_head_biases_fill(memory->first_bias, &memory->plan, memory->first_block, memory->blocks, memory->heads);
    return memory->first_bias;
}

static bool init_columns(tb_memory *memory)
{
    if (memory->plan.redistribution.freed == 0)
        return true;
    if (tb_mul_size(&memory->column_count, memory->blocks * memory->heads, memory->plan.capacity))
        memory->columns = tb_alloc_array(memory->column_count, sizeof *memory->columns);
    return memory->columns;
}

// Gives every head its part of the storage.
static void share_storage(tb_memory *memory)
{
    char *next = memory->storage;
    for (size_t b = 0; b < memory->blocks; b++)
        for (size_t h = 0; h < memory->kv[b].head_count; h++) {
            tb_kv_head *head = &memory->kv[b].heads[h];
            size_t own = 0;
            storage_bytes(&own, head);
            head->storage = next;
            next += own;
        }
}

tb_code tb_memory_init(tb_memory *memory, const tb_settings *settings, size_t first_block, size_t blocks,
                       const tb_kv_plan *plan, tb_error *err)
{
    size_t bytes = 0;
    *memory = (tb_memory){.plan = *plan, .first_block = first_block, .blocks = blocks, .heads = settings->config.heads};
    memory->kv = tb_arena_array(&memory->arena, blocks, sizeof *memory->kv);
    bool ok = memory->kv && init_bias(memory) && init_columns(memory);
    for (size_t b = 0; b < blocks && ok; b++)
        ok = add_heads(memory, &bytes, settings, first_block + b);
    memory->bytes = bytes;
    memory->storage = ok ? tb_alloc(bytes) : NULL;
    if (!memory->storage)
        return tb_fail(err, TB_ENOMEM, "no memory for a KV cache of %zu tokens (a shorter context needs less)",
                       tb_kv_plan_rows(plan, settings));
    share_storage(memory);
    return TB_OK;
}

void tb_memory_clear(tb_memory *memory)
{
    tb_free(memory->storage);
    tb_free(memory->columns);
    tb_arena_clear(&memory->arena);
    *memory = (tb_memory){0};
}

static bool truncate_heads(tb_memory *memory, size_t position)
{
    bool all = true;
    for (size_t b = 0; b < memory->blocks; b++)
        for (size_t h = 0; h < memory->kv[b].head_count; h++) {
            tb_kv_head *head = &memory->kv[b].heads[h];
            all = head->policy->truncate(head, position) && all;
        }
    return all;
}

bool tb_memory_truncate(tb_memory *memory, size_t position)
{
    // What tokens were given by queries that are taken back is among the sums.
    bool kept = !(memory->columns && position > 0) && truncate_heads(memory, position);
    if (!kept)
        truncate_heads(memory, 0);
    if (memory->columns)
        memset(memory->columns, 0, memory->column_count * sizeof *memory->columns);
    return kept;
}

void tb_memory_set_prompt(tb_memory *memory, size_t position)
{
    for (size_t b = 0; b < memory->blocks; b++)
        for (size_t h = 0; h < memory->kv[b].head_count; h++)
            memory->kv[b].heads[h].prompt_end = position;
}

void tb_memory_copy(tb_memory *to, const tb_memory *from)
{
    for (size_t b = 0; b < from->blocks; b++)
        for (size_t h = 0; h < from->kv[b].head_count; h++) {
            tb_kv_head *head = &to->kv[b].heads[h];
            head->policy->copy(head, &from->kv[b].heads[h]);
        }
    size_t columns = tb_min_size(to->plan.capacity, from->plan.capacity);
    for (size_t i = 0; from->columns && i < from->blocks * from->heads; i++)
        memcpy(to->columns + i * to->plan.capacity, from->columns + i * from->plan.capacity,
               columns * sizeof *to->columns);
}

// ---- rows ----

typedef struct store_job {
    const tb_kv_block *kv;
    const tb_kernels *kernels;
    const tb_kv_rows *rows;
} store_job;

static void store_heads(void *user, size_t begin, size_t end, size_t worker)
{
    const store_job *job = user;
    (void)worker;
    for (size_t h = begin; h < end; h++) {
        tb_kv_head *head = &job->kv->heads[h];
        tb_kv_rows own = *job->rows;
        own.keys += h * head->head_size;
        own.values += h * head->head_size;
        head->policy->store(head, job->kernels, &own);
    }
}

size_t tb_kv_at_once(const tb_kv_block *kv, size_t position, size_t count)
{
    for (size_t h = 0; h < kv->head_count; h++) {
        const tb_kv_head *head = &kv->heads[h];
        if (head->policy->at_once)
            count = head->policy->at_once(head, position, count);
    }
    return count;
}

void tb_kv_store(tb_kv_block *kv, const tb_compute *compute, const tb_kv_rows *rows)
{
    enum { WORTH_A_THREAD = 16 }; // rows: converting fewer takes less time than waking a thread
    store_job job = {kv, &compute->kernels, rows};
    tb_parallel(rows->count < WORTH_A_THREAD ? 1 : compute->threads, kv->head_count, 1, store_heads, &job);
}
