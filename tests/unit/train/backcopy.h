// Bigram-Backcopy (Guo et al., arXiv 2410.13835; T-22 of the specification of attention sinks): a text whose tokens
// follow one another by a random table, but behind a trigger stands what stood in front of it. A head that copies has
// nothing to do elsewhere. Small transformers learn it by tb_lm_train, with a BOS in front of every window, and are
// looked at in the ordinary forward pass.
#ifndef TB_TEST_BACKCOPY_H
#define TB_TEST_BACKCOPY_H

#include "train/train.h"

enum { BACKCOPY_MOST_BLOCKS = 3 };

typedef struct backcopy_options {
    size_t blocks, width, length; // one head of the whole width; tokens of a window
    tb_lm_normalizer normalizer;
    tb_optimizer_kind optimizer;
    double rate, decay;
    uint64_t seed, steps;
    size_t batch;
} backcopy_options;

// Of one block, means over windows that training did not see. Rows: queries behind the BOS.
typedef struct backcopy_block {
    double plain_first, plain_self;       // weight that rows of no trigger give the BOS, and themselves
    double trigger_first, trigger_source; // weight that triggers give the BOS, and what they copy
    double value;                         // ‖v_0‖ over the mean of the others
    double stream;                        // ‖h_0‖ over the mean of the others, behind the block
} backcopy_block;

typedef struct backcopy_result {
    double excess; // loss behind tokens that are no triggers, above that of the table itself; nats
    double copy;   // loss behind triggers
    backcopy_block blocks[BACKCOPY_MOST_BLOCKS];
} backcopy_result;

// Trains FOLDER where it is not there yet, or goes on with it, and looks at what came out. Exits with a message on
// failure.
backcopy_result backcopy_run(const backcopy_options *options, const char *folder);

#endif
