// train: a small differentiable core. A graph of matrices is built once from the operators below;
// forward computes its values, backward the gradients of its parameters, Adam moves them. Meant for
// small networks on a CPU: dense layers run on tensor's GEMM, everything else in plain loops.
//
// Single precision is for training, double for checking gradients; one source makes both. Results
// do not depend on the number of threads.
#ifndef TB_TRAIN_H
#define TB_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "formats/formats.h"
#include "tensor/tensor.h"
#include "train/lm.h"
#include "train/lm_train.h"
#include "train/optimizer.h"
#include "train/params.h"

// ---- graphs ----

typedef struct tb_graph tb_graph;
typedef struct tb_node tb_node; // a matrix in a graph, borrowed from it

// A graph over parameters (of one precision). Builders below return NULL when memory ran out or shapes do not
// fit, accept NULL operands, and leave the first failure for tb_graph_finish to report.
tb_code tb_graph_new(tb_graph **out, tb_params *params, tb_error *err);
void tb_graph_free(tb_graph *graph);

// Data from outside. The rows of all inputs that are `batched` are set together, up to `rows`, by
// tb_graph_set_rows; what is computed from them follows.
tb_node *tb_graph_input(tb_graph *graph, size_t rows, size_t cols, bool batched);
tb_node *tb_graph_param(tb_graph *graph, tb_param *param);

tb_node *tb_graph_matmul(tb_graph *graph, tb_node *a, tb_node *b); // a[m][k]·b[k][n]
// a[m][cols]·Wᵀ for a stored matrix W[rows][cols] of any type, in single precision, by the kernels of `compute`
// (both outlive the graph). Passes no gradient back: a must not learn.
tb_node *tb_graph_packed(tb_graph *graph, tb_node *a, const tb_matrix *w, const tb_compute *compute);
tb_node *tb_graph_add(tb_graph *graph, tb_node *a, tb_node *b);       // same shape
tb_node *tb_graph_add_row(tb_graph *graph, tb_node *a, tb_node *row); // row[1][n] to each row of a[m][n]
tb_node *tb_graph_scale(tb_graph *graph, tb_node *a, double factor);
tb_node *tb_graph_swish(tb_graph *graph, tb_node *a); // z·σ(z)
tb_node *tb_graph_tanh(tb_graph *graph, tb_node *a);
tb_node *tb_graph_leaky_relu(tb_graph *graph, tb_node *a, double slope); // slope 0: ReLU
// (a − mean)/deviation, both over the whole matrix, population variance. A constant matrix gives 0.
tb_node *tb_graph_standardize(tb_graph *graph, tb_node *a);
// Σ(y − t)²/Σt², [1][1]; no gradient goes to t. 0 for t = 0.
tb_node *tb_graph_nmse(tb_graph *graph, tb_node *y, tb_node *t);
tb_node *tb_graph_squares(tb_graph *graph, tb_node *a); // Σa²/2, [1][1]

// Allocates values, and gradients where parameters need them. No node may be added afterwards.
tb_code tb_graph_finish(tb_graph *graph, tb_error *err);

void tb_graph_set_rows(tb_graph *graph, size_t rows);
void tb_graph_set_threads(tb_graph *graph, size_t threads); // 1 at first; in a parallel loop it must be 1

// Computes all nodes in the order they were built.
void tb_graph_forward(tb_graph *graph);

// Gradients of `loss` ([1][1]) by all parameters that are not frozen. After forward.
void tb_graph_backward(tb_graph *graph, tb_node *loss);

size_t tb_node_rows(const tb_node *node);
size_t tb_node_cols(const tb_node *node);
// The values, [rows][cols] of the set's precision; written for inputs, read for others.
void *tb_node_values(tb_node *node);
double tb_node_get(const tb_graph *graph, const tb_node *node, size_t index);
void tb_node_set(const tb_graph *graph, tb_node *node, size_t index, double value);

#endif
