// Line editing by libedit. Characters are read here, not by libedit: its own reading goes on after a
// signal, and with its own signal handling Ctrl-C would reach the whole process group a second time.
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/interrupt.h"
#include "cli/line_edit.h"

enum { HISTORY_LINES = 1000 };

struct tb_line_edit {
    EditLine *el;
    History *history;
    const char *prompt;
};

// libedit converts characters by the locale. Where that knows no UTF-8, the terminal mostly does.
static void set_character_locale(void)
{
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static char *get_prompt(EditLine *el)
{
    tb_line_edit *edit = NULL;
    el_get(el, EL_CLIENTDATA, &edit);
    return (char *)edit->prompt; // which libedit only reads
}

// After Ctrl-Z and `fg` the terminal is as the shell left it.
static void take_terminal_back(EditLine *el)
{
    el_set(el, EL_PREP_TERM, 0);
    el_set(el, EL_PREP_TERM, 1);
    el_set(el, EL_REFRESH);
}

// One byte: 1, 0 at the end, -1 after Ctrl-C.
static int read_byte(EditLine *el, char *byte)
{
    tb_wait what;
    while ((what = tb_interrupt_wait(STDIN_FILENO)) == TB_WAIT_CONTINUED)
        take_terminal_back(el);
    return what == TB_WAIT_READABLE ? (int)read(STDIN_FILENO, byte, 1) : -1;
}

// One character, as libedit wants it: 1, 0 or -1. What is not one is skipped.
static int read_character(EditLine *el, wchar_t *out)
{
    mbstate_t state = {0};
    char byte;
    int n;
    while ((n = read_byte(el, &byte)) == 1) {
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used <= 1)
            return 1;
        if (used == (size_t)-1)
            state = (mbstate_t){0};
    }
    return n;
}

static bool set_up(tb_line_edit *edit)
{
    HistEvent event;
    edit->history = history_init();
    edit->el = el_init("twobit", stdin, stderr, stderr);
    if (!edit->history || !edit->el)
        return false;
    history(edit->history, &event, H_SETSIZE, HISTORY_LINES);
    history(edit->history, &event, H_SETUNIQUE, 1);
    el_set(edit->el, EL_CLIENTDATA, edit);
    el_set(edit->el, EL_PROMPT, get_prompt);
    el_set(edit->el, EL_GETCFN, read_character);
    el_set(edit->el, EL_HIST, history, edit->history);
    el_set(edit->el, EL_EDITOR, "emacs");
    el_set(edit->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(edit->el, NULL); // the user's ~/.editrc
    return true;
}

tb_line_edit *tb_line_edit_new(void)
{
    const char *term = getenv("TERM");
    if (!term || strcmp(term, "dumb") == 0)
        return NULL;
    tb_line_edit *edit = tb_new(tb_line_edit);
    if (!edit)
        return NULL;
    set_character_locale();
    if (!set_up(edit)) {
        tb_line_edit_free(edit);
        return NULL;
    }
    return edit;
}

void tb_line_edit_free(tb_line_edit *edit)
{
    if (!edit)
        return;
    if (edit->el)
        el_end(edit->el);
    if (edit->history)
        history_end(edit->history);
    tb_free(edit);
}

static const char *edit_line(tb_line_edit *edit, int *count)
{
    el_set(edit->el, EL_PREP_TERM, 1); // before the prompt: who answers it at once, types into the editor
    return el_gets(edit->el, count);
}

tb_code tb_line_edit_read(tb_line_end *end, tb_str *line, tb_line_edit *edit, const char *prompt, tb_error *err)
{
    int count = 0;
    edit->prompt = prompt;
    const char *text = edit_line(edit, &count);
    *end = text && count > 0 ? TB_LINE_READ : tb_interrupt_requested() ? TB_LINE_INTERRUPTED : TB_LINE_CLOSED;
    if (*end != TB_LINE_READ)
        return TB_OK;
    size_t size = strcspn(text, "\n");
    tb_code rc = tb_str_append(line, text, size, err);
    HistEvent event;
    if (!rc && size > 0)
        history(edit->history, &event, H_ENTER, line->data + line->size - size);
    return rc;
}
