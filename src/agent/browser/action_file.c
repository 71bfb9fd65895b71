// Files that go into a page, and pages that become files. What may be given to a page is named beforehand.
#include "agent/browser/act.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

// The file field that is meant: the element, what is in it, or what it is a label of.
static const char find_field[] = "function() {"
                                 "  const is = e => e && e.localName === 'input' && e.type === 'file';"
                                 "  if (is(this)) return this;"
                                 "  const inner = this.querySelector('input[type=file]');"
                                 "  if (inner) return inner;"
                                 "  return is(this.control) ? this.control : null;"
                                 "}";

// The file's whole path where it is one of those that may be uploaded; NULL: it is not. Free with free.
static char *find_file(const tb_browser *browser, const char *name)
{
    const tb_browser_options *o = &browser->options;
    char *path = realpath(name, NULL);
    for (size_t i = 0; i < o->upload_count && !path; i++) { // by its name alone
        const char *slash = strrchr(o->uploads[i], '/');
        if (strcmp(slash ? slash + 1 : o->uploads[i], name) == 0)
            path = realpath(o->uploads[i], NULL);
    }
    bool allowed = false;
    for (size_t i = 0; i < o->upload_count && path && !allowed; i++) {
        char *known = realpath(o->uploads[i], NULL);
        allowed = known && strcmp(known, path) == 0;
        free(known);
    }
    char *folder = o->downloads ? realpath(o->downloads, NULL) : NULL;
    size_t n = folder ? strlen(folder) : 0;
    allowed = allowed || (path && n && strncmp(path, folder, n) == 0 && path[n] == '/');
    free(folder);
    if (allowed)
        return path;
    free(path);
    return NULL;
}

static tb_code give_file(tb_act *act, const tb_element *element, const char *path, tb_error *err)
{
    json_t *field = NULL;
    tb_browser *browser = act->browser;
    tb_code rc = tb_devtools_call(&field, browser->devtools, element->session.text, "Runtime.callFunctionOn",
                                  json_pack("{s:s, s:s, s:s}", "objectId", element->object.data, "functionDeclaration",
                                            find_field, "objectGroup", "act"),
                                  TB_DEVTOOLS_MS, err);
    tb_text object = tb_json_text_at(json_object_get(field, "result"), "objectId");
    if (!rc && !object.size)
        rc = tb_act_refuse(act, err, "element %zu is no file field, and has none", element->number);
    else if (!rc)
        rc = tb_devtools_call(NULL, browser->devtools, element->session.text, "DOM.setFileInputFiles",
                              json_pack("{s:[s], s:s}", "files", path, "objectId", object.data), TB_DEVTOOLS_MS, err);
    json_decref(field);
    if (!rc && !act->result->failed)
        rc = tb_act_settle(act, err);
    return rc || act->result->failed ? rc : tb_act_say(act, err, "gave the file to element %zu", element->number);
}

static tb_code upload(tb_act *act, const tb_element *element, tb_error *err)
{
    const char *name = NULL;
    tb_code rc = tb_act_need_text(&name, act, "path", err);
    if (rc || !name)
        return rc;
    char *path = find_file(act->browser, name);
    rc = path ? give_file(act, element, path, err)
              : tb_act_refuse(act, err, "there is no file '%.200s' to upload", name);
    free(path);
    return rc;
}

tb_code tb_act_upload_file(tb_act *act, tb_error *err)
{
    return tb_act_on_element(act, upload, err);
}

// ---- pages as files ----

// Inches.
static const struct {
    const char *name;
    double width, height;
} papers[] = {{"letter", 8.5, 11},  {"legal", 8.5, 14},  {"tabloid", 11, 17},
              {"a3", 11.69, 16.54}, {"a4", 8.27, 11.69}, {"a5", 5.83, 8.27}};

static json_t *print_params(const tb_act *act)
{
    const char *format = json_string_value(json_object_get(act->params, "paper_format"));
    json_t *params = json_pack("{s:b, s:b, s:f}", "landscape", tb_act_flag(act, "landscape", false), "printBackground",
                               tb_act_flag(act, "print_background", true), "scale", tb_act_number(act, "scale", 1));
    for (size_t i = 0; params && format && i < sizeof papers / sizeof papers[0]; i++)
        if (strcasecmp(format, papers[i].name) == 0) {
            json_object_set_new(params, "paperWidth", json_real(papers[i].width));
            json_object_set_new(params, "paperHeight", json_real(papers[i].height));
        }
    return params;
}

// A name without a folder, that ends in ".pdf".
static tb_code append_pdf_name(tb_str *out, const char *name, tb_error *err)
{
    const char *slash = strrchr(name, '/');
    name = slash ? slash + 1 : name;
    name += strspn(name, ".");
    tb_code rc = tb_append_clean(out, *name ? name : "page", 150, err);
    bool is_pdf = !rc && out->size > 4 && strcmp(out->data + out->size - 4, ".pdf") == 0;
    return rc || is_pdf ? rc : tb_str_append_text(out, ".pdf", err);
}

tb_code tb_act_save_as_pdf(tb_act *act, tb_error *err)
{
    const char *name = json_string_value(json_object_get(act->params, "file_name"));
    const tb_tab *tab = tb_browser_front_tab(act->browser);
    if (!act->browser->options.downloads)
        return tb_act_refuse(act, err, "there is no folder for files");
    tb_str path = {0}, pdf = {0};
    tb_code rc = tb_str_printf(&path, err, "%s/", act->browser->options.downloads);
    if (!rc)
        rc = append_pdf_name(&path, name ? name : tab ? tb_str_get(&tab->title) : "", err);
    if (!rc)
        rc = tb_browser_append_base64(&pdf, act->browser, "Page.printToPDF", print_params(act), err);
    if (!rc)
        rc = tb_file_write(path.data, pdf.data, pdf.size, err);
    if (!rc)
        rc = tb_act_say(act, err, "saved the page as '%.300s'", path.data);
    tb_str_clear(&path);
    tb_str_clear(&pdf);
    return rc;
}
