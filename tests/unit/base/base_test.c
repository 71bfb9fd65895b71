// base: conversions against their definitions, generators against published vectors, files that
// appear complete or not at all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

static void half__round_trips_every_value(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = tb_half_to_float((uint16_t)h);
        if (isnan(f))
            assert_true(isnan(tb_half_to_float(tb_half_from_float(f))));
        else
            assert_int_equal(tb_half_from_float(f), h);
    }
}

static void half__rounds_to_nearest_even(void **state)
{
    (void)state;
    // Between any two neighbours: the midpoint goes to the even one, a little beside it to the nearer.
    for (uint32_t h = 0; h < 0x7BFF; h++) {
        float low = tb_half_to_float((uint16_t)h), high = tb_half_to_float((uint16_t)(h + 1));
        float middle = (float)(0.5 * ((double)low + (double)high));
        assert_int_equal(tb_half_from_float(middle), h % 2 ? h + 1 : h);
        assert_int_equal(tb_half_from_float(nextafterf(middle, 0)), h);
        assert_int_equal(tb_half_from_float(nextafterf(middle, INFINITY)), h + 1);
    }
    assert_int_equal(tb_half_from_float(65519.0f), 0x7BFF);
    assert_int_equal(tb_half_from_float(65520.0f), 0x7C00);
}

static void bfloat__round_trips_every_value(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = tb_bfloat_to_float((uint16_t)h);
        if (!isnan(f))
            assert_int_equal(tb_bfloat_from_float(f), h);
    }
    assert_int_equal(tb_bfloat_from_float(1.00390625f), 0x3F80); // tie to even
}

static void philox__agrees_with_published_vectors(void **state)
{
    (void)state;
    // Known answers of the Random123 distribution for philox4x32-10.
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];
        tb_philox(out, known[i].counter, known[i].key);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void rng__streams_are_reproducible_and_uniform(void **state)
{
    (void)state;
    tb_rng a, b;
    tb_rng_init(&a, 42, 7);
    tb_rng_init(&b, 42, 7);
    double sum = 0, square = 0;
    enum { N = 20000 };
    for (int i = 0; i < N; i++) {
        double x = tb_rng_normal(&a);
        assert_true(x == tb_rng_normal(&b));
        sum += x;
        square += x * x;
    }
    assert_true(fabs(sum / N) < 4 / sqrt(N));
    assert_true(fabs(square / N - 1) < 6 / sqrt(N));
    for (int i = 0; i < 1000; i++)
        assert_true(tb_rng_below(&a, 7) < 7);
}

static void arena__reset_gives_back_and_keeps_alignment(void **state)
{
    (void)state;
    tb_arena arena;
    tb_arena_init(&arena, 256);
    unsigned char *first = tb_arena_alloc(&arena, 10);
    tb_arena_mark mark = tb_arena_get_mark(&arena);
    for (size_t n = 1; n < 2000; n += 97) {
        unsigned char *p = tb_arena_alloc(&arena, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % TB_ALIGNMENT, 0);
        assert_int_equal(p[0] | p[n - 1], 0);
        memset(p, 0xAA, n);
    }
    tb_arena_reset(&arena, mark);
    assert_true(tb_arena_alloc(&arena, 10) == first + TB_ALIGNMENT);
    assert_null(tb_arena_array(&arena, SIZE_MAX / 2, 3));
    tb_arena_clear(&arena);
}

static void str__grows_and_stops_at_its_limit(void **state)
{
    (void)state;
    tb_str text = {.limit = 10};
    tb_error err;
    assert_int_equal(tb_str_append_text(&text, "hello", &err), TB_OK);
    assert_int_equal(tb_str_printf(&text, &err, " %d", 42), TB_OK);
    assert_string_equal(tb_str_get(&text), "hello 42");
    assert_int_equal(tb_str_append_text(&text, "xyz", &err), TB_ELIMIT);
    assert_string_equal(tb_str_get(&text), "hello 42");
    tb_str_clear(&text);
    assert_string_equal(tb_str_get(&text), "");
}

