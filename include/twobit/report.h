// How long work speaks to whoever started it: progress that may be cancelled, and notes. The library never prints.
#ifndef TWOBIT_REPORT_H
#define TWOBIT_REPORT_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tb_note_level {
    TB_NOTE_DETAIL,  // shown with -v
    TB_NOTE_INFO,    // shown unless -q
    TB_NOTE_WARNING, // always shown
} tb_note_level;

// A zeroed tb_report is silent. Calls come from the thread that runs the work.
typedef struct tb_report {
    // `stage` names the work ("calibrate", "block 3/30"); `done` of `total` in units of
    // `unit` ("tokens", "blocks"). Returning true asks the work to stop (TB_ECANCELLED).
    bool (*progress)(void *user, const char *stage, double done, double total, const char *unit);
    void (*note)(void *user, tb_note_level level, const char *text);
    // Asks whether to stop, where there is no progress to tell of.
    bool (*stopped)(void *user);
    void *user;
} tb_report;

#ifdef __cplusplus
}
#endif

#endif
