// Numbers as people read them.
#ifndef TB_CLI_NUMBER_TEXT_H
#define TB_CLI_NUMBER_TEXT_H

#include <stddef.h>
#include <stdint.h>

// Room for any of these texts.
enum { TB_NUMBER_TEXT = 48 };

// 98,362,432
const char *tb_text_of_count(char out[TB_NUMBER_TEXT], uint64_t value);

// 0:36, 1:02:03; below ten seconds 0.4 s
const char *tb_text_of_seconds(char out[TB_NUMBER_TEXT], double seconds);

// Three significant digits or a few more, whatever the size: 0.0123, 4.57, 29.4, 1234
const char *tb_text_of_real(char out[TB_NUMBER_TEXT], double value);

#endif
