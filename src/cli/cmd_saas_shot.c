// twobit saas shot: what an agent would see of a page.
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "cli/cli.h"
#include "cli/json_out.h"

typedef struct shot_args {
    const char *output, *browser, *viewport;
    uint64_t page_chars, jpeg;
    double time_scale;
    bool full_page, show_href, headed, no_sandbox, json;
} shot_args;

static const shot_args defaults = {.viewport = "1280x900", .page_chars = TB_PAGE_CHARS, .time_scale = 1};

enum { MOST_PIXELS = 16384 }; // of the viewport, each way: more than Chromium draws at once

static const tb_option options[] = {
    {"output", 'o', TB_OPTION_TEXT, offsetof(shot_args, output), "FILE", 0, 0,
     "write the picture: PNG, or JPEG with --jpeg"},
    {"jpeg", 0, TB_OPTION_COUNT, offsetof(shot_args, jpeg), "Q", 1, 100, "write a JPEG of this quality"},
    {"viewport", 0, TB_OPTION_TEXT, offsetof(shot_args, viewport), "WxH", 0, 0, "size of the viewport in pixels"},
    {"page-chars", 0, TB_OPTION_COUNT, offsetof(shot_args, page_chars), "N", 1, 0, "cut the page's text there"},
    {"full-page", 0, TB_OPTION_FLAG, offsetof(shot_args, full_page), NULL, 0, 0,
     "list what is far from the viewport, too"},
    {"show-href", 0, TB_OPTION_FLAG, offsetof(shot_args, show_href), NULL, 0, 0, "show where links lead"},
    {"browser", 0, TB_OPTION_TEXT, offsetof(shot_args, browser), "PATH", 0, 0,
     "the browser; else what CHROME in the environment names, else chromium"},
    {"headed", 0, TB_OPTION_FLAG, offsetof(shot_args, headed), NULL, 0, 0, "show the browser's window"},
    {"no-sandbox", 0, TB_OPTION_FLAG, offsetof(shot_args, no_sandbox), NULL, 0, 0,
     "run the browser without its sandbox; always so for root"},
    {"time-scale", 0, TB_OPTION_REAL, offsetof(shot_args, time_scale), "X", 0.01, 1000, "multiply every time limit"},
    {"json", 0, TB_OPTION_FLAG, offsetof(shot_args, json), NULL, 0, 0,
     "print an object: url, title, text, counts, listed, seconds"},
    {0},
};

static const char *const examples[] = {
    "twobit saas shot http://localhost:8080/ -o page.png",
    "what an agent sees of a page: its text, and the picture",
    "twobit saas shot file:///usr/share/doc/index.html --full-page --show-href",
    "a file, all of it, with the addresses of links",
    NULL,
};

static const char notes[] =
    "A line is an element with its number, tag and attributes, or a text; TABs say what is in what. What an agent "
    "does, it\n"
    "does to a number. An element that is not new since the page was last looked at has no star. Needs a browser:\n"
    "'tools/install-apps chromium' installs Debian's.\n";

static tb_code parse_viewport(tb_cli *cli, tb_browser_options *out, const char *text, tb_error *err)
{
    unsigned width, height;
    int end = -1;
    if (sscanf(text, "%5ux%5u%n", &width, &height, &end) != 2 || text[end] || !width || !height ||
        width > MOST_PIXELS || height > MOST_PIXELS)
        return tb_fail_usage(cli, err, "'%s' is no size; write 1280x900", text);
    out->width = width;
    out->height = height;
    return TB_OK;
}

static json_t *counts_json(const tb_observation *o)
{
    const tb_page_counts *c = &o->counts;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "elements", (json_int_t)c->elements, "links",
                     (json_int_t)c->links, "interactive", (json_int_t)c->interactive, "frames", (json_int_t)c->frames,
                     "shadow_roots", (json_int_t)c->shadow_roots, "images", (json_int_t)c->images);
}

static tb_code print(const tb_observation *o, bool as_json, tb_error *err)
{
    if (!as_json) {
        fwrite(tb_str_get(&o->text), 1, o->text.size, stdout);
        return TB_OK;
    }
    json_t *object = json_pack("{s:s, s:s, s:s, s:o, s:I, s:o}", "url", tb_str_get(&o->url), "title",
                               tb_str_get(&o->title), "text", tb_str_get(&o->text), "counts", counts_json(o), "listed",
                               (json_int_t)o->listed, "seconds", tb_json_real(o->seconds));
    return tb_json_print(object, err);
}

static tb_code write_picture(tb_browser *browser, const shot_args *args, tb_error *err)
{
    tb_str picture = {0};
    tb_shot_options shot = {.jpeg_quality = (int)args->jpeg};
    tb_code rc = tb_browser_shoot(&picture, browser, &shot, err);
    if (!rc)
        rc = tb_file_write(args->output, picture.data, picture.size, err);
    tb_str_clear(&picture);
    return rc;
}

static tb_code run(tb_cli *cli, const void *user, tb_error *err)
{
    const shot_args *args = user;
    tb_browser_options browser_options = {.program = args->browser,
                                          .headed = args->headed,
                                          .no_sandbox = args->no_sandbox,
                                          .time_scale = args->time_scale};
    tb_observe_options observe = {
        .page_chars = args->page_chars, .full_page = args->full_page, .show_href = args->show_href};
    tb_browser *browser = NULL;
    tb_observation seen = {0};
    tb_code rc = cli->operands.count ? TB_OK : tb_fail_usage(cli, err, "the address is missing");
    if (!rc)
        rc = parse_viewport(cli, &browser_options, args->viewport, err);
    if (!rc && args->jpeg && !args->output)
        rc = tb_fail_usage(cli, err, "--jpeg has no picture to write; name one with -o");
    if (!rc && args->output)
        rc = tb_cli_check_output(args->output, err);
    if (!rc)
        rc = tb_browser_open(&browser, &browser_options, &cli->report, err);
    if (!rc)
        rc = tb_browser_visit(browser, cli->operands.items[0], err);
    if (!rc)
        rc = tb_browser_observe(&seen, browser, &observe, err);
    if (!rc && args->output)
        rc = write_picture(browser, args, err);
    if (!rc)
        rc = print(&seen, args->json, err);
    tb_observation_clear(&seen);
    tb_browser_close(browser);
    return rc;
}

const tb_command tb_command_saas_shot = {
    .name = "saas shot",
    .summary = "show a page as an agent sees it",
    .usage = "URL [options]",
    .examples = examples,
    .notes = notes,
    .most_operands = 1,
    .options = options,
    .defaults = &defaults,
    .args_size = sizeof defaults,
    .run = run,
};
