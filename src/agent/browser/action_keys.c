// Keys by their names, as browsers know them.
#include "agent/browser/act.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

enum { ALT = 1, CONTROL = 2, META = 4, SHIFT = 8 }; // bits of the protocol

typedef struct key_kind {
    const char *name, *code;
    int number;       // windowsVirtualKeyCode
    const char *text; // NULL: it types nothing
} key_kind;

static const key_kind keys[] = {
    {"Enter", "Enter", 13, "\r"},
    {"Tab", "Tab", 9, NULL},
    {"Escape", "Escape", 27, NULL},
    {"Backspace", "Backspace", 8, NULL},
    {"Delete", "Delete", 46, NULL},
    {"Space", "Space", 32, " "},
    {"ArrowUp", "ArrowUp", 38, NULL},
    {"ArrowDown", "ArrowDown", 40, NULL},
    {"ArrowLeft", "ArrowLeft", 37, NULL},
    {"ArrowRight", "ArrowRight", 39, NULL},
    {"Home", "Home", 36, NULL},
    {"End", "End", 35, NULL},
    {"PageUp", "PageUp", 33, NULL},
    {"PageDown", "PageDown", 34, NULL},
    {"Insert", "Insert", 45, NULL},
    {"F1", "F1", 112, NULL},
    {"F2", "F2", 113, NULL},
    {"F3", "F3", 114, NULL},
    {"F4", "F4", 115, NULL},
    {"F5", "F5", 116, NULL},
    {"F6", "F6", 117, NULL},
    {"F7", "F7", 118, NULL},
    {"F8", "F8", 119, NULL},
    {"F9", "F9", 120, NULL},
    {"F10", "F10", 121, NULL},
    {"F11", "F11", 122, NULL},
    {"F12", "F12", 123, NULL},
};

static const char *const aliases[][2] = {
    {"return", "Enter"},   {"esc", "Escape"},     {"del", "Delete"},       {"up", "ArrowUp"},
    {"down", "ArrowDown"}, {"left", "ArrowLeft"}, {"right", "ArrowRight"}, {"pgup", "PageUp"},
    {"pgdn", "PageDown"},  {"spacebar", "Space"}, {"ins", "Insert"},
};

static const struct {
    const char *name, *key;
    int bit, number;
} modifiers[] = {
    {"Control", "Control", CONTROL, 17}, {"Ctrl", "Control", CONTROL, 17}, {"Alt", "Alt", ALT, 18},
    {"Shift", "Shift", SHIFT, 16},       {"Meta", "Meta", META, 91},       {"Cmd", "Meta", META, 91},
};

// What Ctrl and a letter mean in a field. Headless Chromium has no menu that would know.
static const struct {
    char letter;
    const char *command;
} editing[] = {{'a', "selectAll"}, {'c', "copy"}, {'v', "paste"}, {'x', "cut"}, {'z', "undo"}};

static const key_kind *find_key(const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (strcasecmp(name, aliases[i][0]) == 0)
            name = aliases[i][1];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcasecmp(name, keys[i].name) == 0)
            return &keys[i];
    return NULL;
}

// A key that is to be pressed.
typedef struct stroke {
    char key[16], code[16], text[8]; // text "": it types nothing
    int number, modifiers;
    const char *command; // NULL: none
} stroke;

static void set_named(stroke *s, const key_kind *kind)
{
    snprintf(s->key, sizeof s->key, "%s", strcmp(kind->name, "Space") == 0 ? " " : kind->name);
    snprintf(s->code, sizeof s->code, "%s", kind->code);
    snprintf(s->text, sizeof s->text, "%s", kind->text ? kind->text : "");
    s->number = kind->number;
}

static void set_character(stroke *s, const char *text, size_t size)
{
    memcpy(s->key, text, size);
    memcpy(s->text, text, size);
    s->key[size] = s->text[size] = '\0';
    unsigned char c = (unsigned char)text[0];
    if (size == 1 && isalpha(c))
        snprintf(s->code, sizeof s->code, "Key%c", toupper(c));
    else if (size == 1 && isdigit(c))
        snprintf(s->code, sizeof s->code, "Digit%c", c);
    s->number = size == 1 && isalnum(c) ? toupper(c) : 0;
}

