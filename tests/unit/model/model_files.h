// For tests: models from the repository, from the shared data and from the cache of
// tools/fetch-model.
#ifndef TB_TEST_MODEL_FILES_H
#define TB_TEST_MODEL_FILES_H

#include "model/model.h"

// The families with a tiny model in tests/golden/models, and those of them that are no mixtures of experts; NULL at
// the end.
extern const char *const tiny_families[], *const tiny_dense[];

// tests/golden/models/NAME; valid until the call after the next three.
const char *tiny_path(const char *name);

// A file of the shared data, or of the model cache; NULL, with a line that says so, when it is absent.
const char *shared_path(const char *name);
const char *cached_path(const char *name);

// Opens a model that must open.
tb_model *open_model(const char *path, size_t threads);

// A sequence that must open.
tb_seq *new_seq(const tb_model *model, size_t context, size_t batch, tb_kv_cache_type type);

// Pushes n tokens that must go in; the logits after each, [n][vocab], to be freed with tb_free.
float *push_all(tb_seq *seq, const int32_t *ids, size_t n);

// n ids below `vocab`, the same for the same seed; to be freed with tb_free.
int32_t *random_ids(size_t n, size_t vocab, uint64_t seed);

// Largest |a − b|, divided by the largest |b|; fails the test where a value is not finite.
double distance(const float *a, const float *b, size_t n);

#endif
