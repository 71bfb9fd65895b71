// "Did you mean": the smallest number of insertions, deletions, replacements and swaps of
// neighbours that turn one word into another (optimal string alignment).
#include "base/option.h"

#include <stdbool.h>
#include <string.h>

// Longer words are not compared; no command or option is longer.
enum { LONGEST = 31 };

static size_t least_of(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

static size_t distance(const char *a, const char *b)
{
    size_t d[LONGEST + 1][LONGEST + 1]; // d[i][j]: between the first i bytes of a and the first j of b
    size_t n = strlen(a), m = strlen(b);
    for (size_t i = 0; i <= n; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            bool same = a[i - 1] == b[j - 1];
            d[i][j] = least_of(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + !same);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    return d[n][m];
}

// A third of the letters may differ: "pertplexity" is meant to be "perplexity", "x" nothing. Whoever
// writes the beginning of a word means the word.
static bool is_close(size_t *d, const char *word, const char *candidate)
{
    size_t n = strlen(word), m = strlen(candidate);
    if (n > LONGEST || m > LONGEST)
        return false;
    bool begins = n >= 2 && strncmp(word, candidate, n) == 0;
    *d = begins ? 1 : distance(word, candidate);
    return begins || *d * 3 <= m;
}

const char *tb_suggest(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t best_distance = 0;
    for (size_t i = 0; i < count; i++) {
        size_t d;
        if (is_close(&d, word, candidates[i]) && (!best || d < best_distance)) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}
