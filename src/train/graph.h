// Inside train: nodes, and the operators that compute them.
#ifndef TB_TRAIN_GRAPH_H
#define TB_TRAIN_GRAPH_H

#include "tensor/tensor.h"
#include "train/train.h"

typedef enum tb_op_kind {
    TB_OP_INPUT,
    TB_OP_PARAM,
    TB_OP_MATMUL,
    TB_OP_PACKED,
    TB_OP_ADD,
    TB_OP_ADD_ROW,
    TB_OP_SCALE,
    TB_OP_SWISH,
    TB_OP_TANH,
    TB_OP_LEAKY_RELU,
    TB_OP_STANDARDIZE,
    TB_OP_NMSE,
    TB_OP_SQUARES,
    TB_OPS
} tb_op_kind;

struct tb_node {
    tb_op_kind op;
    tb_node *a, *b; // operands
    tb_param *param;
    size_t rows, cols, most_rows; // now, and what is allocated
    bool batched;                 // rows follow tb_graph_set_rows
    bool learns;                  // a gradient is wanted
    double factor;                // of scale, slope of leaky ReLU
    double saved;                 // from forward for backward: deviation, Σt²
    const tb_matrix *matrix;      // of packed
    const tb_compute *compute;    // of packed
    void *room;                   // of packed: for the operand as kernels want it
    float *scratch;               // of packed
    void *value, *gradient;
};

// How one kind of node is computed. Backward adds to the gradients of those operands that learn.
typedef struct tb_op {
    void (*forward)(tb_node *node, size_t threads);
    void (*backward)(tb_node *node, size_t threads);
} tb_op;

// Operators by kind, one table per precision. NULL functions: nothing to do.
extern const tb_op tb_ops_f32[TB_OPS];
extern const tb_op tb_ops_f64[TB_OPS];

static inline size_t tb_node_size(const tb_node *node)
{
    return node->rows * node->cols;
}

#endif
