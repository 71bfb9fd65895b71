#include "base/base.h"
#include "tensor/blas_check.h"
#include "tensor/tensor.h"

tb_code tb_compute_init(tb_compute *compute, tb_cpu cpu, size_t threads, tb_error *err)
{
    tb_kernels_init(&compute->kernels, cpu & tb_cpu_detect());
    compute->threads = threads ? threads : tb_cpu_count();
    return tb_blas_check(err);
}
