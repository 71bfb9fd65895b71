// The pipeline on a tiny model: what is written, what an interruption leaves, what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quant/calibration.h"
#include "quant/quant.h"
#include "run_pipeline.h"
#include "tiny_model.h"

#define SOURCE "source.gguf"
#define OUT "out.gguf"
#define PARTIAL "out.gguf.partial"

static tb_error err;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != TB_OK)                                                                                           \
            fail_msg("%s", err.message);                                                                               \
    } while (0)

// ---- a folder of its own for every test ----

static char folder[64];

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/twobit-pipeline-XXXXXX");
    return !mkdtemp(folder) || chdir(folder) != 0;
}

static int leave_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") != 0 || system(command) != 0;
}

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

// ---- models and runs ----

static tb_model *open_model_at(const char *path, size_t threads, const char *level)
{
    tb_model *model;
    tb_model_options options = {.threads = threads, .cpu = level};
    OK(tb_model_open(&model, path, &options, &err));
    return model;
}

static tb_model *open_model(const char *path, size_t threads)
{
    return open_model_at(path, threads, NULL);
}

static tb_model *tiny(const tiny_model *shape, size_t threads)
{
    OK(tiny_model_write(SOURCE, shape, &err));
    return open_model(SOURCE, threads);
}

// 4 windows of 64 tokens: quick.
static tb_pipeline_options quick(tb_method method)
{
    return (tb_pipeline_options){.method = method, .quant = {.group = 32}, .calibration_tokens = 256, .window = 64};
}

// Texts of all notes, one after the other.
typedef struct notes {
    tb_str warnings, infos;
} notes;

static void take_note(void *user, tb_note_level level, const char *text)
{
    notes *n = user;
    if (level != TB_NOTE_DETAIL)
        OK(tb_str_printf(level == TB_NOTE_WARNING ? &n->warnings : &n->infos, &err, "%s\n", text));
}

static void notes_clear(notes *n)
{
    tb_str_clear(&n->warnings);
    tb_str_clear(&n->infos);
}

typedef struct file_bytes {
    char *data;
    size_t size;
} file_bytes;

static file_bytes read_file(const char *path)
{
    file_bytes f;
    OK(tb_file_read(&f.data, &f.size, path, 1 << 24, &err));
    return f;
}

// ---- what is written ----

static void check_linears(const tb_model *source, const tb_model *written, tb_method method)
{
    for (size_t b = 0; b < 2; b++)
        for (size_t i = 0; i < tb_model_linears(source, b).count; i++) {
            const tb_matrix *from = &tb_model_linears(source, b).at[i].matrix,
                            *to = &tb_model_linears(written, b).at[i].matrix;
            assert_int_equal(to->type, tb_method_get(method)->type);
            assert_int_equal(to->rows, from->rows);
            assert_int_equal(to->cols, from->cols);
            assert_int_equal(to->group, 32);
        }
}

static void pipeline__writes_a_model_that_opens_and_verifies(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    for (unsigned m = 0; m < TB_METHODS; m++) {
        tb_pipeline_options options = quick((tb_method)m);
        tb_pipeline_result result;
        OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
        assert_int_equal(result.matrices, tb_model_linear_count(source));
        assert_int_equal(result.blocks_reused, 0);
        assert_true(result.relative_error > 0 && result.relative_error < 1);
        assert_false(tb_path_exists(PARTIAL));

        tb_model *written = open_model(OUT, 1);
        const tb_checkpoint *file = tb_model_checkpoint(written);
        OK(tb_checkpoint_verify(file, 2, NULL, &err));
        check_linears(source, written, (tb_method)m);
        assert_int_equal(tb_model_embedding(written)->type, TB_TYPE_Q8_0);
        assert_int_equal(tb_model_head(written)->type, TB_TYPE_Q8_0);
        tb_text text;
        OK(tb_checkpoint_get_text(&text, file, "twobit.method", true, &err));
        assert_memory_equal(text.data, tb_method_get((tb_method)m)->name, text.size);
        OK(tb_checkpoint_get_text(&text, file, "general.name", true, &err));
        assert_memory_equal(text.data, "tiny", 4);
        assert_non_null(tb_model_tokenizer(written));
        tb_model_close(written);
    }
    tb_model_close(source);
}

