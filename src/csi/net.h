// Inside csi: networks, and the chain of stages that they make.
#ifndef TB_CSI_NET_H
#define TB_CSI_NET_H

#include "csi/link.h"
#include "train/train.h"

// The chain unfolds two passes: CSI, data, CSI, data.
typedef enum tb_csi_stage { TB_CSI_CSI1, TB_CSI_DET1, TB_CSI_CSI2, TB_CSI_DET2, TB_CSI_STAGES } tb_csi_stage;

extern const char *const tb_csi_stage_names[TB_CSI_STAGES]; // "csi1" …: prefixes of tensors

static inline bool tb_csi_stage_is_det(tb_csi_stage stage)
{
    return stage % 2 == 1;
}

// The four tensors of a subnet y = W2ᵀ·f(W1ᵀ·x + b1) + b2; all NULL for a stage that is computed.
typedef struct tb_csi_subnet {
    tb_param *w1, *b1, *w2, *b2;
} tb_csi_subnet;

struct tb_csi_net {
    tb_csi_net_options options; // defaults filled in
    tb_params *params;
    tb_csi_subnet subnets[TB_CSI_STAGES];
};

// `trained`: with gradients and moments.
tb_code tb_csi_net_make(tb_csi_net **out, const tb_csi_net_options *options, tb_precision precision, bool trained,
                        tb_error *err);

// What a subnet reads and gives for each row of its input: the paper's subnets see whole frames, the
// hybrid's one real block of R symbols and two numbers about its surroundings.
typedef struct tb_csi_stage_shape {
    size_t in, hidden, out;
} tb_csi_stage_shape;

tb_csi_stage_shape tb_csi_net_stage_shape(const tb_csi_net_options *options, tb_csi_stage stage);

// ---- chain: a network at work on a batch ----

typedef struct tb_csi_chain_stage {
    tb_graph *graph; // NULL for a computed stage
    tb_node *x, *y;
    tb_node *target, *fit, *loss; // of the stage in training: NMSE, and with the penalty
} tb_csi_chain_stage;

// One thread at a time; any number of chains of one network may run in parallel.
typedef struct tb_csi_chain {
    const tb_csi_net *net;
    const tb_csi_link *link;
    size_t capacity;       // frames
    size_t rows_per_frame; // of the subnets' inputs: 1, or the link's real blocks
    tb_csi_chain_stage stages[TB_CSI_STAGES];
    // What is known of each frame so far, [capacity] times:
    double *h;            // [2N], the estimate
    double *z;            // [2P], received minus CSI
    double *data;         // [2P], detected so far; zero before the first detection
    double *shrinkage;    // c of the last CSI stage
    double *interference; // power of data not cancelled
    tb_arena arena;
} tb_csi_chain;

// `training`: the stage to be trained with an L2 penalty, or TB_CSI_STAGES for none.
tb_code tb_csi_chain_init(tb_csi_chain *chain, const tb_csi_net *net, const tb_csi_link *link, size_t capacity,
                          tb_csi_stage training, double penalty, tb_error *err);
void tb_csi_chain_clear(tb_csi_chain *chain);

// Forgets the frames before.
void tb_csi_chain_begin(tb_csi_chain *chain, const tb_csi_batch *batch);

// Fills the input of a stage from what is known; the stages before must be done.
void tb_csi_chain_feed(tb_csi_chain *chain, const tb_csi_batch *batch, tb_csi_stage stage);

// Fills the target of the stage in training.
void tb_csi_chain_aim(tb_csi_chain *chain, const tb_csi_batch *batch, tb_csi_stage stage);

// Takes over what a stage computed.
void tb_csi_chain_take(tb_csi_chain *chain, const tb_csi_batch *batch, tb_csi_stage stage);

// Feeds, computes and takes stages 0 … end−1.
void tb_csi_chain_run(tb_csi_chain *chain, const tb_csi_batch *batch, tb_csi_stage end);

// The whole chain; fills the estimates.
void tb_csi_chain_receive(tb_csi_chain *chain, tb_csi_batch *batch);

#endif
