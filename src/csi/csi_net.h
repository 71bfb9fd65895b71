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

// A subnet y = W2ᵀ·f(W1ᵀ·x + b1) + b2. Its matrices are parameters, or packed (rows are outputs:
// transposed) when packed*.view.rows is not 0.
typedef struct tb_csi_subnet {
    bool exists; // false: the stage is computed
    tb_param *w1, *b1, *w2, *b2;
    tb_packed packed1, packed2;
} tb_csi_subnet;

struct tb_csi_net {
    tb_csi_net_options options; // defaults filled in
    tb_params *params;
    tb_csi_subnet subnets[TB_CSI_STAGES];
    double shrinkage[2]; // √(1 − NMSE) of both CSI stages where they were trained, for options.gain; 0: not known yet
    tb_compute compute; // one thread, unless a panel wants more for each of its chains
    tb_csi_normaliser normaliser;
};

// `trained`: with gradients and moments. With options->packed the matrices are left for
// tb_csi_net_open to fill.
tb_code tb_csi_net_make(tb_csi_net **out, const tb_csi_net_options *options, tb_precision precision, bool trained,
                        tb_error *err);

// Weights in the matrices of a network with these options. TB_EINVAL: there can be none.
tb_code tb_csi_net_count_weights(double *out, const tb_csi_net_options *options, tb_error *err);

// What a subnet reads and gives for each row of its input: the paper's subnets see whole frames, the
// hybrid's one real block of R symbols and two numbers about its surroundings.
typedef struct tb_csi_stage_shape {
    size_t in, hidden, out;
} tb_csi_stage_shape;

// Fills an unpacked network's parameters from a file, or opens a packed one.
tb_code tb_csi_net_open_trained(tb_csi_net **out, const char *path, bool trained, tb_error *err);

tb_csi_stage_shape tb_csi_net_stage_shape(const tb_csi_net_options *options, tb_csi_stage stage);

// Adds to the metadata what tb_csi_net_open reads; `numbers` holds texts for as long as the metadata are used.
// Returns the number of pairs.
enum { TB_CSI_NET_PAIRS = 7, TB_CSI_NET_NUMBERS = 5 };
size_t tb_csi_net_describe(const char *metadata[2 * TB_CSI_NET_PAIRS], char numbers[TB_CSI_NET_NUMBERS][32],
                           const tb_csi_net *net);

// ---- packed matrices in files ----
//
// For a matrix NAME ("det1.w1"): metadata NAME = "TYPE rows cols planes group" and tensors NAME.data,
// NAME.coefs, NAME.zeros with the bytes of its parts (layout.h says what they mean).

tb_code tb_csi_packed_load(tb_csi_net *net, const tb_safetensors *file, const char *path, tb_error *err);

// Writes a network whose matrices are all packed.
tb_code tb_csi_packed_save(const char *path, const tb_csi_net *net, const char *recipe, tb_error *err);

// ---- chain: a network at work on a batch ----

typedef struct tb_csi_chain_stage {
    tb_graph *graph; // NULL for a computed stage
    tb_node *x, *y;
    tb_node *in, *hidden;         // what the two matrices multiply
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

// The deviation of real entries of a paper's stage's input, over the noise and whatever was sent, that ρ and s2 of
// a frame make one expect; their mean is 0. Of CSI2, behind decisions, good to 5 %; of the others exact for a
// linear MMSE estimate in the place of the CSI subnet.
double tb_csi_expected_deviation(const tb_csi_link *link, const tb_csi_frame *frame, tb_csi_stage stage);

// The whole chain; fills the estimates.
void tb_csi_chain_receive(tb_csi_chain *chain, tb_csi_batch *batch);

#endif