// RTN needs nothing but the weights: the file holds what the pure function gives.
static void pipeline__stores_what_the_method_made(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    tb_pipeline_result result;
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    tb_model *written = open_model(OUT, 1);
    const tb_matrix *from = &tb_model_linear(source, 1, TB_LINEAR_DOWN)->matrix,
                    *to = &tb_model_linear(written, 1, TB_LINEAR_DOWN)->matrix;
    tb_quant_problem problem = {.weights = from->data, .rows = from->rows, .cols = from->cols};
    tb_quant_report report;
    tb_packed packed;
    tb_matrix_part parts[TB_MATRIX_PARTS];
    OK(tb_quantize_matrix(&packed, &report, TB_METHOD_RTN, &problem, &options.quant, &err));
    size_t count = tb_matrix_get_parts(parts, to);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(parts[i].data, tb_packed_part(&packed, i), parts[i].bytes);
    tb_packed_clear(&packed);
    tb_model_close(written);
    tb_model_close(source);
}

// The hidden states behind all blocks, for a few tokens.
static tb_states run_blocks(const tb_model *model)
{
    enum { LENGTH = 32 };
    int32_t ids[LENGTH];
    tb_states states;
    for (size_t i = 0; i < LENGTH; i++)
        ids[i] = (int32_t)(3 + i * 7);
    OK(tb_states_init(&states, model, ids, 1, LENGTH, &err));
    for (size_t b = 0; b < tb_model_config(model)->blocks; b++)
        OK(tb_states_run_block(&states, model, b, NULL, NULL, &err));
    return states;
}

static void pipeline__puts_scales_into_norms(void **state)
{
    (void)state;
    tiny_model loud = tiny_model_default;
    loud.loud = true;
    tb_model *source = tiny(&loud, 1);
    tb_pipeline_options options = quick(TB_METHOD_AWQ);
    options.quant.bits = 4;
    options.keep_head = true;
    tb_pipeline_result result;
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    tb_model *written = open_model(OUT, 1);
    double off = 0, size = 0;
    const float *from = tb_model_norm(source, 1, TB_INPUT_FFN), *to = tb_model_norm(written, 1, TB_INPUT_FFN);
    assert_true(from[3] == 8 && to[3] < 6.5f && to[4] > 1.2f);
    tb_states a = run_blocks(source), b = run_blocks(written);
    for (size_t i = 0; i < a.length * a.stride; i++) {
        off += pow((double)a.x[i] - (double)b.x[i], 2);
        size += pow((double)a.x[i], 2);
    }
    assert_true(off < 0.15 * size); // scales of 4/3 that were lost would cost more
    tb_states_clear(&b);
    tb_states_clear(&a);
    tb_model_close(written);
    tb_model_close(source);
}

static void check_threads(tb_method method)
{
    file_bytes first = {0};
    for (size_t threads = 1; threads <= 3; threads++) {
        tb_model *source = tiny(&tiny_model_default, threads);
        tb_pipeline_options options = quick(method);
        options.quant.threads = threads;
        tb_pipeline_result result;
        OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
        file_bytes f = read_file(OUT);
        if (first.data) {
            assert_int_equal(f.size, first.size);
            assert_memory_equal(f.data, first.data, f.size);
            tb_free(f.data);
        } else {
            first = f;
        }
        tb_model_close(source);
    }
    tb_free(first.data);
}

static void pipeline__output_does_not_depend_on_threads(void **state)
{
    (void)state;
    check_threads(TB_METHOD_BPDQ);
    check_threads(TB_METHOD_AWQ);
}

