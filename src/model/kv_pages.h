// What is known of the keys of a page without reading them: the most and the least of every channel. Private to the
// policies and to attention.
#ifndef TB_MODEL_KV_PAGES_H
#define TB_MODEL_KV_PAGES_H

#include "model/kv.h"

// Bytes of what is known of the pages of a head; false on overflow.
bool tb_kv_pages_bytes(size_t *out, const tb_kv_head *head);

// Takes in the key [head_size] of row `row`, which is stored already; those of its page in front of it were taken in.
void tb_kv_pages_add(void *pages, const tb_kv_head *head, size_t row, const void *key);

// Of pages that tb_kv_pages_add filled.
tb_kv_pages tb_kv_pages_get(const void *pages, const tb_kv_head *head);

#endif
