// Inside browser: what actions are made of.
#ifndef TB_ACT_H
#define TB_ACT_H

#include "agent/browser/action.h"
#include "agent/browser/page.h"

struct json_t;

// One action that is being done.
typedef struct tb_act {
    tb_browser *browser;
    const struct json_t *params;
    tb_action_result *result;
} tb_act;

// Each does its action; the failure of an action is no failure of theirs.
typedef tb_code tb_act_function(tb_act *act, tb_error *err);

tb_act_function tb_act_navigate, tb_act_search, tb_act_go_back, tb_act_wait, tb_act_switch,
    tb_act_close;                                                // action_tab.c
tb_act_function tb_act_click;                                    // action_click.c
tb_act_function tb_act_input;                                    // action_input.c
tb_act_function tb_act_send_keys;                                // action_keys.c
tb_act_function tb_act_scroll, tb_act_find_text;                 // action_scroll.c
tb_act_function tb_act_select_dropdown, tb_act_dropdown_options; // action_choose.c
tb_act_function tb_act_search_page, tb_act_find_elements;        // action_search.c
tb_act_function tb_act_upload_file, tb_act_save_as_pdf;          // action_file.c

// ---- action.c ----

// Tells why the action fails, in place of what was told so far.
tb_code tb_act_refuse(tb_act *act, tb_error *err, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// Tells what was done.
tb_code tb_act_say(tb_act *act, tb_error *err, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// Parameters; where one is missing or of another kind the action is refused and `out` is left alone.
tb_code tb_act_need_text(const char **out, tb_act *act, const char *name, tb_error *err);
bool tb_act_flag(const tb_act *act, const char *name, bool otherwise);
double tb_act_number(const tb_act *act, const char *name, double otherwise);

// Waits for the page, as after everything that may change it.
tb_code tb_act_settle(tb_act *act, tb_error *err);

// ---- element.c ----

// An element that is there now. Its object lives in a world of our own, which scripts of the page do not see, while
// it is used.
typedef struct tb_element {
    size_t number;
    tb_browser_id session, frame, tag;
    int64_t node;
    int context; // of our world in its frame
    tb_str object;
} tb_element;

// Finds the element that the action names by its index, and hands it on. Where it is gone the action is refused.
tb_code tb_act_on_element(tb_act *act, tb_code (*use)(tb_act *act, const tb_element *element, tb_error *err),
                          tb_error *err);

// Calls a function of JavaScript with the element as `this` and `arguments` (an array of plain values, taken; NULL:
// none). *value (for json_decref) is what it returns, or what the promise that it returns comes to. TB_EINVAL when it
// throws.
tb_code tb_element_call(struct json_t **value, const tb_element *element, tb_browser *browser, const char *function,
                        struct json_t *arguments, tb_error *err);

// The same in a frame, with the frame's document as `this`.
tb_code tb_frame_call(struct json_t **value, tb_browser *browser, const tb_browser_id *session,
                      const tb_browser_id *frame, const char *function, struct json_t *arguments, tb_error *err);

// The same in every frame of the tab in front: *values is an array of what each returned. `arguments` are borrowed.
tb_code tb_frames_call(struct json_t **values, tb_browser *browser, const char *function, struct json_t *arguments,
                       tb_error *err);

// Where an element is on the viewport of its session; false: nowhere in it.
tb_code tb_element_point(bool *out, double *x, double *y, const tb_element *element, tb_browser *browser,
                         tb_error *err);

// The corner of a session's viewport on that of the tab.
tb_code tb_session_offset(double *x, double *y, tb_browser *browser, const tb_browser_id *session, tb_error *err);

// ---- action_click.c ----

// Clicks an element as a person would, or by script where it is covered. `covered_by` is then the tag of what covers
// it.
tb_code tb_element_click(tb_browser_id *covered_by, const tb_element *element, tb_browser *browser, tb_error *err);

// ---- action_keys.c ----

// Presses and releases a key, "Enter" or "Control+a"; false: there is none of that name.
tb_code tb_press(bool *known, tb_browser *browser, const char *key, tb_error *err);

// Types text as one piece, as an input method does.
tb_code tb_insert(tb_browser *browser, const char *text, size_t size, tb_error *err);

// Types a character by its key.
tb_code tb_type_character(tb_browser *browser, const char *text, size_t size, tb_error *err);

#endif
