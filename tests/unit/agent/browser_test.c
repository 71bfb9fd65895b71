// A real browser on pages of our own: what is seen of them, and what can be done. One browser serves all tests; each
// opens its page anew.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/browser/browser.h"
#include "net/net.h"

static const char *site_script; // the program's argument

typedef struct fixture {
    tb_process *site;
    int to_site;
    int port;
    tb_browser *browser;
    char downloads[40], upload[60];
    const char *uploads[1];
    tb_browser_site sites[2];
    tb_observation seen;
} fixture;

// ---- the site and the browser ----

static void start_site(fixture *f)
{
    int in[2], out[2];
    assert_true(pipe(in) == 0 && pipe(out) == 0);
    const int descriptors[] = {in[0], out[1], STDERR_FILENO};
    tb_process_options options = {.arguments = (const char *const[]){"python3", site_script, NULL},
                                  .descriptors = descriptors,
                                  .descriptor_count = 3};
    tb_error err = {0};
    if (tb_process_start(&f->site, &options, &err))
        fail_msg("%s", err.message);
    close(in[0]);
    close(out[1]);
    f->to_site = in[1];
    char text[20] = {0};
    for (size_t n = 0; n < sizeof text - 1 && !strchr(text, '\n'); n++)
        assert_int_equal(read(out[0], text + n, 1), 1);
    close(out[0]);
    f->port = atoi(text);
}

static int set_up(void **state)
{
    static fixture fix;
    fixture *f = *state = &fix;
    signal(SIGPIPE, SIG_IGN);
    memcpy(f->downloads, "/tmp/browser_test.XXXXXX", sizeof "/tmp/browser_test.XXXXXX");
    assert_non_null(mkdtemp(f->downloads));
    snprintf(f->upload, sizeof f->upload, "%s.txt", f->downloads);
    assert_int_equal(tb_file_write(f->upload, "text", 4, NULL), TB_OK);
    f->uploads[0] = f->upload;
    start_site(f);
    f->sites[0] = (tb_browser_site){.host = "localhost", .port = f->port, .user = "ann", .password = "secret"};
    f->sites[1] = (tb_browser_site){.host = "127.0.0.1", .port = f->port};
    tb_browser_options options = {.width = 1280,
                                  .height = 900,
                                  .downloads = f->downloads,
                                  .uploads = f->uploads,
                                  .upload_count = 1,
                                  .sites = f->sites,
                                  .site_count = 2,
                                  .time_scale = 10}; // no test may fail because the machine is busy
    tb_error err = {0};
    if (tb_browser_open(&f->browser, &options, NULL, &err))
        fail_msg("%s", err.message);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    tb_observation_clear(&f->seen);
    tb_browser_close(f->browser);
    close(f->to_site);
    tb_process_close(f->site);
    DIR *folder = opendir(f->downloads);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", f->downloads, entry->d_name);
        unlink(path);
    }
    closedir(folder);
    unlink(f->upload);
    return rmdir(f->downloads);
}

static const char *look_with(fixture *f, tb_observe_options options)
{
    tb_error err = {0};
    tb_observation_clear(&f->seen);
    if (tb_browser_observe(&f->seen, f->browser, &options, &err))
        fail_msg("%s", err.message);
    return f->seen.text.data;
}

static const char *look(fixture *f)
{
    return look_with(f, (tb_observe_options){0});
}

static void visit(fixture *f, const char *path)
{
    char url[100];
    tb_error err = {0};
    snprintf(url, sizeof url, "http://localhost:%d%s", f->port, path);
    if (tb_browser_visit(f->browser, url, &err))
        fail_msg("%s", err.message);
    look(f);
}

static bool sees(const fixture *f, const char *what)
{
    return strstr(f->seen.text.data, what) != NULL;
}

static void assert_sees(const fixture *f, const char *what)
{
    if (!sees(f, what))
        fail_msg("'%s' is not in:\n%s", what, f->seen.text.data);
}

// The number of the element whose line, or the line below it, has a text.
static int number_of(const fixture *f, const char *what)
{
    const char *at = strstr(f->seen.text.data, what);
    if (!at)
        fail_msg("'%s' is not in:\n%s", what, f->seen.text.data);
    while (at > f->seen.text.data && !(at[0] == '[' && at[1] >= '0' && at[1] <= '9'))
        at--;
    return atoi(at + 1);
}

// ---- actions ----

static tb_action_result result; // of the last action

