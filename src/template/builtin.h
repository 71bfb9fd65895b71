// What templates can call: filters, tests, methods, global functions. Private to the template files.
#ifndef TB_TEMPLATE_BUILTIN_H
#define TB_TEMPLATE_BUILTIN_H

#include "template/value.h"

typedef struct tb_keyword {
    const tb_string *name;
    tb_value value;
} tb_keyword;

enum { TB_MOST_PARAMETERS = 6 }; // most parameters of a builtin

struct tb_call {
    // The arguments as they were given.
    size_t count;
    const tb_value *values;
    size_t keyword_count;
    const tb_keyword *keywords;
    // For builtins: what is filtered or tested, or the method's object; and the arguments by parameter,
    // MISSING where there is none.
    int how; // the builtin's own `how`
    tb_value self;
    tb_value args[TB_MOST_PARAMETERS];
};

typedef tb_value (*tb_builtin_fn)(tb_render *run, const tb_call *call);

struct tb_builtin {
    const char *name;
    // Names of the parameters, separated by spaces; "?" behind a name: optional; "/" in front of all:
    // not to be given by name; NULL: any arguments.
    const char *params;
    tb_builtin_fn run; // NULL: Python has it, twobit does not support it
    int how;           // which of several things that one function does
};

// Tables end with a name of NULL.
const tb_builtin *tb_builtin_find(const tb_builtin *table, tb_piece name);

extern const tb_builtin tb_text_filters[], tb_sequence_filters[], tb_tests[], tb_globals[];
extern const tb_builtin tb_string_methods[], tb_list_methods[], tb_tuple_methods[], tb_dict_methods[];
extern const tb_builtin tb_loop_methods[];

const tb_builtin *tb_filter_find(tb_piece name); // NULL: unknown to jinja2
const tb_builtin *tb_test_find(tb_piece name);

// The tests lower and upper, and the methods; `how` is the tb_letter_case.
tb_value tb_text_is_in_case(tb_render *run, const tb_call *call);

// Binds the arguments to the parameters and runs it. `what` is "filter", "test", "method" or "function".
tb_value tb_builtin_call(tb_render *run, const tb_builtin *function, const char *what, tb_value self,
                         const tb_call *call);

// The keyword by which a call block gives its body to a macro.
extern const tb_string tb_caller_name;

// Calls a value: a function, method, macro or joiner.
tb_value tb_value_call(tb_render *run, tb_value callee, const tb_call *call);
bool tb_value_is_callable(tb_value value);

// ---- reading arguments ----

// The argument as a truth value, int or string, or the fallback when it is MISSING. Wrong types: TB_EINVAL.
bool tb_argument_truth(tb_value argument, bool fallback);
int64_t tb_argument_int(tb_render *run, const char *what, tb_value argument, int64_t fallback);
tb_piece tb_argument_text(tb_render *run, const char *what, tb_value argument, const char *fallback);
bool tb_argument_given(tb_value argument); // neither MISSING nor none

#endif
