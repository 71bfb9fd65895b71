// Attention with AVX-512.
#include "kernels/variants.h"

#include "kernels/x86/avx512.h"

// Sixteen sums, four keys or values and a query are 21 of 32 registers.
#define TOGETHER 4
#define REGISTERS 4

#define OP(x) x##_f32_avx512
#define ITEM float
#define LOAD(p) load_floats(p)
#define LOAD_FIRST(p, n) load_first_floats(p, n)
#include "kernels/x86/attention_tmpl.h"

#define OP(x) x##_f16_avx512
#define ITEM uint16_t
#define LOAD(p) load_halves(p)
#define LOAD_FIRST(p, n) load_first_halves(p, n)
#include "kernels/x86/attention_tmpl.h"

#define OP(x) x##_avx512
#include "kernels/x86/softmax_tmpl.h"