static void do_action(fixture *f, const char *name, json_t *params)
{
    tb_error err = {0};
    tb_action_result_clear(&result);
    if (tb_browser_act(&result, f->browser, name, params, &err))
        fail_msg("%s", err.message);
    json_decref(params);
}

static void act(fixture *f, const char *name, json_t *params)
{
    do_action(f, name, params);
    if (result.failed)
        fail_msg("%s: %s", name, tb_str_get(&result.text));
    look(f);
}

static void assert_refuses(fixture *f, const char *name, json_t *params, const char *sentence)
{
    do_action(f, name, params);
    assert_true(result.failed);
    if (!strstr(tb_str_get(&result.text), sentence))
        fail_msg("'%s' does not say '%s'", tb_str_get(&result.text), sentence);
}

static json_t *at(fixture *f, const char *what)
{
    return json_pack("{s:i}", "index", number_of(f, what));
}

static void click(fixture *f, const char *what)
{
    act(f, "click", at(f, what));
}

// ---- what is seen ----

static void observe__puts_frames_in_their_places(void **state)
{
    fixture *f = *state;
    visit(f, "/frames");
    const char *same = strstr(f->seen.text.data, "title=same"), *apart = strstr(f->seen.text.data, "title=apart");
    assert_non_null(same);
    assert_non_null(apart);
    const char *first = strstr(f->seen.text.data, "Inner button"), *second = strstr(first + 1, "Inner button");
    assert_non_null(second);
    assert_true(same < first && first < apart && apart < second);
    assert_int_equal(f->seen.counts.frames, 2);
    // Chromium's own tree of the page has nothing of what its frames show.
    json_t *tree;
    tb_error err = {0};
    assert_int_equal(tb_devtools_call(&tree, tb_browser_get_devtools(f->browser), tb_browser_get_session(f->browser),
                                      "Accessibility.getFullAXTree", NULL, TB_DEVTOOLS_MS, &err),
                     TB_OK);
    char *text = json_dumps(tree, 0);
    assert_non_null(strstr(text, "Frames"));
    assert_null(strstr(text, "Inner button"));
    free(text);
    json_decref(tree);
}

static void click__reaches_into_frames_of_this_and_of_other_processes(void **state)
{
    fixture *f = *state;
    visit(f, "/frames");
    click(f, "Inner button");
    const char *said = strstr(f->seen.text.data, "inner was clicked");
    assert_non_null(said);
    assert_null(strstr(said + 1, "inner was clicked"));
    const char *apart = strstr(f->seen.text.data, "title=apart");
    const char *button = strstr(apart, "<button");
    while (*button != '[')
        button--;
    act(f, "click", json_pack("{s:i}", "index", atoi(button + 1)));
    apart = strstr(f->seen.text.data, "title=apart");
    assert_non_null(strstr(apart, "inner was clicked"));
    assert_null(strstr(tb_str_get(&result.text), "by script"));
}

static void observe__shows_open_and_closed_shadow_roots(void **state)
{
    fixture *f = *state;
    visit(f, "/shadow");
    assert_sees(f, "Open Shadow\n");
    assert_sees(f, "Closed Shadow\n");
    assert_sees(f, "Shadow End\n");
    assert_int_equal(f->seen.counts.shadow_roots, 2);
    click(f, "Closed button");
    assert_sees(f, "closed was clicked");
    click(f, "Open button");
    assert_sees(f, "open was clicked");
}

static void observe__shows_fields_as_they_are_now(void **state)
{
    fixture *f = *state;
    visit(f, "/fields");
    assert_sees(f, "<input id=u name=user value=before placeholder=Username />");
    assert_sees(f, "type=date name=day format=YYYY-MM-DD");
    assert_sees(f, "compound_components=(name=Options,role=listbox,count=5,options=Lowest|Low|Normal|High)");
    assert_sees(f, "\n<button disabled=true />\n\tDisabled\n"); // without a number
    assert_sees(f, "<button title=Compose />\n\tCompose\n");    // without the letter of an icon font
    assert_sees(f, "contenteditable=true");
    assert_false(sees(f, "hidden-secret"));
}

