#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/number_text.h"

enum {
    BAR = 24,
    WIDTH_UNKNOWN = 80,
    LONGEST_SECONDS = 359999, // 99:59:59; what takes longer is not known so well
};

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

void tb_progress_format(char *line, size_t size, size_t width, const char *stage, double done, double begun_with,
                        double total, const char *unit, double seconds)
{
    char bar[BAR + 1] = "", left[128] = "";
    double share = total > 0 ? fmin(fmax(done / total, 0), 1) : 0;
    double rate = seconds > 0 ? (done - begun_with) / seconds : 0;
    for (size_t i = 0; i < BAR; i++)
        bar[i] = (double)i < share * BAR ? '#' : ' ';
    if (rate > 0) {
        char number[TB_NUMBER_TEXT], time[TB_NUMBER_TEXT];
        tb_text_of_real(number, rate);
        tb_text_of_seconds(time, fmin((total - done) / rate, LONGEST_SECONDS));
        snprintf(left, sizeof left, ", %s %s/s, %s left", number, unit, time);
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

static bool on_stopped(void *user)
{
    (void)user;
    return tb_interrupt_requested();
}

tb_report tb_progress_report(tb_progress *progress)
{
    return (tb_report){.progress = on_progress, .note = on_note, .stopped = on_stopped, .user = progress};
}
