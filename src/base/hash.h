// Fingerprints: SHA-256 (FIPS 180-4, by nettle) over data that arrives in pieces.
#ifndef TB_BASE_HASH_H
#define TB_BASE_HASH_H

#include <stddef.h>

#include "twobit/error.h"

typedef struct tb_hash tb_hash;

// NULL when memory ran out.
tb_hash *tb_hash_new(void);
void tb_hash_free(tb_hash *hash);

void tb_hash_update(tb_hash *hash, const void *bytes, size_t n);

// Writes 64 hexadecimal digits and a NUL; the hash then starts afresh.
void tb_hash_hex(tb_hash *hash, char out[65]);

#endif
