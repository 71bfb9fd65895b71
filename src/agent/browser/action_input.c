// Typing into a field: what was in it goes first, then the text comes as an input method would bring it. Fields with a
// picker of their own are set by script, for their keys differ from language to language.
#include "agent/browser/act.h"

#include <string.h>

#include <jansson.h>

// What kind of field it is, and what it contains.
static const char look[] =
    "function() {"
    "  const pickers = ['date', 'time', 'datetime-local', 'month', 'week', 'color', 'range'];"
    "  const field = this.localName === 'input' || this.localName === 'textarea';"
    "  const terminal = !!this.closest('.xterm');"
    "  return {"
    "    picker: this.localName === 'input' && pickers.includes(this.type),"
    "    file: this.localName === 'input' && this.type === 'file',"
    "    lines: this.localName === 'textarea' || this.isContentEditable || terminal,"
    "    secret: this.type === 'password', terminal, free: this.isContentEditable,"
    "    suggests: !!this.list || this.getAttribute('role') === 'combobox' || !!this.getAttribute('aria-autocomplete'),"
    "    value: field ? this.value : this.isContentEditable ? this.innerText : null"
    "  };"
    "}";

// Sets a field past what the page has put in front of it, and tells the page.
static const char set[] =
    "function(value) {"
    "  const kind = this.localName === 'textarea' ? HTMLTextAreaElement : HTMLInputElement;"
    "  if (this.isContentEditable) this.textContent = value;"
    "  else Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(this, value);"
    "  for (const name of ['input', 'change', 'blur']) this.dispatchEvent(new Event(name, {bubbles: true}));"
    "  return this.isContentEditable ? this.innerText : this.value;"
    "}";

// A field as `look` sees it.
typedef struct field {
    bool picker, file, lines, secret, terminal, free, suggests;
    tb_str value;
} field;

static tb_code read_field(field *f, const tb_element *element, tb_browser *browser, tb_error *err)
{
    json_t *value;
    tb_str kept = f->value;
    tb_code rc = tb_element_call(&value, element, browser, look, NULL, err);
    *f = (field){.picker = tb_json_bool_at(value, "picker", false),
                 .file = tb_json_bool_at(value, "file", false),
                 .lines = tb_json_bool_at(value, "lines", false),
                 .secret = tb_json_bool_at(value, "secret", false),
                 .terminal = tb_json_bool_at(value, "terminal", false),
                 .free = tb_json_bool_at(value, "free", false),
                 .suggests = tb_json_bool_at(value, "suggests", false),
                 .value = kept};
    tb_text text = tb_json_text_at(value, "value");
    tb_str_reset(&f->value);
    if (!rc)
        rc = tb_str_append(&f->value, text.data, text.size, err);
    json_decref(value);
    return rc;
}

static tb_code set_value(const tb_element *element, tb_browser *browser, const char *text, tb_error *err)
{
    return tb_element_call(NULL, element, browser, set, json_pack("[s]", text), err);
}

// A click puts the cursor where a person would; what cannot be clicked is focused.
static tb_code focus(const tb_element *element, tb_browser *browser, tb_error *err)
{
    tb_browser_id cover;
    tb_code rc = tb_element_click(&cover, element, browser, err);
    if (rc)
        return rc;
    rc = tb_devtools_call(NULL, browser->devtools, element->session.text, "DOM.focus",
                          json_pack("{s:I}", "backendNodeId", (json_int_t)element->node), TB_DEVTOOLS_MS, err);
    return rc == TB_EINVAL ? TB_OK : rc; // the click has done it, or nothing will
}

static tb_code empty(field *f, const tb_element *element, tb_browser *browser, tb_error *err)
{
    bool known;
    tb_code rc = tb_press(&known, browser, "Control+a", err);
    if (!rc)
        rc = tb_press(&known, browser, "Delete", err);
    if (!rc)
        rc = read_field(f, element, browser, err);
    bool is_empty = f->value.size == 0 || strcmp(f->value.data, "\n") == 0;
    return rc || is_empty || f->terminal ? rc : set_value(element, browser, "", err);
}

// Bytes of the last character.
static size_t last_character(const char *text, size_t size)
{
    size_t n = size ? 1 : 0;
    while (n < size && ((unsigned char)text[size - n] & 0xC0) == 0x80)
        n++;
    return n;
}

// A line; its last character by its key where the page makes suggestions when keys are pressed.
static tb_code type_line(tb_browser *browser, const char *text, size_t size, bool by_key, tb_error *err)
{
    size_t last = by_key ? last_character(text, size) : 0;
    tb_code rc = size > last ? tb_insert(browser, text, size - last, err) : TB_OK;
    return rc || !last ? rc : tb_type_character(browser, text + size - last, last, err);
}

static tb_code type(tb_browser *browser, const field *f, const char *text, tb_error *err)
{
    tb_code rc = TB_OK;
    bool known, by_key = f->suggests && !f->terminal;
    while (!rc && f->lines && strchr(text, '\n')) {
        size_t n = strcspn(text, "\n");
        rc = type_line(browser, text, n, by_key, err);
        if (!rc)
            rc = tb_press(&known, browser, "Enter", err);
        text += n + 1;
    }
    return rc ? rc : type_line(browser, text, strlen(text), by_key, err);
}

static tb_code fill(tb_act *act, field *f, const tb_element *element, const char *text, tb_error *err)
{
    tb_browser *browser = act->browser;
    if (f->picker)
        return set_value(element, browser, text, err);
    tb_code rc = focus(element, browser, err);
    if (!rc && tb_act_flag(act, "clear", true) && !f->terminal)
        rc = empty(f, element, browser, err);
    return rc ? rc : type(browser, f, text, err);
}

// What the field says in the end, where that is not what was typed.
static tb_code report(tb_act *act, field *f, const tb_element *element, const char *text, tb_error *err)
{
    tb_code rc = tb_act_say(act, err, "typed into element %zu", element->number);
    if (!rc)
        rc = read_field(f, element, act->browser, err);
    if (rc == TB_EINVAL)
        return TB_OK; // it went with its page
    bool as_asked = strcmp(tb_str_get(&f->value), text) == 0 || f->secret || f->terminal;
    return rc || as_asked ? rc : tb_act_say(act, err, "; the field now contains '%.300s'", tb_str_get(&f->value));
}

static tb_code input(tb_act *act, const tb_element *element, tb_error *err)
{
    field f = {0};
    const char *text = NULL;
    tb_code rc = tb_act_need_text(&text, act, "text", err);
    if (rc || !text)
        return rc;
    rc = read_field(&f, element, act->browser, err);
    if (!rc && f.file)
        rc = tb_act_refuse(act, err, "element %zu is a file field; use upload_file", element->number);
    else if (!rc) {
        rc = fill(act, &f, element, text, err);
        if (!rc)
            rc = tb_act_settle(act, err);
        if (!rc)
            rc = report(act, &f, element, text, err);
    }
    tb_str_clear(&f.value);
    return rc;
}

tb_code tb_act_input(tb_act *act, tb_error *err)
{
    return tb_act_on_element(act, input, err);
}