static void observe__numbers_what_can_be_hit_and_nothing_else(void **state)
{
    fixture *f = *state;
    visit(f, "/things");
    assert_true(number_of(f, "Pointer span") > 0);
    assert_sees(f, "<div id=listens />\n\tListener");
    assert_sees(f, "|scroll element[");
    assert_sees(f, "(0.0 pages above, 3.0 pages below)");
    assert_false(sees(f, "Hidden from readers") || sees(f, "Transparent") || sees(f, "Invisible") ||
                 sees(f, "Not there"));
    assert_false(sees(f, "/>\n\tCovered") || sees(f, "/>\n\tUntouchable"));
    assert_false(sees(f, "Far button"));
    assert_sees(f, "0 interactive elements above, 1 below");
    assert_int_equal(f->seen.listed, 3);
    look_with(f, (tb_observe_options){.full_page = true});
    assert_sees(f, "Far button");
}

static void observe__keeps_numbers_and_marks_what_is_new(void **state)
{
    fixture *f = *state;
    visit(f, "/replaced");
    int save = number_of(f, "Save"), replace = number_of(f, "Replace");
    assert_null(strchr(f->seen.page.data, '*'));
    look(f);
    assert_int_equal(number_of(f, "Save"), save);
    click(f, "Replace\n");
    assert_int_equal(number_of(f, "\tReplace"), replace);
    assert_true(number_of(f, "\tSave") > replace);
    assert_sees(f, "*[");
}

static void observe__cuts_a_large_page_and_asks_only_about_what_is_near(void **state)
{
    fixture *f = *state;
    visit(f, "/big");
    assert_true(f->seen.counts.elements > 10000); // and as many texts
    assert_true(f->seen.listed < 400);
    assert_true(f->seen.page.size <= TB_PAGE_CHARS);
    look_with(f, (tb_observe_options){.page_chars = 1000});
    assert_true(f->seen.page.size < 1000 + 200);
    assert_sees(f, "was cut at 1000 characters");
}

static void observe__ends_on_pages_that_never_stop_loading(void **state)
{
    fixture *f = *state;
    visit(f, "/polling");
    assert_sees(f, "Polling");
    visit(f, "/stream");
    assert_sees(f, "Streaming");
}

static void markdown__keeps_headings_lists_and_tables(void **state)
{
    fixture *f = *state;
    visit(f, "/article");
    tb_str text = {0};
    assert_int_equal(tb_browser_read_markdown(&text, f->browser, false, false, NULL), TB_OK);
    assert_string_equal(tb_str_get(&text), "## Prices **now**\n\nAll in euro.\n\n- one\n- two\n  - deep\n\n"
                                           "| what | price |\n| --- | --- |\n| tea\\|pot | 3 |\n\n"
                                           "```\na  b\nc\n```\n\nyes\n");
    tb_str_reset(&text);
    assert_int_equal(tb_browser_read_markdown(&text, f->browser, true, false, NULL), TB_OK);
    assert_non_null(strstr(tb_str_get(&text), "[euro](http://localhost:"));
    tb_str_clear(&text);
}

// ---- what is done ----

static void click__goes_to_what_is_far_away_and_to_what_only_listens(void **state)
{
    fixture *f = *state;
    visit(f, "/things");
    click(f, "Pointer span");
    assert_sees(f, "span was clicked");
    click(f, "Listener");
    assert_sees(f, "listener was clicked");
    look_with(f, (tb_observe_options){.full_page = true});
    click(f, "Far button");
    look_with(f, (tb_observe_options){.full_page = true});
    assert_sees(f, "far was clicked");
}

static void click__says_when_something_covers_the_element(void **state)
{
    fixture *f = *state;
    visit(f, "/late");
    int under = number_of(f, "Under");
    click(f, "Show cover");
    act(f, "click", json_pack("{s:i}", "index", under));
    assert_non_null(strstr(tb_str_get(&result.text), "covered by div"));
    assert_sees(f, "covered was clicked");
}

static void dialogs__are_answered_and_told(void **state)
{
    fixture *f = *state;
    visit(f, "/dialogs");
    click(f, "\talert");
    assert_sees(f, "A dialog was accepted: [alert] hello");
    assert_sees(f, "alerted");
    click(f, "\tconfirm");
    assert_sees(f, "confirm gave true");
    click(f, "\tprompt");
    assert_sees(f, "A dialog was dismissed: [prompt] who?");
    assert_sees(f, "prompt gave null");
    click(f, "\tmousedown");
    assert_sees(f, "[alert] early");
    act(f, "input", json_pack("{s:i, s:s}", "index", number_of(f, "name=leave"), "text", "x"));
    visit(f, "/other");
    assert_sees(f, "[beforeunload]");
    assert_sees(f, "Another page");
}