static void pipeline__keeps_the_head_when_told_and_halves_odd_rows(void **state)
{
    (void)state;
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    options.keep_head = true;
    tb_pipeline_result result;
    tb_model *source = tiny(&tiny_model_default, 1);
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    tb_model *written = open_model(OUT, 1);
    assert_int_equal(tb_model_embedding(written)->type, TB_TYPE_F32);
    tb_model_close(written);
    tb_model_close(source);

    tiny_model odd = tiny_model_default;
    odd.width = 48; // no multiple of 32
    odd.tied = true;
    options.keep_head = false;
    source = tiny(&odd, 1);
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    written = open_model(OUT, 1);
    assert_int_equal(tb_model_embedding(written)->type, TB_TYPE_F16);
    assert_true(tb_model_head_is_tied(written));
    tb_model_close(written);
    tb_model_close(source);
}

static void pipeline__stores_ends_in_the_bits_asked_for(void **state)
{
    (void)state;
    tiny_model shapes[2] = {tiny_model_default, tiny_model_default};
    shapes[1].width = 48; // no multiple of 32
    shapes[1].tied = true;
    for (size_t i = 0; i < 2; i++) {
        uint64_t last = 0;
        tb_model *source = tiny(&shapes[i], 1);
        tb_pipeline_options options = quick(TB_METHOD_RTN);
        for (options.head_bits = 4; options.head_bits <= 7; options.head_bits++) {
            tb_pipeline_result result;
            uint64_t bytes;
            OK(plan_bytes(&bytes, source, &options, NULL, &err));
            OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
            tb_model *written = open_model(OUT, 1);
            const tb_checkpoint *file = tb_model_checkpoint(written);
            assert_int_equal(tb_checkpoint_file_bytes(file), bytes);
            assert_true(bytes > last);
            last = bytes;
            OK(tb_checkpoint_verify(file, 2, NULL, &err));
            const tb_matrix *ends[] = {tb_model_embedding(written), tb_model_head(written)};
            for (size_t e = 0; e < 2; e++) {
                assert_int_equal(ends[e]->type, TB_TYPE_OFFSET);
                assert_int_equal(ends[e]->planes, options.head_bits);
                assert_int_equal(ends[e]->rows, tiny_model_vocab_size());
            }
            tb_model_close(written);
        }
        for (options.head_bits = 1; options.head_bits <= 9; options.head_bits += options.head_bits == 3 ? 6 : 1) {
            tb_pipeline_result result;
            assert_int_equal(run_pipeline(&result, OUT, source, &options, NULL, &err), TB_EINVAL);
            assert_non_null(strstr(err.message, "takes 4 to 8 bits"));
        }
        tb_model_close(source);
    }
}

static void pipeline__stores_an_embedding_in_bits_of_its_own(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    tb_pipeline_result result;
    options.head_bits = 6;
    for (options.embedding_bits = 2; options.embedding_bits <= 7; options.embedding_bits++) {
        uint64_t bytes;
        OK(plan_bytes(&bytes, source, &options, NULL, &err));
        OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
        tb_model *written = open_model(OUT, 1);
        assert_int_equal(tb_checkpoint_file_bytes(tb_model_checkpoint(written)), bytes);
        OK(tb_checkpoint_verify(tb_model_checkpoint(written), 2, NULL, &err));
        assert_int_equal(tb_model_embedding(written)->planes, options.embedding_bits);
        assert_int_equal(tb_model_head(written)->planes, 6);
        tb_model_close(written);
    }
    for (options.embedding_bits = 1; options.embedding_bits <= 9; options.embedding_bits += 8) {
        assert_int_equal(run_pipeline(&result, OUT, source, &options, NULL, &err), TB_EINVAL);
        assert_non_null(strstr(err.message, "takes 2 to 8 bits"));
    }
    tb_model_close(source);

    tiny_model tied = tiny_model_default;
    tied.tied = true;
    source = tiny(&tied, 1);
    options.embedding_bits = 6; // even where both would have the same
    assert_int_equal(run_pipeline(&result, OUT, source, &options, NULL, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "is its head as well"));
    tb_model_close(source);
}

