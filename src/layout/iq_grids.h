// The lattices of the IQ types: each point is a word of small steps, and each type says what
// value a step stands for.
#ifndef TB_LAYOUT_IQ_GRIDS_H
#define TB_LAYOUT_IQ_GRIDS_H

#include <stdint.h>

// Points of eight values: step j in bits 2j and 2j+1, 0 … 2.
extern const uint16_t tb_iq1_grid[2048];
extern const uint16_t tb_iq2_xxs_grid[256];
extern const uint16_t tb_iq2_xs_grid[512];
extern const uint16_t tb_iq2_s_grid[1024];

// Points of four values: step j in bits 3j … 3j+2, 0 … 7.
extern const uint16_t tb_iq3_xxs_grid[256];
extern const uint16_t tb_iq3_s_grid[512];

#endif
