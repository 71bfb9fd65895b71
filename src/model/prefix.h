// Keys and values that texts begin with: those of a few first tokens, computed once by a model in full precision and
// stored, in its quantized file or by themselves, to be used in place of computed ones (IntactKV, arXiv 2403.01241).
// Private to model.
//
// A file has
//     prefix.tokens  I32 {count}
//     prefix.k       F16 {head_size, count, kv_heads, blocks}   keys, turned by RoPE at positions 0 … count − 1
//     prefix.v       F16 the same                               values
// and as metadata the fingerprint of the model that made them, and one of all of it.
#ifndef TB_MODEL_PREFIX_H
#define TB_MODEL_PREFIX_H

#include "model/kv.h"

#define TB_KEY_PREFIX_SOURCE "twobit.prefix.source"
#define TB_KEY_PREFIX_HASH "twobit.prefix.hash"

// The prefix of a checkpoint, of a model of these settings; count is 0 where it has none. TB_EFORMAT: it makes no
// sense, does not fit the model, or is not what was written.
tb_code tb_prefix_read(tb_prefix *out, const tb_checkpoint *checkpoint, const tb_settings *settings, tb_error *err);

// TB_EINVAL unless it was made for the model of a checkpoint, or for the one that this was quantized from.
tb_code tb_prefix_check_source(const tb_prefix *prefix, const tb_checkpoint *model, const char *path, tb_error *err);

// Puts the prefix's rows of positions[i] < limit in the place of keys[i] and values[i]: rows of `stride` floats of all
// KV heads of a block.
void tb_prefix_put(float *keys, float *values, size_t stride, const tb_prefix *prefix, const tb_config *config,
                   size_t block, const int32_t *positions, size_t count, size_t limit);

#endif
