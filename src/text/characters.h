// Classes of characters as the library behind tokenizer.json has them.
#ifndef TB_CHARACTERS_H
#define TB_CHARACTERS_H

#include <stdbool.h>
#include <stdint.h>

// White space of any kind.
bool tb_is_space(uint32_t c);
// What \w means.
bool tb_is_word(uint32_t c);

#endif
