// twobit info: what a model is made of.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json_out.h"
#include "cli/number_text.h"
#include "cli/table.h"
#include "model/model.h"

enum { MOST_SHOWN = 2000 }; // bytes of one text

typedef struct info_args {
    bool verify, json;
} info_args;

static const info_args defaults;

static const tb_option options[] = {
    {"verify", 0, TB_OPTION_FLAG, offsetof(info_args, verify), NULL, 0, 0,
     "decode all weights and compare them with the checksums in the file"},
    {"json", 0, TB_OPTION_FLAG, offsetof(info_args, json), NULL, 0, 0,
     "print an object: architecture, parameters, file_bytes, linear_bits_per_weight, file_bits_per_weight, tensors "
     "and more"},
    {0},
};

static const char *const examples[] = {
    "twobit info model.gguf",
    "architecture, sizes, and what made a twobit file",
    "twobit info small.gguf --verify",
    "is the file what quantize wrote?",
    "twobit info model.gguf -v",
    "every tensor with type, shape and bytes",
    NULL,
};

static size_t dimension_count(const tb_tensor_info *t)
{
    return t->dim_count ? t->dim_count : 1;
}

static double file_bits(const tb_model *model)
{
    return 8.0 * (double)tb_checkpoint_file_bytes(tb_model_checkpoint(model)) / (double)tb_model_parameters(model);
}

// ---- recipe: what quantize noted in a twobit file ----

static const struct {
    const char *key; // behind "twobit."
    const char *label;
    bool brief; // shown without -v
} recipe_keys[] = {
    {"generator", "written by", true},  {"method", "method", true},  {"bits", "bits", true},
    {"block_bits", "block bits", true}, {"group", "group", true},    {"format_version", "format", false},
    {"recipe", "recipe", false},        {"source", "source", false}, {"calibration", "calibration", false},
};

enum { RECIPE_KEYS = sizeof recipe_keys / sizeof recipe_keys[0] };

static const tb_kv *find_recipe(const tb_checkpoint *checkpoint, size_t index)
{
    char key[64];
    snprintf(key, sizeof key, "twobit.%s", recipe_keys[index].key);
    return tb_checkpoint_find(checkpoint, key);
}

// Entries are texts and counts.
static json_t *recipe_value(const tb_kv *kv)
{
    if (kv->type == TB_KV_TEXT)
        return tb_json_text(kv->value.text.data, kv->value.text.size);
    return kv->type == TB_KV_U32 || kv->type == TB_KV_U64 ? json_integer((json_int_t)kv->value.u) : json_null();
}

// An object of the recipe's entries, empty for other files; NULL when memory ran out.
static json_t *make_recipe(const tb_checkpoint *checkpoint)
{
    json_t *recipe = json_object();
    for (size_t i = 0; i < RECIPE_KEYS; i++) {
        const tb_kv *kv = find_recipe(checkpoint, i);
        if (kv && json_object_set_new(recipe, recipe_keys[i].key, recipe_value(kv))) {
            json_decref(recipe);
            return NULL;
        }
    }
    return recipe;
}

