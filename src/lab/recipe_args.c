#include "lab/recipe_args.h"

#include <string.h>

// Of the rules the one that made the best models (docs/lieq.md).
#define DEFAULT_RULE TB_ALLOCATE_PPL

const tb_option tb_recipe_option_table[] = {
    {"method", 'm', TB_OPTION_TEXT, offsetof(tb_recipe_args, method), "NAME", 0, 0, TB_METHOD_NAMES},
    {"bits", 'b', TB_OPTION_COUNT, offsetof(tb_recipe_args, bits), "K", 1, TB_MAX_PLANES,
     "bit-planes per weight (default 2); ptqtp always has two planes of trits"},
    {"group", 'g', TB_OPTION_COUNT, offsetof(tb_recipe_args, group), "G", TB_PLANE_WORD, 1 << 20,
     "columns that share coefficients, a multiple of 32 (default: the method's own)"},
    {"allocate", 0, TB_OPTION_TEXT, offsetof(tb_recipe_args, allocate), "RULE", 0, 0,
     "give blocks widths of their own under --avg-bits or --size: ppl (default), lieq, lieq-v1, free, first, uniform, "
     "reversed or random"},
    {"block-bits", 0, TB_OPTION_TEXT, offsetof(tb_recipe_args, block_bits), "LIST", 0, 0,
     "the width of every block, from the first on, like 4,2,2,2"},
    {"avg-bits", 0, TB_OPTION_REAL, offsetof(tb_recipe_args, average_bits), "B", 1, TB_MAX_PLANES,
     "most bits per weight on average over the blocks, without coefficients"},
    {"size", 0, TB_OPTION_COUNT, offsetof(tb_recipe_args, size), "BYTES", 1, 0, "most bytes of the whole file"},
    {"widths", 0, TB_OPTION_TEXT, offsetof(tb_recipe_args, widths), "LIST", 0, 0,
     "bits that blocks may get, ascending, like 2,3,4"},
    {"calib-tokens", 0, TB_OPTION_COUNT, offsetof(tb_recipe_args, calibration_tokens), "N", 1, 1 << 30,
     "most tokens of it that are used (default 16384)"},
    {"damping", 0, TB_OPTION_REAL, offsetof(tb_recipe_args, damping), "D", 1e-9, 10,
     "added to the diagonal of the second moments, times their mean (default 0.05)"},
    {"no-shrinkage", 0, TB_OPTION_FLAG, offsetof(tb_recipe_args, no_shrinkage), NULL, 0, 0,
     "gptq, bpdq: believe every correlation in the calibration text, as published"},
    {"published", 0, TB_OPTION_FLAG, offsetof(tb_recipe_args, published), NULL, 0, 0,
     "gptq, bpdq and the widths of --allocate lieq exactly as their papers have them"},
    {"iterations", 0, TB_OPTION_COUNT, offsetof(tb_recipe_args, iterations), "N", 1, 1000,
     "sweeps of bpdq (default 10), most steps of hqq (20) or ptqtp (50)"},
    {"head-bits", 0, TB_OPTION_COUNT, offsetof(tb_recipe_args, head_bits), "K", 4, 8,
     "bits of output head and embedding (default 8)"},
    {"embedding-bits", 0, TB_OPTION_COUNT, offsetof(tb_recipe_args, embedding_bits), "K", 2, 8,
     "bits of the embedding alone, where the head is a matrix of its own"},
    {"keep-head", 0, TB_OPTION_FLAG, offsetof(tb_recipe_args, keep_head), NULL, 0, 0,
     "leave embedding and output head as they are"},
    {0},
};

static tb_code resolve_method(tb_pipeline_options *options_out, const tb_recipe_args *args, tb_error *err)
{
    *options_out = (tb_pipeline_options){
        .quant = {.bits = (unsigned)args->bits,
                  .group = (size_t)args->group,
                  .damping = args->damping,
                  .iterations = (unsigned)args->iterations,
                  .no_shrinkage = args->no_shrinkage,
                  .published = args->published},
        .calibration_tokens = (size_t)args->calibration_tokens,
        .head_bits = (unsigned)args->head_bits,
        .embedding_bits = (unsigned)args->embedding_bits,
        .keep_head = args->keep_head,
    };
    if (!tb_method_find(&options_out->method, args->method))
        return tb_fail(err, TB_EINVAL, "unknown method '%s'; use " TB_METHOD_NAMES, args->method);
    if (args->keep_head && (args->head_bits || args->embedding_bits))
        return tb_fail(err, TB_EINVAL, "--%s-bits and --keep-head exclude each other",
                       args->head_bits ? "head" : "embedding");
    tb_quant_options resolved;
    return tb_quant_options_resolve(&resolved, options_out->method, &options_out->quant, err);
}

