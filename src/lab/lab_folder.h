// The work folder of compare: its path, and the quantized models that lie in it, whatever they are called. Each says
// inside what it was made from; one that was made from the very same things is taken, and none is made twice.
#ifndef TB_LAB_FOLDER_H
#define TB_LAB_FOLDER_H

#include "base/base.h"
#include "quant/quant.h"

// A file in the folder that twobit wrote.
typedef struct tb_folder_file {
    const char *path, *identity;
    uint64_t bytes;
} tb_folder_file;

typedef struct tb_folder {
    const char *path;
    tb_output_lock lock;   // one comparison works in it at a time
    tb_folder_file *files; // [count]
    size_t count, capacity;
    tb_arena arena;
} tb_folder;

// Creates the folder `path` where it is missing, locks it until it is cleared, and looks through it. NULL: "compare" in
// $XDG_CACHE_HOME/twobit or ~/.cache/twobit; TB_EINVAL when there is no such place. TB_EIO when another process works
// there. Clear also after failure.
tb_code tb_folder_open(tb_folder *folder, const char *path, tb_error *err);
void tb_folder_clear(tb_folder *folder);

// The file that was made from these things, or NULL.
const char *tb_folder_find(const tb_folder *folder, const tb_quant_identity *identity);

// Looks again at one file in the folder, which has appeared.
tb_code tb_folder_add(tb_folder *folder, const char *path, tb_error *err);

// A path for a file that is to be made: MODEL-RECIPE-… with digits of the identity's hash, so that other options or
// models of the same name never meet. In the folder's arena; NULL: no memory.
const char *tb_folder_name_file(tb_folder *folder, const char *model, const char *recipe,
                                const tb_quant_identity *identity);

#endif