// ---- interruptions ----

// Dies without a word at the n-th report of progress.
static bool die_in_time(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)stage;
    (void)done;
    (void)total;
    (void)unit;
    size_t *left = user;
    if (*left == 0)
        raise(SIGKILL);
    --*left;
    return false;
}

// Runs in a child, which is killed at the n-th report; true when it came to its end before.
static bool run_and_kill(const tb_pipeline_options *base, size_t n)
{
    pid_t child = fork();
    if (child == 0) {
        tb_report report = {.progress = die_in_time, .user = &n};
        tb_pipeline_options options = *base;
        tb_pipeline_result result;
        options.report = &report;
        tb_model *source = open_model(SOURCE, 1);
        _exit(run_pipeline(&result, OUT, source, &options, NULL, &err) != TB_OK);
    }
    int status = 0;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        assert_int_equal(WTERMSIG(status), SIGKILL);
    else
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFEXITED(status);
}

// Killed at every `stride`th point in turn, the run goes on where it was and ends with the same bytes.
static void check_deaths(const tb_pipeline_options *options, const file_bytes *whole, size_t stride)
{
    size_t n = stride, deaths = 0;
    while (!run_and_kill(options, n)) {
        if (!tb_path_exists(OUT))
            assert_true(tb_path_is_folder(PARTIAL));
        deaths++;
        n += stride;
    }
    assert_true(deaths > 0);
    file_bytes f = read_file(OUT);
    assert_int_equal(f.size, whole->size);
    assert_memory_equal(f.data, whole->data, f.size);
    tb_free(f.data);
    assert_false(tb_path_exists(PARTIAL));
    assert_int_equal(count_entries("."), 3); // source, whole, out
    unlink(OUT);
}

static void pipeline__continues_after_being_killed(void **state)
{
    (void)state;
    static const struct {
        tb_method method;
        size_t stride;
    } cases[] = {{TB_METHOD_BPDQ, 1}, {TB_METHOD_BPDQ, 5}, {TB_METHOD_BPDQ, 9}, {TB_METHOD_AWQ, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tb_pipeline_options options = quick(cases[i].method);
        tb_pipeline_result result;
        tb_model *source = tiny(&tiny_model_default, 1);
        OK(run_pipeline(&result, "whole.gguf", source, &options, NULL, &err));
        tb_model_close(source);
        file_bytes whole = read_file("whole.gguf");
        check_deaths(&options, &whole, cases[i].stride);
        tb_free(whole.data);
    }
}

static bool stop_in_time(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)done;
    (void)total;
    (void)unit;
    return strcmp(stage, user) == 0;
}

// Tells its parent that the run is under way, and waits to be killed.
static bool wait_inside(void *user, const char *stage, double done, double total, const char *unit)
{
    (void)done;
    (void)total;
    (void)unit;
    if (strcmp(stage, "quantize") == 0 && write(*(int *)user, "", 1) == 1)
        pause();
    return false;
}

static pid_t run_and_wait(void)
{
    int told[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        tb_report report = {.progress = wait_inside, .user = &told[1]};
        tb_pipeline_options options = quick(TB_METHOD_GPTQ);
        tb_pipeline_result result;
        options.report = &report;
        tb_model *source = open_model(SOURCE, 1);
        _exit(run_pipeline(&result, OUT, source, &options, NULL, &err) != TB_OK);
    }
    assert_true(child > 0 && read(told[0], &byte, 1) == 1);
    close(told[0]), close(told[1]);
    return child;
}

static void pipeline__names_the_process_that_writes_already(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_RTN); // another recipe: what matters first is who writes
    tb_pipeline_result result;
    char expected[96];
    int status;
    pid_t child = run_and_wait();
    assert_int_equal(run_pipeline(&result, OUT, source, &options, NULL, &err), TB_EIO);
    snprintf(expected, sizeof expected, "another process (%d) is writing '" OUT "'", (int)child);
    assert_string_equal(err.message, expected);
    assert_true(tb_path_is_folder(PARTIAL));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    assert_false(tb_path_exists(PARTIAL));
    tb_model_close(source);
}

