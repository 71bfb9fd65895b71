// quant: quantizers as pure functions of weights and second moments, and the one pipeline
// that knows files. Sources: RTN (round to nearest), clip (the clipping search of AWQ's code, weighted by inputs), HQQ
// (Badri and Shaji, mobiusml.github.io/hqq_blog, 2023), AWQ (Lin et al., arXiv 2306.00978), GPTQ (Frantar et al., arXiv
// 2210.17323), BPDQ (Chen et al., arXiv 2602.04163), PTQTP (arXiv 2509.16989).
#ifndef TB_QUANT_H
#define TB_QUANT_H

#include "quant/allocate.h"
#include "quant/analyze.h"
#include "quant/lieq.h"
#include "quant/method.h"
#include "quant/options.h"
#include "quant/pipeline.h"

#endif