static void fail__keeps_messages_printable_and_whole(void **state)
{
    (void)state;
    tb_error err;
    assert_int_equal(tb_fail(&err, TB_EFORMAT, "bad key '%s'", "a\nb\x1b"), TB_EFORMAT);
    assert_string_equal(err.message, "bad key 'a?b?'");
    assert_int_equal(tb_fail_context(&err, TB_EFORMAT, "'%s'", "file"), TB_EFORMAT);
    assert_string_equal(err.message, "'file': bad key 'a?b?'");
    char longer[1024];
    memset(longer, 0, sizeof longer);
    for (size_t i = 0; i + 2 < sizeof longer; i += 2)
        memcpy(longer + i, "\xC3\xA4", 2);
    tb_fail(&err, TB_EIO, "x%s", longer);
    size_t n = strlen(err.message);
    assert_true(n < sizeof err.message && n % 2 == 1);
    assert_int_equal(tb_fail(NULL, TB_EIO, "nobody listens"), TB_EIO);
}

struct cover {
    unsigned char seen[1000];
    size_t most_workers;
};

static void mark_range(void *user, size_t begin, size_t end, size_t worker)
{
    struct cover *cover = user;
    for (size_t i = begin; i < end; i++)
        cover->seen[i]++;
    assert_true(worker < cover->most_workers);
    assert_true(end - begin <= 7);
}

static void parallel__covers_every_index_once(void **state)
{
    (void)state;
    for (size_t threads = 1; threads <= 3; threads++)
        for (size_t n = 0; n <= 1000; n += 111) {
            struct cover cover = {.most_workers = threads};
            tb_parallel(threads, n, 7, mark_range, &cover);
            for (size_t i = 0; i < 1000; i++)
                assert_int_equal(cover.seen[i], i < n);
        }
}

struct sum {
    _Atomic long total;
};

static void add_range(void *user, size_t begin, size_t end, size_t worker)
{
    (void)worker;
    struct sum *sum = user;
    for (size_t i = begin; i < end; i++)
        sum->total += (long)i;
}

// Loops of many lengths, one right after the other, as a forward pass makes them.
static void *run_many_loops(void *failed)
{
    for (size_t round = 0; round < 2000; round++) {
        struct sum sum = {0};
        size_t n = round % 37;
        tb_parallel(1 + round % 4, n, 1 + round % 3, add_range, &sum);
        if (sum.total != (long)(n * (n > 0 ? n - 1 : 0) / 2))
            *(atomic_bool *)failed = true;
    }
    return NULL;
}

static void parallel__serves_several_callers_at_once(void **state)
{
    (void)state;
    pthread_t callers[3];
    atomic_bool failed = false;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, run_many_loops, &failed), 0);
    for (size_t i = 0; i < 3; i++)
        pthread_join(callers[i], NULL);
    assert_false(failed);
}

static void outfile__appears_complete_or_not_at_all(void **state)
{
    (void)state;
    char folder[] = "/tmp/twobit-base-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out", folder);
    tb_error err;
    tb_outfile *file;
    assert_int_equal(tb_outfile_open(&file, path, &err), TB_OK);
    assert_int_equal(tb_outfile_write(file, "half", 4, &err), TB_OK);
    tb_outfile_close(file);
    assert_false(tb_path_exists(path));
    assert_int_equal(tb_file_write(path, "whole", 5, &err), TB_OK);
    tb_map map;
    assert_int_equal(tb_map_open(&map, path, &err), TB_OK);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "whole", 5);
    tb_map_close(&map);
    char *text;
    size_t size;
    assert_int_equal(tb_file_read(&text, &size, path, 100, &err), TB_OK);
    assert_string_equal(text, "whole");
    tb_free(text);
    assert_int_equal(tb_file_read(&text, &size, path, 4, &err), TB_ELIMIT);
    assert_int_equal(tb_map_open(&map, folder, &err), TB_EIO);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); // nothing was left beside it
    assert_int_equal(tb_outfile_open(&file, "/nonexistent/folder/x", &err), TB_EIO);
    assert_null(file);
}

