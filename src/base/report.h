// Speaking to whoever started the work, through the tb_report of twobit/report.h.
#ifndef TB_BASE_REPORT_H
#define TB_BASE_REPORT_H

#include "twobit/report.h"

// All accept NULL. tb_report_progress and tb_report_stopped return true when the work should stop.
bool tb_report_progress(const tb_report *report, const char *stage, double done, double total, const char *unit);
bool tb_report_stopped(const tb_report *report);
void tb_report_note(const tb_report *report, tb_note_level level, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

#endif
