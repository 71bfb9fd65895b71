#include "agent/saas_report.h"
#include "agent/secrets.h"

typedef tb_code append_fn(tb_str *out, const tb_saas_report *report, tb_error *err);

static tb_code write_one(const tb_saas_report *report, append_fn *append, const char *folder, const char *name,
                         tb_error *err)
{
    tb_str text = {0}, path = {0};
    tb_code rc = append(&text, report, err);
    if (!rc)
        rc = tb_hide_secrets(&text, err);
    if (!rc)
        rc = tb_str_printf(&path, err, "%s/%s", folder, name);
    if (!rc)
        rc = tb_file_write(path.data, text.data, text.size, err);
    tb_str_clear(&text);
    tb_str_clear(&path);
    return rc;
}

tb_code tb_report_write(const tb_saas_report *report, const char *folder, tb_error *err)
{
    static const struct {
        const char *name;
        append_fn *append;
    } files[] = {
        {"summary.json", tb_report_append_summary}, {"report.md", tb_report_append_markdown},
        {"results.csv", tb_report_append_csv},      {"junit.xml", tb_report_append_junit},
        {"report.html", tb_report_append_html},
    };
    tb_code rc = TB_OK;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && !rc; i++)
        rc = write_one(report, files[i].append, folder, files[i].name, err);
    return rc;
}
