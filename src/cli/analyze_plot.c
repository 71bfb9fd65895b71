#include "cli/analyze_plot.h"

#include <string.h>

#include "cli/plot.h"

enum { WIDTH = 1000, HEIGHT = 900, HIGHLIGHTED = 3, FEW_BLOCKS = 25 };

// One line per block: index, score, highlighted, place, ranks, factor on the perplexity.
static tb_code add_data(tb_str *s, const tb_analysis *a, const size_t *places, tb_error *err)
{
    tb_code rc = tb_str_append_text(s, "$blocks << END\n", err);
    for (size_t b = 0; b < a->block_count && !rc; b++) {
        const tb_block_analysis *x = &a->blocks[b];
        rc = tb_str_printf(s, err, "%zu %.9g %d %zu %.9g %.9g %.9g\n", b, x->score, places[b] <= HIGHLIGHTED, places[b],
                           x->effective_rank, x->random_rank, x->loss_increase);
    }
    return rc ? rc : tb_str_append_text(s, "END\n", err);
}

static const char *describe_score(const char *score)
{
    if (strcmp(score, "ppl") == 0)
        return "Score: nats per token that are lost when the block is skipped";
    if (strcmp(score, "v1") == 0)
        return "Score: mean of skipping loss, rank gap and energy gain, each scaled to 0 … 1";
    if (strcmp(score, "free") == 0)
        return "Score: share by which the weights' effective rank lies below that of random weights";
    return "Score: share by which the outputs' effective rank lies below that of random weights";
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static tb_code add_heading(tb_str *s, const tb_analysis *a, const char *model, tb_error *err)
{
    tb_str title = {0};
    tb_code rc = tb_str_printf(&title, err, "Which blocks of %s deserve more bits?", file_name(model));
    if (!rc)
        rc = tb_str_append_text(s, "set multiplot layout 3,1 margins 0.09,0.97,0.07,0.90 spacing 0,0.1 title ", err);
    if (!rc)
        rc = tb_plot_quote(s, tb_str_get(&title), err);
    tb_str_clear(&title);
    if (!rc)
        rc = tb_str_printf(
            s, err,
            " noenhanced font ',16'\n"
            "set xrange [-0.7:%zu-0.3]\nset xtics %d out nomirror\nset ytics out nomirror\n"
            "set border 3\nset grid ytics lt 1 lc rgb '#dddddd'\nset boxwidth 0.75\nset style fill solid noborder\n",
            a->block_count, a->block_count <= FEW_BLOCKS ? 1 : 5);
    return rc;
}

static tb_code add_panels(tb_str *s, const char *score, tb_error *err)
{
    return tb_str_printf(
        s, err,
        "set yrange [*<0:*]\n"
        "set key top center horizontal\n"
        "set title \"%s\" noenhanced\nset offsets 0,0,graph 0.15,0\n"
        "plot $blocks using 1:($3==0?$2:NaN) with boxes lc rgb '#9db4c8' notitle,"
        " '' using 1:($3==1?$2:NaN) with boxes lc rgb '#d1495b' title 'the %d best, numbered',"
        " '' using 1:2:($3==1?sprintf('%%d',$4):'') with labels offset 0,0.7 notitle\n"
        "set title 'Effective rank: how many directions the outputs of the projections use'\n"
        "plot $blocks using 1:6 with linespoints pt 6 lw 2 lc rgb '#888888' title 'random weights, same inputs',"
        " '' using 1:5 with linespoints pt 7 lw 2 lc rgb '#1f5f8b' title 'the model (lower: more structured)'\n"
        "set title 'What skipping the block costs: perplexity grows by this factor'\n"
        "set xlabel 'block (0 comes first, behind the embedding)'\nset logscale y\nset offsets 0,0,0,0\nset yrange "
        "[*:*]\n"
        "plot $blocks using 1:(exp($7)) with impulses lw 6 lc rgb '#9db4c8' notitle,"
        " '' using 1:(exp($7)) with points pt 7 lc rgb '#1f5f8b' notitle\n"
        "unset multiplot\n",
        describe_score(score), HIGHLIGHTED);
}

tb_code tb_analyze_plot(const char *path, const tb_analysis *a, const char *model, const char *score,
                        const size_t *places, tb_error *err)
{
    tb_str script = {0};
    tb_code rc = add_data(&script, a, places, err);
    if (!rc)
        rc = add_heading(&script, a, model, err);
    if (!rc)
        rc = add_panels(&script, score, err);
    if (!rc)
        rc = tb_plot_draw(path, script.data, WIDTH, HEIGHT, err);
    tb_str_clear(&script);
    return rc;
}