// Even where nobody writes into the pipe.
static void map__refuses_a_pipe(void **state)
{
    (void)state;
    char folder[] = "/tmp/twobit-base-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    tb_map map;
    tb_error err;
    assert_int_equal(tb_map_open(&map, path, &err), TB_EIO);
    assert_non_null(strstr(err.message, "not a regular file"));
    unlink(path);
    rmdir(folder);
}

// Takes the lock in a child, which holds it until it is killed.
static pid_t hold_lock(const char *path)
{
    int told[2], fd;
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        tb_code rc = tb_lock_open(&fd, path, "output", NULL);
        if (rc == TB_OK && write(told[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    assert_true(child > 0 && read(told[0], &byte, 1) == 1);
    close(told[0]), close(told[1]);
    return child;
}

static void lock__names_the_process_that_has_it(void **state)
{
    (void)state;
    char folder[] = "/tmp/twobit-lock-XXXXXX", path[64], expected[96];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/lock", folder);
    tb_error err;
    int fd, status;
    pid_t child = hold_lock(path);
    assert_int_equal(tb_lock_open(&fd, path, "output", &err), TB_EIO);
    snprintf(expected, sizeof expected, "another process (%d) is writing 'output'", (int)child);
    assert_string_equal(err.message, expected);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(tb_lock_open(&fd, path, "output", &err), TB_OK);
    close(fd);
    unlink(path), rmdir(folder);
}

static void lock__keeps_out_the_same_process_too(void **state)
{
    (void)state;
    char path[] = "/tmp/twobit-lock-XXXXXX";
    tb_error err;
    int fd, second;
    close(mkstemp(path));
    assert_int_equal(tb_lock_open(&fd, path, "output", &err), TB_OK);
    assert_int_equal(tb_lock_open(&second, path, "output", &err), TB_EIO);
    assert_string_equal(err.message, "'output' is being written already");
    close(fd);
    assert_int_equal(tb_lock_open(&second, path, "output", &err), TB_OK);
    close(second);
    unlink(path);
}

static void partfile__is_taken_up_again(void **state)
{
    (void)state;
    char folder[] = "/tmp/twobit-base-XXXXXX", path[64], bytes[8];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out", folder);
    tb_error err;
    tb_partfile *file;
    assert_int_equal(tb_partfile_open(&file, path, 8, &err), TB_OK);
    assert_int_equal(tb_partfile_write(file, 4, "late", 4, &err), TB_OK);
    tb_partfile_close(file);
    assert_false(tb_path_exists(path));

    assert_int_equal(tb_partfile_open(&file, path, 9, &err), TB_EINVAL);
    assert_non_null(strstr(err.message, "belongs to another output"));
    assert_int_equal(tb_partfile_open(&file, path, 8, &err), TB_OK);
    assert_int_equal(tb_partfile_read(bytes, 8, file, 0, &err), TB_OK);
    assert_memory_equal(bytes, "\0\0\0\0late", 8);
    assert_int_equal(tb_partfile_read(bytes, 8, file, 1, &err), TB_EIO);
    assert_int_equal(tb_partfile_write(file, 0, "soon", 4, &err), TB_OK);
    assert_int_equal(tb_partfile_commit(file, &err), TB_OK);
    assert_false(tb_path_exists(tb_partfile_name(file)));
    tb_partfile_close(file);
    char *text;
    size_t size;
    assert_int_equal(tb_file_read(&text, &size, path, 100, &err), TB_OK);
    assert_string_equal(text, "soonlate");
    tb_free(text);
    unlink(path);

    rmdir(folder);
    assert_int_equal(tb_partfile_open(&file, path, 8, &err), TB_EIO);
}

static void partfile__is_copied_into_a_pipe(void **state)
{
    (void)state;
    char folder[] = "/tmp/twobit-base-XXXXXX", path[64], bytes[9];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/pipe", folder);
    tb_error err;
    tb_partfile *file;
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_int_equal(tb_partfile_open(&file, path, 8, &err), TB_OK);
    assert_int_equal(tb_partfile_write(file, 4, "late", 4, &err), TB_OK);
    assert_int_equal(tb_partfile_write(file, 0, "soon", 4, &err), TB_OK);
    assert_int_equal(read(reader, bytes, sizeof bytes), 0);
    assert_int_equal(tb_partfile_commit(file, &err), TB_OK);
    assert_int_equal(read(reader, bytes, sizeof bytes), 8);
    assert_memory_equal(bytes, "soonlate", 8);
    tb_partfile_close(file);
    close(reader);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); // nothing was left beside it
}

static void outfile__writes_into_pipes_and_through_links(void **state)
{
    (void)state;
    char folder[] = "/tmp/twobit-base-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char pipe_path[64], file_path[64], link_path[64];
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe", folder);
    snprintf(file_path, sizeof file_path, "%s/file", folder);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    tb_error err;

    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    int reader = open(pipe_path, O_RDONLY | O_NONBLOCK);
    assert_int_equal(tb_file_write(pipe_path, "bytes", 5, &err), TB_OK);
    char bytes[8];
    assert_int_equal(read(reader, bytes, sizeof bytes), 5);
    close(reader);
    struct stat st;
    assert_int_equal(stat(pipe_path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));

    assert_int_equal(tb_file_write(file_path, "old", 3, &err), TB_OK);
    assert_int_equal(symlink("file", link_path), 0);
    assert_int_equal(tb_file_write(link_path, "newer", 5, &err), TB_OK);
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(file_path, &st), 0);
    assert_int_equal(st.st_size, 5);

    unlink(link_path);
    unlink(file_path);
    unlink(pipe_path);
    assert_int_equal(rmdir(folder), 0); // nothing else was left there
}

static void mem__injected_failures_happen(void **state)
{
    (void)state;
    tb_mem_fail_after(1);
    void *a = tb_alloc(8), *b = tb_alloc(8);
    tb_mem_fail_after(-1);
    assert_non_null(a);
    assert_null(b);
    tb_free(a);
    assert_null(tb_alloc_array(SIZE_MAX / 2, 3));
}

static void hash__agrees_with_fips_180(void **state)
{
    (void)state;
    tb_hash *hash = tb_hash_new();
    char hex[65];
    tb_hash_update(hash, "ab", 2);
    tb_hash_update(hash, "c", 1);
    tb_hash_hex(hash, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    tb_hash_free(hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half__round_trips_every_value),
        cmocka_unit_test(half__rounds_to_nearest_even),
        cmocka_unit_test(bfloat__round_trips_every_value),
        cmocka_unit_test(philox__agrees_with_published_vectors),
        cmocka_unit_test(rng__streams_are_reproducible_and_uniform),
        cmocka_unit_test(arena__reset_gives_back_and_keeps_alignment),
        cmocka_unit_test(str__grows_and_stops_at_its_limit),
        cmocka_unit_test(fail__keeps_messages_printable_and_whole),
        cmocka_unit_test(parallel__covers_every_index_once),
        cmocka_unit_test(parallel__serves_several_callers_at_once),
        cmocka_unit_test(outfile__appears_complete_or_not_at_all),
        cmocka_unit_test(map__refuses_a_pipe),
        cmocka_unit_test(lock__names_the_process_that_has_it),
        cmocka_unit_test(lock__keeps_out_the_same_process_too),
        cmocka_unit_test(partfile__is_taken_up_again),
        cmocka_unit_test(partfile__is_copied_into_a_pipe),
        cmocka_unit_test(outfile__writes_into_pipes_and_through_links),
        cmocka_unit_test(mem__injected_failures_happen),
        cmocka_unit_test(hash__agrees_with_fips_180),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
