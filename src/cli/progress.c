#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/interrupt.h"

enum { BAR = 24, WIDTH_UNKNOWN = 80 };

// Seconds between two drawings.
static const double pause_seconds = 1.0 / 6;

void tb_progress_init(tb_progress *progress, bool quiet, bool verbose)
{
    const char *term = getenv("TERM");
    bool can_redraw = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    *progress = (tb_progress){.shows = can_redraw && !quiet, .quiet = quiet, .verbose = verbose};
}

void tb_progress_clear(tb_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}

static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return WIDTH_UNKNOWN;
}

// "0:36", "1:02:03"
static void format_time(char *out, size_t size, double seconds)
{
    unsigned long long s = (unsigned long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%llu:%02llu", s / 60, s % 60);
}

// Three digits or so, whatever the size of the number.
static void format_rate(char *out, size_t size, double rate)
{
    snprintf(out, size, "%.*f", rate < 1 ? 2 : rate < 100 ? 1 : 0, rate);
}

void tb_progress_format(char *line, size_t size, size_t width, const char *stage, double done, double begun_with,
                        double total, const char *unit, double seconds)
{
    char bar[BAR + 1] = "", left[128] = "";
    double share = total > 0 ? fmin(fmax(done / total, 0), 1) : 0;
    double rate = seconds > 0 ? (done - begun_with) / seconds : 0;
    for (size_t i = 0; i < BAR; i++)
        bar[i] = (double)i < share * BAR ? '#' : ' ';
    if (rate > 0) {
        char rate_text[32], time_text[32];
        format_rate(rate_text, sizeof rate_text, rate);
        format_time(time_text, sizeof time_text, fmin((total - done) / rate, 359999));
        snprintf(left, sizeof left, ", %s %s/s, %s left", rate_text, unit, time_text);
    }
    snprintf(line, size, "%s [%s] %.0f/%.0f %s%s", stage, bar, floor(done), total, unit, left);
    if (width < size && strlen(line) > width)
        line[width] = '\0';
}

static void draw(tb_progress *p, double now, double done, double total, const char *unit)
{
    char line[256];
    tb_progress_format(line, sizeof line, terminal_width() - 1, p->stage, done, p->begun_with, total, unit,
                       now - p->begun_at);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    p->drawn = true;
    p->drawn_at = now;
}

static bool on_progress(void *user, const char *stage, double done, double total, const char *unit)
{
    tb_progress *p = user;
    double now = tb_clock_seconds();
    if (strncmp(p->stage, stage, sizeof p->stage - 1) != 0) {
        snprintf(p->stage, sizeof p->stage, "%s", stage);
        p->begun_at = now;
        p->begun_with = done;
    }
    if (p->shows && now - p->drawn_at >= pause_seconds)
        draw(p, now, done, total, unit);
    return tb_interrupt_requested();
}

static void on_note(void *user, tb_note_level level, const char *text)
{
    tb_progress *p = user;
    bool wanted = level == TB_NOTE_WARNING || (level == TB_NOTE_INFO ? !p->quiet : p->verbose);
    if (!wanted)
        return;
    tb_progress_clear(p);
    fprintf(stderr, "twobit: %s%s\n", level == TB_NOTE_WARNING ? "warning: " : "", text);
}

tb_report tb_progress_report(tb_progress *progress)
{
    return (tb_report){.progress = on_progress, .note = on_note, .user = progress};
}
