#include "base/report.h"

#include <stdarg.h>
#include <stdio.h>

bool tb_report_progress(const tb_report *report, const char *stage, double done, double total, const char *unit)
{
    return report && report->progress && report->progress(report->user, stage, done, total, unit);
}

bool tb_report_stopped(const tb_report *report)
{
    return report && report->stopped && report->stopped(report->user);
}

void tb_report_note(const tb_report *report, tb_note_level level, const char *format, ...)
{
    if (!report || !report->note)
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report->note(report->user, level, text);
}
