#include "thread_ranks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANKS = 8 };

// Where the ranks meet.
typedef struct place {
    pthread_barrier_t barrier;
    size_t count;
    void *parts[MOST_RANKS]; // of each rank
} place;

typedef struct member {
    place *place;
    tb_ranks ranks;
    void (*fn)(void *user, tb_ranks *ranks);
    void *user;
    pthread_t thread;
} member;

static tb_code gather(void *user, void *parts, size_t bytes, tb_error *err)
{
    (void)err;
    member *m = user;
    place *p = m->place;
    p->parts[m->ranks.rank] = parts;
    pthread_barrier_wait(&p->barrier);
    for (size_t i = 0; i < p->count; i++)
        if (i != m->ranks.rank)
            memcpy((char *)parts + i * bytes, (const char *)p->parts[i] + i * bytes, bytes);
    pthread_barrier_wait(&p->barrier);
    return TB_OK;
}

static void *run_member(void *untyped)
{
    member *m = untyped;
    m->fn(m->user, &m->ranks);
    return NULL;
}

void run_ranks(size_t count, void (*fn)(void *user, tb_ranks *ranks), void *user)
{
    member members[MOST_RANKS];
    place meeting = {.count = count};
    if (count > MOST_RANKS || pthread_barrier_init(&meeting.barrier, NULL, (unsigned)count) != 0)
        abort();
    for (size_t i = 0; i < count; i++) {
        members[i] = (member){.place = &meeting, .fn = fn, .user = user};
        if (tb_ranks_init(&members[i].ranks, i, count, gather, &members[i], NULL) ||
            pthread_create(&members[i].thread, NULL, run_member, &members[i]) != 0)
            abort();
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(members[i].thread, NULL);
    for (size_t i = 0; i < count; i++)
        tb_ranks_clear(&members[i].ranks);
    pthread_barrier_destroy(&meeting.barrier);
}
