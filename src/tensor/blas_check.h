// Whether the BLAS library can be trusted on this processor.
#ifndef TB_TENSOR_BLAS_CHECK_H
#define TB_TENSOR_BLAS_CHECK_H

#include "twobit/error.h"

// Sets the library to one thread per call, then multiplies and factorizes small matrices whose
// results are known. TB_EUNSUPPORTED with the remedy when they come out wrong. The work is done
// once per process; later calls return the same verdict.
tb_code tb_blas_check(tb_error *err);

#endif
