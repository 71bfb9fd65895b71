// How twobit reports failure: a code for programs, a sentence for people.
//
// Every fallible function returns tb_code (0 is success) and, when it fails, fills
// `err` with a sentence complete enough to be printed as it stands: lower case, the
// error first, the subject in single quotes, no full stop. `err` may be NULL.
#ifndef TWOBIT_ERROR_H
#define TWOBIT_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tb_code {
    TB_OK = 0,
    TB_ENOMEM,       // memory ran out
    TB_EIO,          // the operating system refused a read, write, open …
    TB_EFORMAT,      // outside bytes break their format
    TB_EUNSUPPORTED, // understood, but not something twobit does
    TB_EINVAL,       // an argument makes no sense
    TB_ELIMIT,       // a documented limit would be exceeded
    TB_ECANCELLED,   // a callback asked to stop
} tb_code;

typedef struct tb_error {
    tb_code code;
    char message[512]; // NUL-terminated UTF-8, cut at a character boundary if longer
} tb_error;

#ifdef __cplusplus
}
#endif

#endif