// "2,3,4"
static tb_code parse_widths(tb_widths_options *out, const char *list, tb_error *err)
{
    for (const char *at = list; *at; at += *at == ',') {
        size_t digits = strspn(at, "0123456789");
        if (digits != 1 || (at[1] != ',' && at[1] != '\0') || out->width_count == TB_MAX_WIDTHS)
            return tb_fail(err, TB_EINVAL, "'%s' is no list of at most %d widths like 2,3,4", list, TB_MAX_WIDTHS);
        out->widths[out->width_count++] = (unsigned)(*at - '0');
        at++;
    }
    return TB_OK;
}

bool tb_recipe_allocates(const tb_recipe_args *args)
{
    return args->allocate || args->average_bits > 0 || args->size > 0;
}

bool tb_recipe_mixes_widths(const tb_recipe_args *args)
{
    return tb_recipe_allocates(args) || args->block_bits;
}

// What --allocate and its companions say; a rule without a budget is a mistake.
static tb_code resolve_widths(tb_widths_options *out, const tb_recipe_args *args, uint64_t seed, tb_error *err)
{
    *out = (tb_widths_options){.rule = args->published ? TB_ALLOCATE_LIEQ : DEFAULT_RULE,
                               .published = args->published,
                               .average_bits = args->average_bits,
                               .file_bytes = args->size,
                               .seed = seed};
    bool average = args->average_bits > 0, size = args->size > 0;
    if (args->bits && args->block_bits)
        return tb_fail(err, TB_EINVAL, "--bits and --block-bits exclude each other");
    if (!tb_recipe_allocates(args))
        return TB_OK;
    if (args->allocate && !tb_allocation_rule_find(&out->rule, args->allocate))
        return tb_fail(err, TB_EINVAL,
                       "unknown rule '%s'; use lieq, lieq-v1, ppl, free, first, uniform, reversed or random",
                       args->allocate);
    if (args->bits || args->block_bits)
        return tb_fail(err, TB_EINVAL, "--%s and --%s exclude each other; give --widths",
                       args->bits ? "bits" : "block-bits",
                       args->allocate ? "allocate"
                       : average      ? "avg-bits"
                                      : "size");
    if (average == size)
        return tb_fail(err, TB_EINVAL,
                       average ? "--avg-bits and --size exclude each other"
                               : "--allocate needs either --avg-bits or --size");
    tb_code rc = parse_widths(out, args->widths, err);
    if (rc || !args->published)
        return rc;
    if ((out->rule != TB_ALLOCATE_LIEQ && out->rule != TB_ALLOCATE_LIEQ_V1) || size || out->width_count != 2)
        return tb_fail(err, TB_EINVAL,
                       "--published allocates by lieq or lieq-v1 under --avg-bits, and --widths are then two");
    return TB_OK;
}

tb_code tb_recipe_resolve(tb_pipeline_options *pipeline, tb_widths_options *widths, const tb_recipe_args *args,
                          uint64_t seed, tb_error *err)
{
    tb_code rc = resolve_method(pipeline, args, err);
    return rc ? rc : resolve_widths(widths, args, seed, err);
}

// bits[blocks] of "4,2,2,2".
static tb_code parse_block_bits(uint8_t *bits, const char *list, size_t blocks, tb_error *err)
{
    const char *at = list;
    for (size_t b = 0; b < blocks; b++) {
        if (at[0] < '1' || at[0] > '0' + TB_MAX_PLANES || at[1] != (b + 1 < blocks ? ',' : '\0'))
            return tb_fail(err, TB_EINVAL, "'%s' is no list of %zu widths like 4,2,2,2, one for each block", list,
                           blocks);
        bits[b] = (uint8_t)(at[0] - '0');
        at += 2;
    }
    return TB_OK;
}

static tb_code set_listed_widths(tb_pipeline *pipeline, const char *list, size_t blocks, tb_error *err)
{
    uint8_t *bits = tb_alloc_array(blocks, sizeof *bits);
    tb_code rc = bits ? parse_block_bits(bits, list, blocks, err)
                      : tb_fail(err, TB_ENOMEM, "no memory for the widths of %zu blocks", blocks);
    if (!rc)
        rc = tb_pipeline_set_widths(pipeline, bits, err);
    tb_free(bits);
    return rc;
}

tb_code tb_recipe_set_widths(tb_pipeline *pipeline, const tb_recipe_args *args, size_t blocks,
                             const tb_widths_options *widths, tb_error *err)
{
    if (args->block_bits)
        return set_listed_widths(pipeline, args->block_bits, blocks, err);
    return tb_recipe_allocates(args) ? tb_pipeline_choose_widths(pipeline, widths, err) : TB_OK;
}