// Leaves a partial folder with both blocks: stopped when writing begins.
static void stop_before_the_end(const tb_model *source, const tb_pipeline_options *base)
{
    char stage[] = "write";
    tb_report report = {.progress = stop_in_time, .user = stage};
    tb_pipeline_options options = *base;
    tb_pipeline_result result;
    options.report = &report;
    assert_int_equal(run_pipeline(&result, OUT, source, &options, NULL, &err), TB_ECANCELLED);
    assert_false(tb_path_exists(OUT));
    assert_true(tb_path_is_folder(PARTIAL));
}

static void pipeline__reuses_finished_blocks(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_GPTQ);
    tb_pipeline_result result;
    stop_before_the_end(source, &options);
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    assert_int_equal(result.blocks_reused, 2);
    assert_int_equal(result.matrices, tb_model_linear_count(source));
    tb_model_close(source);
}

static void damage(const char *path, bool shorten)
{
    file_bytes f = read_file(path);
    f.data[f.size / 2] ^= 1;
    OK(tb_file_write(path, f.data, shorten ? f.size / 2 : f.size, &err));
    tb_free(f.data);
}

static void pipeline__makes_damaged_blocks_again(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_AWQ);
    tb_pipeline_result result;
    OK(run_pipeline(&result, "whole.gguf", source, &options, NULL, &err));
    file_bytes whole = read_file("whole.gguf");
    for (int shorten = 0; shorten < 2; shorten++) {
        stop_before_the_end(source, &options);
        damage(PARTIAL "/block-00000.bin", shorten);
        OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
        assert_int_equal(result.blocks_reused, 1);
        file_bytes f = read_file(OUT);
        assert_memory_equal(f.data, whole.data, whole.size);
        tb_free(f.data);
        unlink(OUT);
    }
    tb_free(whole.data);
    tb_model_close(source);
}

// Every block of the model has the same shapes; the names in the file say whose they are.
static void pipeline__takes_no_block_for_another(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    tb_pipeline_result result;
    stop_before_the_end(source, &options);
    file_bytes second = read_file(PARTIAL "/block-00001.bin");
    OK(tb_file_write(PARTIAL "/block-00000.bin", second.data, second.size, &err));
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    assert_int_equal(result.blocks_reused, 1);
    tb_free(second.data);
    tb_model_close(source);
}

static void assert_refused(const tb_model *source, const tb_pipeline_options *options, const char *says)
{
    tb_pipeline_result result;
    assert_int_equal(run_pipeline(&result, OUT, source, options, NULL, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, says));
    assert_non_null(strstr(err.message, PARTIAL));
}

static void pipeline__refuses_to_mix_runs(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_BPDQ), other = options;
    stop_before_the_end(source, &options);
    other.quant.no_shrinkage = true;
    assert_refused(source, &other, "option 'shrinkage' changed");
    other.quant.no_shrinkage = false;
    other.quant.damping = 0.01;
    assert_refused(source, &other, "option 'damping' changed");
    other = options;
    other.quant.bits = 3;
    assert_refused(source, &other, "option 'bits' changed");
    other = options;
    other.method = TB_METHOD_GPTQ;
    assert_refused(source, &other, "option 'method' changed");
    other = options;
    other.head_bits = 6;
    assert_refused(source, &other, "option 'head_bits' changed");
    other = options;
    other.embedding_bits = 6;
    assert_refused(source, &other, "option 'embedding_bits' changed");
    other = options;
    OK(tb_file_write("other.txt", tb_builtin_text_get(TB_TEXT_HELDOUT).data, 8000, &err));
    other.calibration_path = "other.txt";
    assert_refused(source, &other, "the calibration text changed");
    tb_model_close(source);

    tiny_model changed = tiny_model_default;
    changed.seed = 2;
    source = tiny(&changed, 1);
    assert_refused(source, &options, "the model changed");
    tb_model_close(source);
    assert_int_equal(count_entries(PARTIAL), 3); // manifest and two blocks: nothing was touched
}