static void index__of_a_page_that_was_left_is_an_error(void **state)
{
    fixture *f = *state;
    visit(f, "/things");
    int old = number_of(f, "Pointer span");
    visit(f, "/other");
    assert_refuses(f, "click", json_pack("{s:i}", "index", old), "the page changed");
    act(f, "go_back", json_object());
    assert_refuses(f, "click", json_pack("{s:i}", "index", old), "the page changed");
    assert_refuses(f, "click", json_pack("{s:i}", "index", 1000000), "does not exist");
    assert_refuses(f, "click", json_object(), "'index' is missing");
}

static void index__of_an_element_that_was_replaced_by_its_like_leads_there(void **state)
{
    fixture *f = *state;
    visit(f, "/replaced");
    int old = number_of(f, "Save");
    do_action(f, "click", at(f, "Replace\n"));
    do_action(f, "click", json_pack("{s:i}", "index", old));
    assert_false(result.failed);
    assert_non_null(strstr(tb_str_get(&result.text), "was replaced by"));
    look(f);
    assert_string_equal(f->seen.title.data, "saved");
}

static void tabs__that_a_page_opens_come_to_the_front(void **state)
{
    fixture *f = *state;
    const char *const openers[] = {"\tblank", "\topen"};
    for (size_t i = 0; i < 2; i++) {
        visit(f, "/tabs");
        click(f, openers[i]);
        assert_true(result.ends_list);
        assert_sees(f, "Another page");
        const char *tab = strstr(f->seen.text.data, "Current tab: ") + strlen("Current tab: ");
        char label[40] = {0};
        memcpy(label, tab, strcspn(tab, "\n"));
        // The one behind is drawn when it is in front again.
        tb_str picture = {0};
        tb_error err = {0};
        assert_int_equal(tb_browser_shoot(&picture, f->browser, &(tb_shot_options){0}, &err), TB_OK);
        assert_memory_equal(picture.data, "\x89PNG", 4);
        tb_str_clear(&picture);
        act(f, "close", json_pack("{s:s}", "tab_id", label));
        assert_sees(f, "\tblank");
    }
    assert_refuses(f, "switch", json_pack("{s:s}", "tab_id", "none"), "there is no tab 'none'");
}

static void downloads__get_safe_names_in_the_folder(void **state)
{
    fixture *f = *state;
    visit(f, "/tabs");
    char path[100];
    for (int i = 0; i < 2; i++) {
        click(f, "\tdownload");
        assert_sees(f, "Downloaded: ");
        snprintf(path, sizeof path, "%s/%s", f->downloads, i ? "re port (1).csv" : "re port.csv");
        char *text;
        size_t size;
        // Chromium itself may have replaced what is not safe.
        if (tb_file_read(&text, &size, path, 100, NULL)) {
            snprintf(path, sizeof path, "%s/%s", f->downloads, i ? "_re port (1).csv" : "_re port.csv");
            assert_int_equal(tb_file_read(&text, &size, path, 100, NULL), TB_OK);
        }
        assert_string_equal(text, "numbers");
        tb_free(text);
    }
}

static void input__fills_fields_of_every_kind(void **state)
{
    fixture *f = *state;
    visit(f, "/fields");
    act(f, "input", json_pack("{s:i, s:s}", "index", number_of(f, "name=user"), "text", "äöü 日本 x"));
    assert_sees(f, "name=user value=äöü 日本 x ");
    act(f, "input", json_pack("{s:i, s:s, s:b}", "index", number_of(f, "name=user"), "text", "!", "clear", 0));
    assert_sees(f, "日本 x!");
    act(f, "input", json_pack("{s:i, s:s}", "index", number_of(f, "name=lines"), "text", "one\ntwo"));
    assert_sees(f, "name=lines value=one two");
    act(f, "input", json_pack("{s:i, s:s}", "index", number_of(f, "id=free"), "text", "written"));
    assert_sees(f, "\twritten");
    assert_false(sees(f, "free text"));
    act(f, "input", json_pack("{s:i, s:s}", "index", number_of(f, "type=date"), "text", "2026-03-04"));
    assert_sees(f, "day 2026-03-04");
    act(f, "input", json_pack("{s:i, s:s}", "index", number_of(f, "name=suggest"), "text", "abc"));
    assert_sees(f, "key c");
    assert_sees(f, "name=suggest role=combobox value=abc");
    act(f, "input", json_pack("{s:i, s:s}", "index", number_of(f, "name=terminal"), "text", "ls"));
    assert_sees(f, "name=terminal value=ls "); // and not "llss"
    act(f, "input", json_pack("{s:i, s:s}", "index", number_of(f, "type=password"), "text", "new-secret"));
    assert_null(strstr(tb_str_get(&result.text), "secret"));
    click(f, "type=checkbox");
    assert_sees(f, "type=checkbox checked=true");
    click(f, "type=checkbox");
    assert_sees(f, "type=checkbox checked=false");
    click(f, "type=radio");
    assert_sees(f, "type=radio checked=true");
}

