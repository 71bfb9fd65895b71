// Walking values: Python's iterators and generators. Private to the template files.
//
// Filters such as map and select give iterators that work only when walked, and only once.
#ifndef TB_TEMPLATE_ITER_H
#define TB_TEMPLATE_ITER_H

#include "template/run.h"

// The next value, MISSING at the end and ever after.
typedef tb_value (*tb_iter_step)(tb_render *run, tb_iter *iter);

struct tb_iter {
    tb_iter_step next;
    tb_value source; // what it walks; for filters: what is walked by `inner` once they have started
    tb_iter *inner;
    size_t at, end;  // position in the source
    bool bounded;    // ends where `at` reaches `end`; else `next` says when
    bool busy;       // inside of `next`
    const void *how; // what a filter does: a structure of its own
    tb_dict *seen;   // keys that `unique` has met
};

// An iterator over `value`; TB_EINVAL, and NULL, when it cannot be walked. An iterator is its own.
tb_iter *tb_iter_new(tb_render *run, tb_value value);
// reversed(value): MISSING when Python cannot walk it backwards.
tb_value tb_iter_reversed(tb_render *run, tb_value value);
bool tb_value_is_iterable(tb_value value);

// MISSING for a NULL, too.
tb_value tb_iter_next(tb_render *run, tb_iter *iter);

// A value for an iterator of somebody's own making.
tb_value tb_iter_make(tb_render *run, tb_value source, tb_iter_step next, const void *how);
// For such an iterator: the next value of the source, which is opened when it is not open yet.
tb_value tb_iter_next_of_source(tb_render *run, tb_iter *iter);

// list(value) or tuple(value); the same object when it is one already.
tb_value tb_value_collect(tb_render *run, tb_value_kind kind, tb_value value);

// list(value) sorted by keys, one for each item; stable.
tb_value tb_list_sort(tb_render *run, tb_value list, const tb_value *keys, bool reverse);

#endif
