#include "cli/number_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *tb_text_of_count(char out[TB_NUMBER_TEXT], uint64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    char *to = out;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}

const char *tb_text_of_seconds(char out[TB_NUMBER_TEXT], double seconds)
{
    unsigned long long s = (unsigned long long)(seconds + 0.5);
    if (seconds < 9.95)
        snprintf(out, TB_NUMBER_TEXT, "%.1f s", seconds);
    else if (s < 3600)
        snprintf(out, TB_NUMBER_TEXT, "%llu:%02llu", s / 60, s % 60);
    else
        snprintf(out, TB_NUMBER_TEXT, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
    return out;
}

const char *tb_text_of_real(char out[TB_NUMBER_TEXT], double value)
{
    double size = fabs(value);
    int decimals = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4;
    if (size >= 1e6)
        snprintf(out, TB_NUMBER_TEXT, "%.3g", value);
    else
        snprintf(out, TB_NUMBER_TEXT, "%.*f", decimals, value);
    return out;
}