// Levels by what they bring to a pass over many tokens: avx512 and vnni compute it as avx2 does.
static bool same_path(const char *a, const char *b)
{
    return (strcmp(a, "scalar") == 0) == (strcmp(b, "scalar") == 0);
}

static void check_levels(tb_method method, const char *begun, const char *continued)
{
    tb_pipeline_options options = quick(method);
    tb_pipeline_result result;
    tb_model *first = open_model_at(SOURCE, 1, begun), *second = open_model_at(SOURCE, 1, continued);
    OK(run_pipeline(&result, "whole.gguf", first, &options, NULL, &err));
    stop_before_the_end(first, &options);
    if (tb_method_is_calibrated(method) && !same_path(begun, continued)) {
        assert_refused(second, &options, "option 'cpu' changed");
        OK(run_pipeline(&result, OUT, first, &options, NULL, &err));
    } else {
        OK(run_pipeline(&result, OUT, second, &options, NULL, &err));
        file_bytes whole = read_file("whole.gguf"), f = read_file(OUT);
        assert_int_equal(f.size, whole.size);
        assert_memory_equal(f.data, whole.data, whole.size);
        tb_free(f.data);
        tb_free(whole.data);
    }
    assert_int_equal(result.blocks_reused, 2);
    unlink(OUT);
    tb_model_close(first);
    tb_model_close(second);
}

static void pipeline__goes_on_under_every_level_that_gives_the_same_bits(void **state)
{
    (void)state;
    static const char *const levels[] = {"scalar", "avx2", "avx512", "vnni"};
    OK(tiny_model_write(SOURCE, &tiny_model_default, &err));
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) {
            tb_cpu a, b;
            tb_cpu_parse(&a, levels[i]);
            tb_cpu_parse(&b, levels[j]);
            if (i == j || ((a | b) & ~tb_cpu_detect()))
                continue;
            check_levels(TB_METHOD_RTN, levels[i], levels[j]);
            check_levels(TB_METHOD_BPDQ, levels[i], levels[j]);
        }
}

static void pipeline__warns_of_fewer_tokens_than_inputs(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    size_t widest = tb_model_linear(source, 0, TB_LINEAR_DOWN)->matrix.cols;
    static const tb_method methods[] = {TB_METHOD_GPTQ, TB_METHOD_BPDQ, TB_METHOD_AWQ, TB_METHOD_RTN};
    for (size_t m = 0; m < 4; m++)
        for (size_t enough = 0; enough < 2; enough++) {
            notes seen = {0};
            tb_report report = {.note = take_note, .user = &seen};
            tb_pipeline_options options = quick(methods[m]);
            tb_pipeline_result result;
            options.window = 32;
            options.calibration_tokens = enough ? widest : 32;
            options.report = &report;
            OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
            const char *warning =
                seen.warnings.size ? strstr(tb_str_get(&seen.warnings), "32 calibration tokens are") : NULL;
            assert_int_equal(warning != NULL, m < 2 && !enough);
            notes_clear(&seen);
        }
    tb_model_close(source);
}

static void pipeline__names_an_option_that_is_no_longer_given(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    options.head_bits = 6;
    stop_before_the_end(source, &options);
    options.head_bits = 0;
    assert_refused(source, &options, "option 'head_bits' changed");
    tb_model_close(source);
}

static void pipeline__refuses_a_damaged_manifest(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    tb_pipeline_result result;
    stop_before_the_end(source, &options);
    OK(tb_file_write(PARTIAL "/manifest.json", "{\"partial\":", 11, &err));
    assert_int_equal(run_pipeline(&result, OUT, source, &options, NULL, &err), TB_EFORMAT);
    assert_non_null(strstr(err.message, "is damaged"));
    tb_model_close(source);
}