// A text of the file on a terminal: without control characters, and not endless.
static void print_plain(tb_text text)
{
    for (size_t i = 0; i < text.size && i < MOST_SHOWN; i++) {
        unsigned char c = (unsigned char)text.data[i];
        putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
}

static void print_recipe(const tb_cli *cli, const tb_checkpoint *checkpoint)
{
    for (size_t i = 0; i < RECIPE_KEYS; i++) {
        const tb_kv *kv = find_recipe(checkpoint, i);
        if (!kv || !(recipe_keys[i].brief || cli->common.verbose))
            continue;
        printf("%-14s", recipe_keys[i].label);
        if (kv->type == TB_KV_TEXT)
            print_plain(kv->value.text);
        else
            printf("%llu", (unsigned long long)kv->value.u);
        putchar('\n');
    }
}

// ---- tensors ----

// {name, type, shape (slowest dimension first), bytes}
static json_t *make_tensor(const tb_tensor_info *t)
{
    json_t *shape = json_array();
    for (size_t d = dimension_count(t); d-- > 0;)
        json_array_append_new(shape, json_integer((json_int_t)t->dims[d]));
    return json_pack("{s:o, s:s, s:o, s:I}", "name", tb_json_text(t->name.data, t->name.size), "type",
                     tb_type_name(t->type), "shape", shape, "bytes", (json_int_t)t->bytes);
}

static json_t *make_tensors(const tb_checkpoint *checkpoint)
{
    json_t *list = json_array();
    for (size_t i = 0; i < tb_checkpoint_tensor_count(checkpoint); i++)
        if (json_array_append_new(list, make_tensor(tb_checkpoint_tensor_at(checkpoint, i)))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static void format_shape(char *out, size_t size, const tb_tensor_info *t)
{
    size_t used = 0;
    for (size_t d = dimension_count(t); d-- > 0 && used < size;)
        used += (size_t)snprintf(out + used, size - used, "%llu%s", (unsigned long long)t->dims[d], d ? " x " : "");
}

static tb_code add_tensor(tb_table *table, const tb_tensor_info *t, tb_error *err)
{
    char shape[128], bytes[TB_NUMBER_TEXT];
    format_shape(shape, sizeof shape, t);
    tb_code rc = tb_table_add(table, t->name.data, err); // NUL-terminated, formats.h says
    if (!rc)
        rc = tb_table_add(table, tb_type_name(t->type), err);
    if (!rc)
        rc = tb_table_add(table, shape, err);
    return rc ? rc : tb_table_add(table, tb_text_of_count(bytes, t->bytes), err);
}

static tb_code print_all_tensors(const tb_checkpoint *checkpoint, tb_error *err)
{
    static const tb_column columns[] = {{"tensor", false}, {"type", false}, {"shape", true}, {"bytes", true}};
    tb_table table;
    tb_table_init(&table, columns, 4);
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < tb_checkpoint_tensor_count(checkpoint); i++)
        rc = add_tensor(&table, tb_checkpoint_tensor_at(checkpoint, i), err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

// All tensors of one type that no earlier tensor had.
static tb_code add_type(tb_table *table, const tb_checkpoint *checkpoint, size_t first, tb_error *err)
{
    char number[TB_NUMBER_TEXT];
    tb_type type = tb_checkpoint_tensor_at(checkpoint, first)->type;
    uint64_t count = 0, bytes = 0;
    for (size_t i = 0; i < tb_checkpoint_tensor_count(checkpoint); i++) {
        const tb_tensor_info *t = tb_checkpoint_tensor_at(checkpoint, i);
        if (t->type == type && i < first)
            return TB_OK;
        count += t->type == type;
        bytes += t->type == type ? t->bytes : 0;
    }
    tb_code rc = tb_table_add(table, tb_type_name(type), err);
    if (!rc)
        rc = tb_table_add(table, tb_text_of_count(number, count), err);
    return rc ? rc : tb_table_add(table, tb_text_of_count(number, bytes), err);
}

static tb_code print_types(const tb_checkpoint *checkpoint, tb_error *err)
{
    static const tb_column columns[] = {{"type", false}, {"tensors", true}, {"bytes", true}};
    tb_table table;
    tb_table_init(&table, columns, 3);
    tb_code rc = TB_OK;
    for (size_t i = 0; !rc && i < tb_checkpoint_tensor_count(checkpoint); i++)
        rc = add_type(&table, checkpoint, i, err);
    if (!rc)
        rc = tb_table_print(&table, err);
    tb_table_clear(&table);
    return rc;
}

// ---- the whole ----

// `verified`: the checksums were compared and are right.
static tb_code print_json(const tb_model *model, bool verified, tb_error *err)
{
    const tb_checkpoint *checkpoint = tb_model_checkpoint(model);
    const tb_config *c = tb_model_config(model);
    return tb_json_print(
        json_pack(
            "{s:s, s:I, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o}",
            "architecture", tb_model_architecture(model), "parameters", (json_int_t)tb_model_parameters(model),
            "file_bytes", (json_int_t)tb_checkpoint_file_bytes(checkpoint), "linear_bits_per_weight",
            tb_json_real(tb_model_linear_bits(model)), "file_bits_per_weight", tb_json_real(file_bits(model)), "blocks",
            (json_int_t)c->blocks, "width", (json_int_t)c->width, "ffn_width", (json_int_t)c->ffn_width, "experts",
            (json_int_t)c->experts, "experts_used", (json_int_t)c->experts_used, "expert_width",
            (json_int_t)c->expert_width, "shared_width", (json_int_t)c->shared_width, "heads", (json_int_t)c->heads,
            "kv_heads", (json_int_t)c->kv_heads, "head_size", (json_int_t)c->head_size, "vocab", (json_int_t)c->vocab,
            "context", (json_int_t)c->context, "tied_head", tb_model_head_is_tied(model), "verified",
            verified ? json_true() : json_null(), "recipe", make_recipe(checkpoint), "tensors",
            make_tensors(checkpoint)),
        err);
}

static void print_shape(const tb_model *model)
{
    char a[TB_NUMBER_TEXT], b[TB_NUMBER_TEXT];
    const tb_config *c = tb_model_config(model);
    printf("architecture  %s, %s parameters\n", tb_model_architecture(model),
           tb_text_of_count(a, tb_model_parameters(model)));
    printf("shape         %zu blocks of width %zu, feed-forward %zu, %zu heads of %zu (%zu for keys and values)\n",
           c->blocks, c->width, c->ffn_width, c->heads, c->head_size, c->kv_heads);
    if (c->experts)
        printf("mixture       %zu experts of width %zu, %zu for a token\n", c->experts, c->expert_width,
               c->experts_used);
    if (c->shared_width)
        printf("              one more of width %zu for every token\n", c->shared_width);
    printf("text          %s tokens in the vocabulary, context of %s%s\n", tb_text_of_count(a, c->vocab),
           tb_text_of_count(b, c->context), tb_model_head_is_tied(model) ? ", head tied to the embedding" : "");
    printf("file          %s bytes, %.3f bits per weight, linears %.3f\n",
           tb_text_of_count(a, tb_checkpoint_file_bytes(tb_model_checkpoint(model))), file_bits(model),
           tb_model_linear_bits(model));
}

static void print_machine(const tb_model *model)
{
    char machine[TB_MACHINE_NAME];
    printf("machine       %s, kernels %s\n", tb_machine_name(machine),
           tb_cpu_name(tb_model_compute(model)->kernels.cpu));
}

static tb_code print_text(const tb_cli *cli, const tb_model *model, bool verified, tb_error *err)
{
    const tb_checkpoint *checkpoint = tb_model_checkpoint(model);
    print_shape(model);
    if (verified)
        puts("checksums     all right: every matrix decodes to the values it was written with");
    print_recipe(cli, checkpoint);
    if (cli->common.verbose)
        print_machine(model);
    putchar('\n');
    return cli->common.verbose ? print_all_tensors(checkpoint, err) : print_types(checkpoint, err);
}

static tb_code run(tb_cli *cli, const void *untyped, tb_error *err)
{
    const info_args *args = untyped;
    tb_model *model;
    tb_code rc = tb_cli_open_model(&model, cli, cli->operands.items[0], err);
    if (rc)
        return rc;
    if (args->verify)
        rc = tb_checkpoint_verify(tb_model_checkpoint(model), tb_cli_threads(cli), &cli->report, err);
    tb_progress_clear(&cli->progress);
    if (!rc)
        rc = args->json ? print_json(model, args->verify, err) : print_text(cli, model, args->verify, err);
    tb_model_close(model);
    return rc;
}

const tb_command tb_command_info = {
    .name = "info",
    .summary = "show what a model is made of",
    .usage = "MODEL [options]",
    .examples = examples,
    .notes = "Bits per weight are counted from the bytes that are really stored, coefficients and scales included:\n"
             "of the whole file, and of the linear layers of its blocks.\n",
    .least_operands = 1,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
