#include "base/hash.h"

#include "base/mem.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>

struct tb_hash {
    struct sha256_ctx state;
};

tb_hash *tb_hash_new(void)
{
    tb_hash *hash = tb_new(tb_hash);
    if (hash)
        sha256_init(&hash->state);
    return hash;
}

void tb_hash_free(tb_hash *hash)
{
    tb_free(hash);
}

void tb_hash_update(tb_hash *hash, const void *bytes, size_t n)
{
    sha256_update(&hash->state, n, bytes);
}

void tb_hash_hex(tb_hash *hash, char out[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&hash->state, sizeof digest, digest);
    base16_encode_update(out, sizeof digest, digest);
    out[64] = '\0';
}
