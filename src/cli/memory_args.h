// How a sequence remembers, as options say it: one table for every command that runs a model on a text.
#ifndef TB_CLI_MEMORY_ARGS_H
#define TB_CLI_MEMORY_ARGS_H

#include "base/base.h"
#include "twobit/twobit.h"

// What was given on the command line.
typedef struct tb_memory_args {
    const char *stream;           // "S:W"; NULL: no stream
    const char *kv;               // as tb_seq_options_set_kv takes it; NULL: as the command has it
    const char *evict;            // as tb_seq_options_set_eviction takes it; NULL: no budget
    const char *keep_sinks;       // a number; NULL: not given
    const char *prefix_kv;        // as tb_model_options has it
    const char *head_split;       // as tb_head_split_open takes it; NULL: all heads remember everything
    double apart;                 // of tokens in few bits; 0: none lie apart
    double skip_mass;             // 0: nothing is skipped
    double sink_gamma;            // what the weight of the first token is multiplied by
    const char *sink_gamma_heads; // a file of factors of heads (tb_head_gammas_parse), besides; NULL: not given
    const char *sink_alpha;       // as tb_seq_options_set_redistribution takes it; NULL: nothing is redistributed
} tb_memory_args;

// What is used where nothing was given.
#define TB_MEMORY_DEFAULTS                                                                                             \
    {                                                                                                                  \
        .sink_gamma = 1                                                                                                \
    }

// Describes a tb_memory_args.
extern const tb_option tb_memory_option_table[];

// Appends what was given, as one would give it; nothing where that is nothing.
tb_code tb_memory_args_describe(tb_str *out, const tb_memory_args *args, tb_error *err);

// Sets what was given in `options`. TB_EINVAL names the option that makes no sense. Clear behind the last sequence with
// these options, also after failure.
tb_code tb_memory_args_read(tb_seq_options *options, const tb_memory_args *args, tb_error *err);
// Sets what was given of this model, a head split; to be called behind the former.
tb_code tb_memory_args_open(tb_seq_options *options, const tb_memory_args *args, const tb_model *model, tb_error *err);
void tb_memory_args_clear(tb_seq_options *options);

#endif
