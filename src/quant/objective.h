// What an error of the weights costs on the inputs of calibration: tr(D·H·Dᵀ) with D = W − Q.
#ifndef TB_QUANT_OBJECTIVE_H
#define TB_QUANT_OBJECTIVE_H

#include "quant/method.h"

// TB_EINVAL unless H[cols][cols] is finite.
tb_code tb_moments_check(const double *moments, size_t cols, tb_error *err);

// The cost of D, and that of W itself (NULL: not wanted), with the problem's moments.
tb_code tb_objective_measure(double *error, double *energy, const tb_matrix *quantized, const tb_quant_problem *problem,
                             size_t threads, tb_error *err);

#endif
