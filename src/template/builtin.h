// What templates can call: filters, tests, methods, global functions. Private to the template files.
#ifndef TB_TEMPLATE_BUILTIN_H
#define TB_TEMPLATE_BUILTIN_H

#include "template/value.h"

typedef struct tb_jkeyword {
    const tb_jstring *name;
    tb_jvalue value;
} tb_jkeyword;

enum { TB_JPARAMS = 6 }; // most parameters of a builtin

struct tb_jcall {
    // The arguments as they were given.
    size_t count;
    const tb_jvalue *values;
    size_t keyword_count;
    const tb_jkeyword *keywords;
    // For builtins: what is filtered or tested, or the method's object; and the arguments by parameter,
    // MISSING where there is none.
    tb_jvalue self;
    tb_jvalue args[TB_JPARAMS];
};

typedef tb_code (*tb_jbuiltin_fn)(tb_jvalue *out, tb_jrun *run, const tb_jcall *call);

struct tb_jbuiltin {
    const char *name;
    // Names of the parameters, separated by spaces; "?" behind a name: optional; "/" in front of all:
    // not to be given by name; NULL: any arguments.
    const char *params;
    tb_jbuiltin_fn run; // NULL: Python has it, twobit does not support it
};

// Tables end with a name of NULL.
const tb_jbuiltin *tb_jbuiltin_find(const tb_jbuiltin *table, tb_text name);

extern const tb_jbuiltin tb_jtext_filters[], tb_jsequence_filters[], tb_jtests[], tb_jglobals[];
extern const tb_jbuiltin tb_jstring_methods[], tb_jlist_methods[], tb_jtuple_methods[], tb_jdict_methods[];
extern const tb_jbuiltin tb_jcycler_methods[], tb_jloop_methods[];

const tb_jbuiltin *tb_jfilter_find(tb_text name); // NULL: unknown to jinja2
const tb_jbuiltin *tb_jtest_find(tb_text name);

// Binds the arguments to the parameters and runs it. `what` is "filter", "test", "method" or "function".
tb_code tb_jbuiltin_call(tb_jvalue *out, tb_jrun *run, const tb_jbuiltin *function, const char *what, tb_jvalue self,
                         const tb_jcall *call);

// The keyword by which a call block gives its body to a macro.
extern const tb_jstring tb_jcaller_name;

// Calls a value: a function, method, macro, loop or joiner.
tb_code tb_jcall_value(tb_jvalue *out, tb_jrun *run, tb_jvalue callee, const tb_jcall *call);
bool tb_jis_callable(tb_jvalue value);

// ---- reading arguments ----

// The argument as a truth value, int or string, or the fallback when it is MISSING. Wrong types: TB_EINVAL.
bool tb_jarg_truth(tb_jvalue argument, bool fallback);
tb_code tb_jarg_int(int64_t *out, tb_jrun *run, const char *what, tb_jvalue argument, int64_t fallback);
tb_code tb_jarg_text(tb_text *out, tb_jrun *run, const char *what, tb_jvalue argument, const char *fallback);
bool tb_jarg_given(tb_jvalue argument); // neither MISSING nor none

#endif
