// The bytes of share/text, turned into arrays during the build (embed_text.c).
#ifndef TB_TEXT_EMBEDDED_H
#define TB_TEXT_EMBEDDED_H

#include <stddef.h>

extern const unsigned char tb_embedded_calibration[];
extern const size_t tb_embedded_calibration_size;
extern const unsigned char tb_embedded_heldout[];
extern const size_t tb_embedded_heldout_size;

#endif
