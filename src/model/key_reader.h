// Typed reads of a checkpoint's metadata keys "<architecture>.<name>". Private to model.
#ifndef TB_MODEL_KEY_READER_H
#define TB_MODEL_KEY_READER_H

#include "model/settings.h"

// The first error stays and later reads do nothing, so that a row of reads needs one check at its end.
typedef struct tb_key_reader {
    const tb_checkpoint *checkpoint;
    const char *path;
    const tb_arch *arch;
    tb_error *err;
    tb_code rc;
    char key[128]; // of the last read
} tb_key_reader;

// "<architecture>.<name>", which the reader keeps until the next read.
const char *tb_full_key(tb_key_reader *r, const char *name);

// NULL: absent.
const tb_kv *tb_find_key(tb_key_reader *r, const char *name);

// Numbers may also be lists with one for every layer; TB_EUNSUPPORTED where layers differ.

// A number between 1 and `most`; `absent` where the key is missing (0: it is required). 1 after an error.
size_t tb_read_size(tb_key_reader *r, const char *name, uint64_t most, uint64_t absent);

// A number above 0; `absent` where the key is missing (0: it is required). 1 after an error.
double tb_read_positive(tb_key_reader *r, const char *name, double absent);

// Numbers that switch on something the forward pass does not have: absent or `off` is all it takes.
void tb_refuse_unless(tb_key_reader *r, const char *name, double off, const char *what);

// Makes settings->arch what the file makes of the family's row: of twobit's own architecture all of it, of others what
// they may have besides. Of the former unknown keys are refused.
void tb_variant_read(tb_key_reader *r, tb_settings *settings, tb_arena *arena);

#endif
