// Graphs: an array of nodes in the order they were built, which is an order in which they can be
// computed; its reverse is one for gradients.
#include "train/graph.h"

#include <assert.h>
#include <string.h>

struct tb_graph {
    tb_params *params;
    const tb_op *ops; // of the precision
    tb_node **nodes;  // [room], the first `count` in the arena
    size_t count, room, threads;
    tb_arena arena;
    tb_error failure; // the first of the builders
    bool finished;
};

tb_code tb_graph_new(tb_graph **out, tb_params *params, tb_error *err)
{
    tb_graph *graph = *out = tb_new(tb_graph);
    if (!graph)
        return tb_fail(err, TB_ENOMEM, "no memory for a graph");
    graph->params = params;
    graph->ops = tb_params_precision(params) == TB_DOUBLE ? tb_ops_f64 : tb_ops_f32;
    graph->threads = 1;
    return TB_OK;
}

void tb_graph_free(tb_graph *graph)
{
    if (!graph)
        return;
    tb_arena_clear(&graph->arena);
    tb_free(graph->nodes);
    tb_free(graph);
}

// ---- building ----

static tb_node *fail(tb_graph *graph, tb_code code, const char *reason)
{
    if (!graph->failure.code)
        tb_fail(&graph->failure, code, "%s", reason);
    return NULL;
}

// Room for one more node.
static bool grow(tb_graph *graph)
{
    if (graph->count < graph->room)
        return true;
    size_t room = graph->room ? 2 * graph->room : 64;
    tb_node **nodes = tb_realloc_array(graph->nodes, graph->room, room, sizeof(void *));
    if (!nodes)
        return false;
    graph->nodes = nodes;
    graph->room = room;
    return true;
}

static tb_node *add_node(tb_graph *graph, tb_op_kind op, size_t rows, size_t cols)
{
    assert(!graph->finished);
    tb_node *node = grow(graph) ? tb_arena_alloc(&graph->arena, sizeof *node) : NULL;
    if (!node)
        return fail(graph, TB_ENOMEM, "no memory for a node of a graph");
    node->op = op;
    node->rows = node->most_rows = rows;
    node->cols = cols;
    return graph->nodes[graph->count++] = node;
}

// A node computed from `a`, and `b` where that is given.
static tb_node *add_operation(tb_graph *graph, tb_op_kind op, tb_node *a, tb_node *b, size_t rows, size_t cols)
{
    tb_node *node = add_node(graph, op, rows, cols);
    if (!node)
        return NULL;
    node->a = a;
    node->b = b;
    node->batched = a->batched && rows == a->most_rows;
    node->learns = a->learns || (b && b->learns);
    return node;
}

static tb_node *add_elementwise(tb_graph *graph, tb_op_kind op, tb_node *a, double factor)
{
    tb_node *node = a ? add_operation(graph, op, a, NULL, a->most_rows, a->cols) : NULL;
    if (node)
        node->factor = factor;
    return node;
}

tb_node *tb_graph_input(tb_graph *graph, size_t rows, size_t cols, bool batched)
{
    tb_node *node = add_node(graph, TB_OP_INPUT, rows, cols);
    if (node)
        node->batched = batched;
    return node;
}

tb_node *tb_graph_param(tb_graph *graph, tb_param *param)
{
    tb_node *node = add_node(graph, TB_OP_PARAM, param->rows, param->cols);
    if (!node)
        return NULL;
    node->param = param;
    node->value = param->value;
    node->gradient = param->gradient;
    node->learns = param->gradient && !param->frozen;
    return node;
}

tb_node *tb_graph_matmul(tb_graph *graph, tb_node *a, tb_node *b)
{
    if (!a || !b)
        return NULL;
    if (a->cols != b->rows || b->batched)
        return fail(graph, TB_EINVAL, "the factors of a product do not fit");
    return add_operation(graph, TB_OP_MATMUL, a, b, a->most_rows, b->cols);
}

tb_node *tb_graph_packed(tb_graph *graph, tb_node *a, const tb_matrix *w, const tb_compute *compute)
{
    if (!a)
        return NULL;
    if (a->cols != w->cols || a->learns || tb_params_precision(graph->params) != TB_SINGLE)
        return fail(graph, TB_EINVAL, "a stored matrix does not fit what it multiplies");
    tb_node *node = add_operation(graph, TB_OP_PACKED, a, NULL, a->most_rows, w->rows);
    if (!node)
        return NULL;
    node->matrix = w;
    node->compute = compute;
    node->room = tb_arena_alloc(&graph->arena, tb_activations_room(compute, a->most_rows, a->cols, a->cols));
    node->scratch =
        tb_arena_array(&graph->arena, tb_matmul_scratch(compute, a->most_rows, w->cols), sizeof *node->scratch);
    return node->room && node->scratch ? node : fail(graph, TB_ENOMEM, "no memory for a node of a graph");
}

tb_node *tb_graph_add(tb_graph *graph, tb_node *a, tb_node *b)
{
    if (!a || !b)
        return NULL;
    if (a->most_rows != b->most_rows || a->cols != b->cols || a->batched != b->batched)
        return fail(graph, TB_EINVAL, "the terms of a sum do not fit");
    return add_operation(graph, TB_OP_ADD, a, b, a->most_rows, a->cols);
}

