// A pool of sleeping helpers. The caller works on the ranges itself; helpers that wake in time take
// ranges too, and the caller waits at the end only for ranges that somebody has begun. On a busy machine a helper that
// is not scheduled therefore costs nothing, where a barrier would wait for it: measured with OpenMP instead, over half
// of the processor time of a forward pass was spinning as soon as other programs ran.
//
// The pool belongs to the process. One loop runs on it at a time; a loop that finds it taken (another sequence
// computes at this moment) runs on the caller's thread alone, with the same result.
#define _GNU_SOURCE // CPU_COUNT, sched_getaffinity
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

// More helpers than this are never started.
enum { MOST_HELPERS = 255 };

// Of a helper, whatever the limit is that the process was started with (ulimit -s): kernels and BLAS keep tiles there.
#define HELPER_STACK ((size_t)1 << 20)

// How long a helper looks for the next loop before it sleeps: the loops of a forward pass follow one
// another within some 20 µs, and waking a sleeper takes about as long.
enum { SPINS = 2000 };

typedef struct loop {
    tb_range_fn fn;
    void *user;
    size_t n, grain, ranges;
    atomic_size_t next; // first range nobody has taken
} loop;

static struct {
    pthread_mutex_t owner; // held by the caller whose loop runs
    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t wake, done;
    pthread_t helpers[MOST_HELPERS];
    size_t helper_count;
    loop *current;            // NULL: nothing to do
    size_t wanted;            // helpers the current loop may still take in
    bool leaving;             // the process ends
    atomic_uint_fast64_t age; // counts loops, so that a helper sees a new one without the mutex
    atomic_size_t active;     // helpers at work on the current loop
} pool = {
    .owner = PTHREAD_MUTEX_INITIALIZER,
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .done = PTHREAD_COND_INITIALIZER,
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void run_range(const loop *l, size_t range, size_t worker)
{
    size_t begin = range * l->grain;
    l->fn(l->user, begin, range + 1 < l->ranges ? begin + l->grain : l->n, worker);
}

static void take_ranges(loop *l, size_t worker)
{
    for (size_t range; (range = atomic_fetch_add(&l->next, 1)) < l->ranges;)
        run_range(l, range, worker);
}

// Joins the current loop; returns it, or NULL when the process ends. The helper's place among the workers
// goes to *worker; *seen is the age of the loop it joined last.
static loop *join_loop(size_t *worker, uint_fast64_t *seen)
{
    for (int i = 0; i < SPINS && atomic_load_explicit(&pool.age, memory_order_relaxed) == *seen; i++)
        relax();
    pthread_mutex_lock(&pool.mutex);
    while (!pool.leaving && (!pool.current || pool.wanted == 0))
        pthread_cond_wait(&pool.wake, &pool.mutex);
    loop *l = pool.leaving ? NULL : pool.current;
    if (l) {
        *worker = pool.wanted--;
        *seen = atomic_load(&pool.age);
        atomic_fetch_add(&pool.active, 1);
    }
    pthread_mutex_unlock(&pool.mutex);
    return l;
}

static void leave_loop(void)
{
    pthread_mutex_lock(&pool.mutex);
    if (atomic_fetch_sub(&pool.active, 1) == 1)
        pthread_cond_signal(&pool.done);
    pthread_mutex_unlock(&pool.mutex);
}

static void *help(void *unused)
{
    size_t worker = 0;
    uint_fast64_t seen = 0;
    for (loop *l; (l = join_loop(&worker, &seen));) {
        take_ranges(l, worker);
        leave_loop();
    }
    return unused;
}

// Called with pool.mutex held. Fewer helpers than asked for are no failure.
static void start_helpers(size_t count)
{
    if (count > MOST_HELPERS)
        count = MOST_HELPERS;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, HELPER_STACK);
    while (pool.helper_count < count && pthread_create(&pool.helpers[pool.helper_count], &attributes, help, NULL) == 0)
        pool.helper_count++;
    pthread_attr_destroy(&attributes);
}

static void open_loop(loop *l, size_t helpers)
{
    pthread_mutex_lock(&pool.mutex);
    start_helpers(helpers);
    pool.current = l;
    pool.wanted = helpers;
    atomic_fetch_add(&pool.age, 1);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.mutex);
}

static void close_loop(void)
{
    for (int i = 0; i < SPINS && atomic_load_explicit(&pool.active, memory_order_relaxed) > 0; i++)
        relax();
    pthread_mutex_lock(&pool.mutex);
    pool.current = NULL;
    while (atomic_load(&pool.active) > 0)
        pthread_cond_wait(&pool.done, &pool.mutex);
    pthread_mutex_unlock(&pool.mutex);
}

void tb_parallel(size_t threads, size_t n, size_t grain, tb_range_fn fn, void *user)
{
    if (grain == 0)
        grain = 1;
    loop l = {.fn = fn, .user = user, .n = n, .grain = grain, .ranges = n / grain + (n % grain != 0)};
    if (threads > l.ranges)
        threads = l.ranges;
    if (threads > 1 && pthread_mutex_trylock(&pool.owner) == 0) {
        open_loop(&l, threads - 1);
        take_ranges(&l, 0);
        close_loop();
        pthread_mutex_unlock(&pool.owner);
    } else {
        take_ranges(&l, 0);
    }
}

// Helpers must not outlive the library's code when it is unloaded.
__attribute__((destructor)) static void end_helpers(void)
{
    pthread_mutex_lock(&pool.mutex);
    pool.leaving = true;
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.mutex);
    for (size_t i = 0; i < pool.helper_count; i++)
        pthread_join(pool.helpers[i], NULL);
    pool.helper_count = 0;
}

size_t tb_cpu_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
#endif
    return n > 0 ? (size_t)n : 1;
}
