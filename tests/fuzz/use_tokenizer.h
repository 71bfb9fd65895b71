// For fuzz targets of vocabularies: what every tokenizer that can be made must bear.
#ifndef TB_FUZZ_USE_TOKENIZER_H
#define TB_FUZZ_USE_TOKENIZER_H

#include "text/text.h"

// Makes a tokenizer if it can be made, encodes and decodes texts with it, and ends the process
// when something does not hold.
void use_tokenizer(const tb_vocab *vocab);

#endif