static tb_code send_stroke(tb_browser *browser, const stroke *s, const char *type, tb_error *err)
{
    const tb_tab *tab = tb_browser_front_tab(browser);
    json_t *params = json_pack("{s:s, s:s, s:s, s:i, s:i}", "type", type, "key", s->key, "code", s->code,
                               "windowsVirtualKeyCode", s->number, "modifiers", s->modifiers);
    bool types = s->text[0] && !(s->modifiers & (ALT | CONTROL | META)) && strcmp(type, "keyUp") != 0;
    if (params && types)
        json_object_set_new(params, "text", json_string(s->text));
    if (params && s->command && strcmp(type, "keyUp") != 0)
        json_object_set_new(params, "commands", json_pack("[s]", s->command));
    return tb_devtools_post(browser->devtools, tab ? tab->session.text : "", "Input.dispatchKeyEvent", params, err);
}

// Like the mouse's, these do not wait: a key may open a dialog.
static tb_code press_stroke(tb_browser *browser, const stroke *s, tb_error *err)
{
    bool types = s->text[0] && !(s->modifiers & (ALT | CONTROL | META));
    tb_code rc = send_stroke(browser, s, types ? "keyDown" : "rawKeyDown", err);
    return rc ? rc : send_stroke(browser, s, "keyUp", err);
}

static int find_modifier(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof modifiers / sizeof modifiers[0]; i++)
        if (strlen(modifiers[i].name) == size && strncasecmp(modifiers[i].name, name, size) == 0)
            return (int)i;
    return -1;
}

tb_code tb_press(bool *known, tb_browser *browser, const char *key, tb_error *err)
{
    stroke s = {0};
    *known = false;
    for (const char *plus; (plus = strchr(key, '+')) && plus > key && plus[1]; key = plus + 1) {
        int which = find_modifier(key, (size_t)(plus - key));
        if (which < 0)
            return TB_OK;
        s.modifiers |= modifiers[which].bit;
    }
    const key_kind *kind = find_key(key);
    uint32_t c;
    size_t size = strlen(key);
    bool is_character = size > 0 && tb_utf8_decode(&c, key, size) == size;
    if (!kind && (!is_character || !s.modifiers))
        return TB_OK;
    if (kind)
        set_named(&s, kind);
    else
        set_character(&s, key, size);
    for (size_t i = 0; i < sizeof editing / sizeof editing[0]; i++)
        if (s.modifiers == CONTROL && size == 1 && tolower((unsigned char)key[0]) == editing[i].letter)
            s.command = editing[i].command;
    *known = true;
    return press_stroke(browser, &s, err);
}

tb_code tb_insert(tb_browser *browser, const char *text, size_t size, tb_error *err)
{
    json_t *string = tb_json_text(text, size);
    return tb_browser_call(NULL, browser, "Input.insertText", json_pack("{s:o}", "text", string), err);
}

tb_code tb_type_character(tb_browser *browser, const char *text, size_t size, tb_error *err)
{
    stroke s = {0};
    bool known;
    if (size == 1 && (text[0] == '\n' || text[0] == '\r'))
        return tb_press(&known, browser, "Enter", err);
    if (size >= sizeof s.text)
        return tb_insert(browser, text, size, err);
    set_character(&s, text, size);
    return press_stroke(browser, &s, err);
}

// What is no key is a text.
tb_code tb_act_send_keys(tb_act *act, tb_error *err)
{
    const char *text = NULL;
    bool known = false;
    tb_code rc = tb_act_need_text(&text, act, "keys", err);
    if (rc || !text)
        return rc;
    rc = tb_press(&known, act->browser, text, err);
    if (!rc && !known)
        rc = tb_insert(act->browser, text, strlen(text), err);
    if (!rc)
        rc = tb_act_settle(act, err);
    return rc ? rc
              : tb_act_say(act, err, known ? "pressed %.100s" : "typed '%.100s', which is the name of no key", text);
}
