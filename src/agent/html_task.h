// Inside agent: one task of a report's page: what was asked, what was checked, what was done step by step.
#ifndef TB_AGENT_HTML_TASK_H
#define TB_AGENT_HTML_TASK_H

#include "agent/saas_report.h"

void tb_html_put_task(tb_markup *m, const tb_saas_report *report, const tb_tally *tally);

// The steps of a run. `shots`: the folder of its pictures as the page reaches it, "" for none; names are <step>.jpg.
void tb_html_put_trajectory(tb_markup *m, const tb_saas_run *run, const char *shots);

#endif
