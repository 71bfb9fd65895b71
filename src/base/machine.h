// What a measurement was made on.
#ifndef TB_BASE_MACHINE_H
#define TB_BASE_MACHINE_H

enum { TB_MACHINE_NAME = 128 };

// The processor's name as Linux knows it; "unknown processor" elsewhere. Returns `out`.
const char *tb_machine_name(char out[TB_MACHINE_NAME]);

#endif