static void dropdowns__are_chosen_from_by_text_or_value(void **state)
{
    fixture *f = *state;
    visit(f, "/fields");
    assert_refuses(f, "click", at(f, "<select"), "use select_dropdown");
    act(f, "dropdown_options", at(f, "<select"));
    assert_non_null(strstr(tb_str_get(&result.text), "'High' (value 'h')"));
    act(f, "select_dropdown", json_pack("{s:i, s:s}", "index", number_of(f, "<select"), "text", " highest "));
    assert_sees(f, "chose Highest");
    act(f, "select_dropdown", json_pack("{s:i, s:s}", "index", number_of(f, "<select"), "text", "h"));
    assert_sees(f, "chose h");
    assert_refuses(f, "select_dropdown", json_pack("{s:i, s:s}", "index", number_of(f, "<select"), "text", "Never"),
                   "has no option 'Never'; there are: 'Lowest', 'Low'");
}

static void upload__takes_files_that_were_named_and_no_others(void **state)
{
    fixture *f = *state;
    visit(f, "/fields");
    assert_refuses(f, "click", at(f, "type=file"), "use upload_file");
    act(f, "upload_file", json_pack("{s:i, s:s}", "index", number_of(f, "type=file"), "path", f->upload));
    assert_sees(f, "file browser_test.");
    assert_refuses(f, "upload_file", json_pack("{s:i, s:s}", "index", number_of(f, "type=file"), "path", "/etc/passwd"),
                   "there is no file '/etc/passwd'");
    assert_refuses(f, "upload_file", json_pack("{s:i, s:s}", "index", number_of(f, "name=user"), "path", f->upload),
                   "no file field");
}

static void keys__are_pressed_by_name_and_anything_else_is_typed(void **state)
{
    fixture *f = *state;
    visit(f, "/fields");
    click(f, "name=user");
    act(f, "send_keys", json_pack("{s:s}", "keys", "Control+a"));
    act(f, "send_keys", json_pack("{s:s}", "keys", "typed"));
    assert_sees(f, "name=user value=typed ");
    act(f, "send_keys", json_pack("{s:s}", "keys", "backspace"));
    assert_sees(f, "name=user value=type ");
    act(f, "send_keys", json_pack("{s:s}", "keys", "Home"));
    act(f, "send_keys", json_pack("{s:s}", "keys", "Shift+End"));
    act(f, "send_keys", json_pack("{s:s}", "keys", "Delete"));
    assert_sees(f, "<input id=u name=user placeholder=Username />");
}

static void scroll__moves_pages_and_parts_and_tells_where(void **state)
{
    fixture *f = *state;
    visit(f, "/things");
    act(f, "scroll", json_object());
    assert_sees(f, "1.0 pages above");
    act(f, "scroll", json_pack("{s:b, s:i}", "down", 0, "pages", 1));
    assert_sees(f, "0.0 pages above");
    act(f, "scroll", json_pack("{s:i, s:f}", "index", number_of(f, "id=scroller"), "pages", 1.0));
    assert_sees(f, "(1.0 pages above, 2.0 pages below)");
    act(f, "scroll", json_pack("{s:i}", "pages", 10));
    assert_sees(f, "[End of page]");
    act(f, "find_text", json_pack("{s:s}", "text", "pointer SPAN"));
    assert_sees(f, "[Start of page]");
    assert_refuses(f, "find_text", json_pack("{s:s}", "text", "Not there"), "is not on the page");
}

static void search__looks_through_all_frames(void **state)
{
    fixture *f = *state;
    visit(f, "/frames");
    act(f, "search_page", json_pack("{s:s}", "pattern", "inner TEXT"));
    assert_non_null(strstr(tb_str_get(&result.text), "2 matches found"));
    act(f, "search_page", json_pack("{s:s, s:b}", "pattern", "F.ames", "regex", 1));
    assert_non_null(strstr(tb_str_get(&result.text), "1 matches found"));
    act(f, "search_page", json_pack("{s:s}", "pattern", "F.ames"));
    assert_non_null(strstr(tb_str_get(&result.text), "no matches found"));
    act(f, "find_elements", json_pack("{s:s}", "selector", "input[name=inside]"));
    assert_non_null(strstr(tb_str_get(&result.text), "2 elements found"));
    assert_refuses(f, "find_elements", json_pack("{s:s}", "selector", "]["), "the page refuses");
}

