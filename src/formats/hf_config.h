// Inside formats: config.json under translation. hf_reader.c has the reads and writes, hf_config.c the settings,
// hf_rope.c those of RoPE, hf_families.c what is left unsaid.
#ifndef TB_FORMATS_HF_CONFIG_H
#define TB_FORMATS_HF_CONFIG_H

#include "formats/hf.h"

struct json_t;

// Reads of one config. The first error stays and later reads do nothing, so that a row of
// reads needs one check at its end.
typedef struct tb_hf_config {
    const struct json_t *json; // the text model's own part
    const tb_hf_family *family;
    tb_checkpoint *out;
    tb_error *err;
    tb_code rc;
    uint32_t blocks, head_size, kv_heads, context;
} tb_hf_config;

// NULL: not known.
const tb_hf_family *tb_hf_find_family(const char *model_type);

// A setting that makes no sense.
void tb_hf_refuse(tb_hf_config *c, const char *name, const char *what);

// A setting that is understood and not done; `value` where it is a text.
void tb_hf_refuse_unsupported(tb_hf_config *c, const char *name, const char *value);

// ---- reading ----

// NULL also for JSON's null.
const struct json_t *tb_hf_member(const struct json_t *object, const char *name);

// A whole number from `least` (read_count: 1) to 2^31 − 1; `absent` where the key is missing (0: it is required).
uint32_t tb_hf_read_whole(tb_hf_config *c, const char *name, uint32_t least, uint32_t absent);
uint32_t tb_hf_read_count(tb_hf_config *c, const char *name, uint32_t absent);

// A positive number of `object`, which may be NULL; `absent` as above.
double tb_hf_read_positive(tb_hf_config *c, const struct json_t *object, const char *name, double absent);

bool tb_hf_read_bool(tb_hf_config *c, const char *name, bool absent);

// ---- writing ----

// Under "ARCHITECTURE.name". Flags: one per block, in the checkpoint's arena.
void tb_hf_put_u32(tb_hf_config *c, const char *name, uint32_t value);
void tb_hf_put_f32(tb_hf_config *c, const char *name, double value);
void tb_hf_put_bool(tb_hf_config *c, const char *name, bool value);
void tb_hf_put_flags(tb_hf_config *c, const char *name, const unsigned char *flags);
void tb_hf_put_arch_text(tb_hf_config *c, const char *name, const char *value);

// Under the whole key.
void tb_hf_put_text(tb_hf_config *c, const char *key, const char *value);

// ---- twobit's own ----

// The variants of attention, and a refusal of what else there is.
void tb_hf_translate_variants(tb_hf_config *c);

// ---- RoPE ----

// All keys of RoPE; the factors of longrope, which are tensors in GGUF, are left in *factors.
void tb_hf_translate_rope(tb_hf_config *c, tb_hf_rope_factors *factors);

#endif