static void pipeline__leaves_foreign_files_alone(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    tb_pipeline_result result;
    assert_int_equal(mkdir(PARTIAL, 0777), 0);
    OK(tb_file_write(PARTIAL "/letter.txt", "dear", 4, &err));
    notes seen = {0};
    tb_report report = {.note = take_note, .user = &seen};
    options.report = &report;
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    assert_int_equal(count_entries(PARTIAL), 1);
    assert_non_null(strstr(tb_str_get(&seen.warnings), "cannot remove"));
    notes_clear(&seen);
    tb_model_close(source);
}

// ---- bad input ----

static void pipeline__refuses_bad_input(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_GPTQ);
    tb_pipeline_result result;
    OK(tb_file_write("short.txt", "too short", 9, &err));
    options.calibration_path = "short.txt";
    assert_int_equal(run_pipeline(&result, OUT, source, &options, NULL, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "fewer than one window of 64"));
    options.calibration_path = "absent.txt";
    assert_int_equal(run_pipeline(&result, OUT, source, &options, NULL, &err), TB_EIO);
    options.calibration_path = NULL;
    options.window = 100000;
    assert_int_equal(run_pipeline(&result, OUT, source, &options, NULL, &err), TB_EINVAL);
    options = quick(TB_METHOD_GPTQ);
    assert_int_equal(run_pipeline(&result, ".", source, &options, NULL, &err), TB_EIO);
    assert_int_equal(run_pipeline(&result, "no/such/folder.gguf", source, &options, NULL, &err), TB_EIO);
    assert_int_equal(count_entries("."), 2); // source and short.txt
    tb_model_close(source);
}

static void pipeline__refuses_what_it_has_written_itself(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_RTN);
    tb_pipeline_result result;
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    tb_model_close(source);
    source = open_model(OUT, 1);
    assert_int_equal(run_pipeline(&result, "again.gguf", source, &options, NULL, &err), TB_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "quantized by twobit already"));
    tb_model_close(source);
}

static void pipeline__survives_weights_that_are_not_finite(void **state)
{
    (void)state;
    tiny_model broken = tiny_model_default;
    broken.nan = true;
    tb_model *source = tiny(&broken, 1);
    for (unsigned m = 0; m < TB_METHODS; m++) {
        tb_pipeline_options options = quick((tb_method)m);
        notes seen = {0};
        tb_report report = {.note = take_note, .user = &seen};
        tb_pipeline_result result;
        options.report = &report;
        OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
        assert_int_equal(result.nonfinite_weights, 1);
        assert_non_null(strstr(tb_str_get(&seen.warnings), "block 1, ffn_up: 1 weights are not finite"));
        notes_clear(&seen);
        tb_model *written = open_model(OUT, 1);
        OK(tb_checkpoint_verify(tb_model_checkpoint(written), 1, NULL, &err)); // the NaN counts as 0
        tb_model_close(written);
    }
    tb_model_close(source);
}

static void pipeline__says_when_text_is_short(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_pipeline_options options = quick(TB_METHOD_GPTQ);
    OK(tb_file_write("little.txt", tb_builtin_text_get(TB_TEXT_CALIBRATION).data, 300, &err));
    notes seen = {0};
    tb_report report = {.note = take_note, .user = &seen};
    tb_pipeline_result result;
    options.calibration_path = "little.txt";
    options.report = &report;
    OK(run_pipeline(&result, OUT, source, &options, NULL, &err));
    assert_non_null(strstr(tb_str_get(&seen.infos), "of 256 tokens"));
    notes_clear(&seen);
    tb_model_close(source);
}