static void navigate__refuses_what_is_not_the_tasks(void **state)
{
    fixture *f = *state;
    char url[100];
    assert_refuses(f, "navigate", json_pack("{s:s}", "url", "file:///etc/passwd"), "no address of the web");
    assert_refuses(f, "navigate", json_pack("{s:s}", "url", "javascript:alert(1)"), "no address of the web");
    assert_refuses(f, "navigate", json_pack("{s:s}", "url", "http://example.com/"), "ERR_BLOCKED_BY_CLIENT");
    snprintf(url, sizeof url, "http://localhost:%d/none", f->port);
    act(f, "navigate", json_pack("{s:s}", "url", url));
    assert_non_null(strstr(tb_str_get(&result.text), "status 404"));
    snprintf(url, sizeof url, "http://localhost:%d/locked", f->port);
    act(f, "navigate", json_pack("{s:s, s:b}", "url", url, "new_tab", 1));
    assert_sees(f, "Unlocked");
    assert_refuses(f, "search", json_pack("{s:s}", "query", "x"), "no internet search");
    assert_refuses(f, "evaluate", json_object(), "there is no action 'evaluate'");
    assert_refuses(f, "clik", json_object(), "did you mean 'click'?");
}

static void save_as_pdf__writes_into_the_folder(void **state)
{
    fixture *f = *state;
    visit(f, "/other");
    act(f, "save_as_pdf", json_pack("{s:s}", "file_name", "../../saved"));
    char path[100], *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/saved.pdf", f->downloads);
    assert_int_equal(tb_file_read(&bytes, &size, path, 1 << 24, NULL), TB_OK);
    assert_memory_equal(bytes, "%PDF", 4);
    tb_free(bytes);
}

static void crash__is_told_and_the_next_page_works(void **state)
{
    fixture *f = *state;
    tb_error err = {0};
    visit(f, "/other");
    tb_browser_visit(f->browser, "chrome://crash", &err); // does not arrive
    look(f);
    assert_sees(f, "The page crashed");
    assert_sees(f, "Another page");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    site_script = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(observe__puts_frames_in_their_places),
        cmocka_unit_test(click__reaches_into_frames_of_this_and_of_other_processes),
        cmocka_unit_test(observe__shows_open_and_closed_shadow_roots),
        cmocka_unit_test(observe__shows_fields_as_they_are_now),
        cmocka_unit_test(observe__numbers_what_can_be_hit_and_nothing_else),
        cmocka_unit_test(observe__keeps_numbers_and_marks_what_is_new),
        cmocka_unit_test(observe__cuts_a_large_page_and_asks_only_about_what_is_near),
        cmocka_unit_test(observe__ends_on_pages_that_never_stop_loading),
        cmocka_unit_test(markdown__keeps_headings_lists_and_tables),
        cmocka_unit_test(click__goes_to_what_is_far_away_and_to_what_only_listens),
        cmocka_unit_test(click__says_when_something_covers_the_element),
        cmocka_unit_test(dialogs__are_answered_and_told),
        cmocka_unit_test(index__of_a_page_that_was_left_is_an_error),
        cmocka_unit_test(index__of_an_element_that_was_replaced_by_its_like_leads_there),
        cmocka_unit_test(tabs__that_a_page_opens_come_to_the_front),
        cmocka_unit_test(downloads__get_safe_names_in_the_folder),
        cmocka_unit_test(input__fills_fields_of_every_kind),
        cmocka_unit_test(dropdowns__are_chosen_from_by_text_or_value),
        cmocka_unit_test(upload__takes_files_that_were_named_and_no_others),
        cmocka_unit_test(keys__are_pressed_by_name_and_anything_else_is_typed),
        cmocka_unit_test(scroll__moves_pages_and_parts_and_tells_where),
        cmocka_unit_test(search__looks_through_all_frames),
        cmocka_unit_test(navigate__refuses_what_is_not_the_tasks),
        cmocka_unit_test(save_as_pdf__writes_into_the_folder),
        cmocka_unit_test(crash__is_told_and_the_next_page_works),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