tb_node *tb_graph_add_row(tb_graph *graph, tb_node *a, tb_node *row)
{
    if (!a || !row)
        return NULL;
    if (row->most_rows != 1 || row->cols != a->cols)
        return fail(graph, TB_EINVAL, "a row does not fit the matrix it is added to");
    return add_operation(graph, TB_OP_ADD_ROW, a, row, a->most_rows, a->cols);
}

tb_node *tb_graph_scale(tb_graph *graph, tb_node *a, double factor)
{
    return add_elementwise(graph, TB_OP_SCALE, a, factor);
}

tb_node *tb_graph_swish(tb_graph *graph, tb_node *a)
{
    return add_elementwise(graph, TB_OP_SWISH, a, 0);
}

tb_node *tb_graph_tanh(tb_graph *graph, tb_node *a)
{
    return add_elementwise(graph, TB_OP_TANH, a, 0);
}

tb_node *tb_graph_leaky_relu(tb_graph *graph, tb_node *a, double slope)
{
    return add_elementwise(graph, TB_OP_LEAKY_RELU, a, slope);
}

tb_node *tb_graph_standardize(tb_graph *graph, tb_node *a)
{
    return add_elementwise(graph, TB_OP_STANDARDIZE, a, 0);
}

tb_node *tb_graph_nmse(tb_graph *graph, tb_node *y, tb_node *t)
{
    if (!y || !t)
        return NULL;
    if (y->most_rows != t->most_rows || y->cols != t->cols || y->batched != t->batched || t->learns)
        return fail(graph, TB_EINVAL, "a target does not fit what it is compared with");
    tb_node *node = add_operation(graph, TB_OP_NMSE, y, t, 1, 1);
    if (node)
        node->batched = false;
    return node;
}

tb_node *tb_graph_squares(tb_graph *graph, tb_node *a)
{
    tb_node *node = a ? add_operation(graph, TB_OP_SQUARES, a, NULL, 1, 1) : NULL;
    if (node)
        node->batched = false;
    return node;
}

tb_code tb_graph_finish(tb_graph *graph, tb_error *err)
{
    size_t bytes = tb_precision_bytes(tb_params_precision(graph->params));
    for (size_t i = 0; i < graph->count && !graph->failure.code; i++) {
        tb_node *node = graph->nodes[i];
        size_t size;
        if (node->op == TB_OP_PARAM)
            continue;
        bool fits = tb_mul_size(&size, node->most_rows, node->cols);
        node->value = fits ? tb_arena_array(&graph->arena, size, bytes) : NULL;
        if (node->learns && fits)
            node->gradient = tb_arena_array(&graph->arena, size, bytes);
        if (!node->value || (node->learns && !node->gradient))
            fail(graph, TB_ENOMEM, "no memory for the values of a graph");
    }
    graph->finished = true;
    return graph->failure.code ? tb_fail(err, graph->failure.code, "%s", graph->failure.message) : TB_OK;
}

// ---- running ----

void tb_graph_set_rows(tb_graph *graph, size_t rows)
{
    for (size_t i = 0; i < graph->count; i++)
        if (graph->nodes[i]->batched) {
            assert(rows <= graph->nodes[i]->most_rows);
            graph->nodes[i]->rows = rows;
        }
}

void tb_graph_set_threads(tb_graph *graph, size_t threads)
{
    graph->threads = threads;
}

void tb_graph_forward(tb_graph *graph)
{
    for (size_t i = 0; i < graph->count; i++) {
        tb_node *node = graph->nodes[i];
        if (graph->ops[node->op].forward)
            graph->ops[node->op].forward(node, graph->threads);
    }
}

void tb_graph_backward(tb_graph *graph, tb_node *loss)
{
    tb_precision precision = tb_params_precision(graph->params);
    for (size_t i = 0; i < graph->count; i++)
        if (graph->nodes[i]->learns)
            memset(graph->nodes[i]->gradient, 0, tb_node_size(graph->nodes[i]) * tb_precision_bytes(precision));
    if (precision == TB_DOUBLE)
        *(double *)loss->gradient = 1;
    else
        *(float *)loss->gradient = 1;
    for (size_t i = graph->count; i-- > 0;) {
        tb_node *node = graph->nodes[i];
        if (node->learns && graph->ops[node->op].backward)
            graph->ops[node->op].backward(node, graph->threads);
    }
}

// ---- access ----

size_t tb_node_rows(const tb_node *node)
{
    return node->rows;
}

size_t tb_node_cols(const tb_node *node)
{
    return node->cols;
}

void *tb_node_values(tb_node *node)
{
    return node->value;
}

double tb_node_get(const tb_graph *graph, const tb_node *node, size_t index)
{
    return tb_params_precision(graph->params) == TB_DOUBLE ? ((const double *)node->value)[index]
                                                           : (double)((const float *)node->value)[index];
}

void tb_node_set(const tb_graph *graph, tb_node *node, size_t index, double value)
{
    if (tb_params_precision(graph->params) == TB_DOUBLE)
        ((double *)node->value)[index] = value;
    else
        ((float *)node->value)[index] = (float)value;
}