static void pipeline__survives_failing_memory(void **state)
{
    (void)state;
    tiny_model one = tiny_model_default;
    one.blocks = 1;
    one.context = 64;
    tb_model *source = tiny(&one, 1);
    tb_pipeline_options options = quick(TB_METHOD_BPDQ);
    options.calibration_tokens = 64;
    tb_code rc = TB_ENOMEM;
    for (long long n = 0; rc == TB_ENOMEM; n += 1 + n / 16) {
        tb_pipeline_result result;
        tb_mem_fail_after(n);
        rc = run_pipeline(&result, OUT, source, &options, NULL, &err);
        tb_mem_fail_after(-1);
        if (rc == TB_ENOMEM)
            assert_int_equal(err.code, TB_ENOMEM);
        assert_true(n < 100000);
    }
    OK(rc);
    tb_model_close(source);
}

// ---- texts and windows ----

static void builtin_texts__are_those_of_the_source(void **state)
{
    (void)state;
    static const char *const paths[] = {TB_SOURCE_ROOT "/share/text/calibration.txt",
                                        TB_SOURCE_ROOT "/share/text/heldout.txt"};
    for (unsigned which = 0; which < 2; which++) {
        tb_text text = tb_builtin_text_get((tb_builtin_text)which);
        file_bytes f = read_file(paths[which]);
        assert_int_equal(text.size, f.size);
        assert_memory_equal(text.data, f.data, f.size);
        tb_free(f.data);
    }
}

static void windows__are_the_first_tokens_with_bos_in_front(void **state)
{
    (void)state;
    tb_model *source = tiny(&tiny_model_default, 1);
    tb_text text = tb_builtin_text_get(TB_TEXT_CALIBRATION); // long: only its head is tokenized
    tb_windows windows;
    tb_ids all = {0};
    OK(tb_encode(&all, tb_model_tokenizer(source), text, 0, &err));
    OK(tb_windows_init(&windows, source, text, 300, 64, &err));
    assert_int_equal(windows.count, 4); // 256 of 300
    for (size_t i = 0; i < 256; i++)
        assert_int_equal(windows.ids.data[i], i % 64 == 0 ? tb_tokenizer_bos(tb_model_tokenizer(source)) : all.data[i]);
    tb_windows_clear(&windows);
    OK(tb_windows_init(&windows, source, text, 256, 0, &err)); // as long as the context allows
    assert_int_equal(windows.count, 1);
    assert_int_equal(windows.length, 256);
    tb_windows_clear(&windows);
    assert_int_equal(tb_windows_init(&windows, source, text, 255, 0, &err), TB_EINVAL);
    assert_string_equal(err.message, "255 tokens are too few: the least is one window, 256");
    tb_ids_clear(&all);
    tb_model_close(source);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pipeline__writes_a_model_that_opens_and_verifies),
        TEST(pipeline__stores_what_the_method_made),
        TEST(pipeline__keeps_the_head_when_told_and_halves_odd_rows),
        TEST(pipeline__stores_ends_in_the_bits_asked_for),
        TEST(pipeline__stores_an_embedding_in_bits_of_its_own),
        TEST(pipeline__continues_after_being_killed),          // before threads were started: it forks
        TEST(pipeline__names_the_process_that_writes_already), // as well
        TEST(pipeline__reuses_finished_blocks),
        TEST(pipeline__makes_damaged_blocks_again),
        TEST(pipeline__takes_no_block_for_another),
        TEST(pipeline__refuses_to_mix_runs),
        TEST(pipeline__goes_on_under_every_level_that_gives_the_same_bits),
        TEST(pipeline__names_an_option_that_is_no_longer_given),
        TEST(pipeline__warns_of_fewer_tokens_than_inputs),
        TEST(pipeline__refuses_a_damaged_manifest),
        TEST(pipeline__leaves_foreign_files_alone),
        TEST(pipeline__refuses_bad_input),
        TEST(pipeline__refuses_what_it_has_written_itself),
        TEST(pipeline__survives_weights_that_are_not_finite),
        TEST(pipeline__says_when_text_is_short),
        TEST(pipeline__survives_failing_memory),
        TEST(builtin_texts__are_those_of_the_source),
        TEST(windows__are_the_first_tokens_with_bos_in_front),
        TEST(pipeline__puts_scales_into_norms),
        TEST(pipeline__output_does_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
