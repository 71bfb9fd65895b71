// Walking values: Python's iterators and generators. Private to the template files.
//
// Filters such as map and select give iterators that work only when walked, and only once.
#ifndef TB_TEMPLATE_ITER_H
#define TB_TEMPLATE_ITER_H

#include "template/builtin.h"
#include "template/run.h"

struct tb_jiter {
    // Stores the next value, MISSING at the end and ever after.
    tb_code (*next)(tb_jvalue *out, tb_jrun *run, tb_jiter *iter);
    tb_jvalue source; // what it walks; for filters: what is walked by `inner` once they have started
    tb_jiter *inner;
    size_t at, end;  // position in the source
    bool bounded;    // ends where `at` reaches `end`; else `next` says when
    bool busy;       // inside of `next`
    const void *how; // what a filter does: a structure of its own
    tb_jvalue held;  // an item or list that a filter keeps between its steps
    tb_jdict *seen;  // keys that `unique` has met
};

// An iterator over `value`; TB_EINVAL when it cannot be walked. An iterator is its own.
tb_code tb_jiter_new(tb_jiter **out, tb_jrun *run, tb_jvalue value);
// reversed(value): MISSING when Python cannot walk it backwards.
tb_code tb_jiter_reversed(tb_jvalue *out, tb_jrun *run, tb_jvalue value);
bool tb_jis_iterable(tb_jvalue value);

tb_code tb_jiter_next(tb_jvalue *out, tb_jrun *run, tb_jiter *iter);

// A value for an iterator of somebody's own making.
tb_code tb_jiter_make(tb_jvalue *out, tb_jrun *run, tb_jvalue source,
                      tb_code (*next)(tb_jvalue *, tb_jrun *, tb_jiter *), const void *how);
// For such an iterator: opens `inner` over the source when it is not open yet.
tb_code tb_jiter_start(tb_jrun *run, tb_jiter *iter);

// list(value) or tuple(value); the same object when it is one already.
tb_code tb_jcollect(tb_jvalue *out, tb_jrun *run, tb_jkind kind, tb_jvalue value);

// list(value) sorted by keys, one for each item; stable.
tb_code tb_jsort(tb_jvalue *out, tb_jrun *run, tb_jvalue list, const tb_jvalue *keys, bool reverse);

#endif
