// What comes of a result folder, for programs and for people. Texts in results come from models and from pages: each
// writer escapes them for its format.
#ifndef TB_AGENT_SAAS_REPORT_H
#define TB_AGENT_SAAS_REPORT_H

#include "agent/metrics.h"

typedef struct tb_saas_report {
    const tb_metrics *metrics;
    const char *model; // as it is to be called
    const char *tasks_dir;
    const char *tasks_hash; // of the texts of all tasks (tb_tasks_hash)
    const tb_facts *facts;  // NULL: nothing is known of the tasks
} tb_saas_report;

// summary.json: the members of the official one, and `twobit`.
tb_code tb_report_append_summary(tb_str *out, const tb_saas_report *report, tb_error *err);

// report.md, in the official order of chapters, with the strict numbers behind.
tb_code tb_report_append_markdown(tb_str *out, const tb_saas_report *report, tb_error *err);

// results.csv: one row per task and run.
tb_code tb_report_append_csv(tb_str *out, const tb_saas_report *report, tb_error *err);

// junit.xml: one test case per task and run; what broke outside the agent is an error.
tb_code tb_report_append_junit(tb_str *out, const tb_saas_report *report, tb_error *err);

// report.html: one page with everything inside. Pictures of steps are linked where they lie beside it.
tb_code tb_report_append_html(tb_str *out, const tb_saas_report *report, tb_error *err);

// Writes summary.json, report.md, results.csv, junit.xml and report.html into a folder, each at once.
tb_code tb_report_write(const tb_saas_report *report, const char *folder, tb_error *err);

// "1h 1m 1s", "1m 1s", "1s"
enum { TB_DURATION_TEXT = 64 };
const char *tb_duration_text(char out[TB_DURATION_TEXT], double seconds);

// Appends the agent's last words in one line of at most 80 characters.
tb_code tb_append_preview(tb_str *out, const tb_tally *tally, const tb_results *results, tb_error *err);

#endif
