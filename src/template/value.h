// Values of templates: Python's, as far as templates see them. Private to the template files.
//
// A value is 16 bytes and is passed by value; what it points to lives in an arena (that of the run, or
// of the template for constants) and never changes once made, except namespaces, iterators, cyclers,
// joiners and loops. Lists and dicts cannot be changed by templates (Hugging Face's sandbox), so they are shared.
#ifndef TB_TEMPLATE_VALUE_H
#define TB_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

typedef struct tb_jrun tb_jrun;
typedef struct tb_jiter tb_jiter;       // iter.h
typedef struct tb_jloop tb_jloop;       // run.h
typedef struct tb_jmacro tb_jmacro;     // run.h
typedef struct tb_jbuiltin tb_jbuiltin; // builtin.h
typedef struct tb_jcall tb_jcall;       // builtin.h

typedef enum tb_jkind {
    TB_J_MISSING, // no value at all: a variable or argument that was not given
    TB_J_UNDEFINED,
    TB_J_NONE,
    TB_J_BOOL,
    TB_J_INT,
    TB_J_FLOAT,
    TB_J_STRING,
    TB_J_LIST,
    TB_J_TUPLE,
    TB_J_DICT,
    TB_J_RANGE,
    TB_J_VIEW,      // keys, values or items of a dict
    TB_J_ITER,      // Python's generators and iterators: to be walked once
    TB_J_NAMESPACE, // namespace()
    TB_J_CYCLER,
    TB_J_JOINER,
    TB_J_LOOP,     // the `loop` of a for
    TB_J_MACRO,    // also the `caller` of a call block
    TB_J_METHOD,   // a method bound to its object
    TB_J_FUNCTION, // a global function
} tb_jkind;

// Why something is undefined, for the message when it is used.
typedef enum tb_jwhy {
    TB_JWHY_NAME,      // no variable of this name
    TB_JWHY_ATTRIBUTE, // an object without this attribute or item
    TB_JWHY_PARAMETER, // a parameter of a macro that was not given
    TB_JWHY_FORBIDDEN, // an attribute that the sandbox forbids
    TB_JWHY_HINT,      // something else: `hint` says it
} tb_jwhy;

typedef enum tb_jview { TB_JVIEW_KEYS, TB_JVIEW_VALUES, TB_JVIEW_ITEMS } tb_jview;

typedef struct tb_jstring tb_jstring;
typedef struct tb_jlist tb_jlist;
typedef struct tb_jdict tb_jdict;
typedef struct tb_jrange tb_jrange;
typedef struct tb_jcycler tb_jcycler;
typedef struct tb_jjoiner tb_jjoiner;
typedef struct tb_jmethod tb_jmethod;

typedef struct tb_jvalue {
    uint8_t kind;    // tb_jkind
    uint8_t variant; // string: markup; tuple: made by groupby; view: tb_jview; undefined: tb_jwhy
    uint8_t owner;   // undefined: the tb_jkind of the object that lacks the attribute
    union {
        bool boolean;
        int64_t integer;
        double real;
        const tb_jstring *string; // also of undefined: the name that is not there, or NULL
        const char *hint;         // of undefined, TB_JWHY_HINT: the whole reason
        const tb_jlist *list;     // also of tuples
        tb_jdict *dict;           // also of views and namespaces
        const tb_jrange *range;
        tb_jiter *iter;
        tb_jcycler *cycler;
        tb_jjoiner *joiner;
        tb_jloop *loop;
        const tb_jmacro *macro;
        const tb_jmethod *method;
        const tb_jbuiltin *function;
    } as;
} tb_jvalue;

enum { TB_J_MARKUP = 1, TB_J_GROUP = 1 }; // variants of strings and tuples

// Where a string that was made by concatenation may grow: appending to the one string that ends where
// `used` does needs no copy, so that text gathered piece by piece costs its length, not its square.
typedef struct tb_jtail {
    size_t used, capacity;
    char data[];
} tb_jtail;

struct tb_jstring {
    const char *data; // valid UTF-8, no NUL behind it
    size_t size;      // bytes
    size_t length;    // characters
    tb_jtail *tail;   // NULL unless made by concatenation
};

struct tb_jlist {
    size_t count;
    tb_jvalue *items;
};

struct tb_jrange {
    int64_t start, stop, step;
    size_t count;
};

struct tb_jcycler {
    const tb_jlist *items;
    size_t at;
};

struct tb_jjoiner {
    tb_jvalue separator;
    bool used;
};

struct tb_jmethod {
    tb_jvalue self;
    const tb_jbuiltin *function;
};

// ---- making values ----

static inline tb_jvalue tb_jnone(void)
{
    return (tb_jvalue){.kind = TB_J_NONE};
}

static inline tb_jvalue tb_jbool(bool value)
{
    return (tb_jvalue){.kind = TB_J_BOOL, .as.boolean = value};
}

static inline tb_jvalue tb_jint(int64_t value)
{
    return (tb_jvalue){.kind = TB_J_INT, .as.integer = value};
}

static inline tb_jvalue tb_jfloat(double value)
{
    return (tb_jvalue){.kind = TB_J_FLOAT, .as.real = value};
}

static inline tb_jvalue tb_jundefined(tb_jwhy why, const tb_jstring *name)
{
    return (tb_jvalue){.kind = TB_J_UNDEFINED, .variant = (uint8_t)why, .as.string = name};
}

static inline tb_jvalue tb_jundefined_hint(const char *hint)
{
    return (tb_jvalue){.kind = TB_J_UNDEFINED, .variant = TB_JWHY_HINT, .as.hint = hint};
}

static inline tb_jvalue tb_jstring_value(const tb_jstring *string)
{
    return (tb_jvalue){.kind = TB_J_STRING, .as.string = string};
}

static inline tb_text tb_jstring_text(const tb_jstring *string)
{
    return (tb_text){string->data, string->size};
}

static inline tb_text tb_jtext(tb_jvalue string)
{
    return tb_jstring_text(string.as.string);
}

static inline bool tb_jis_markup(tb_jvalue value)
{
    return value.kind == TB_J_STRING && value.variant == TB_J_MARKUP;
}

bool tb_jtext_equals(tb_text text, const char *literal);
bool tb_jtext_same(tb_text a, tb_text b);

// A string in an arena of its own choice, for constants of the template; NULL when memory ran out.
const tb_jstring *tb_jstring_constant(tb_arena *arena, tb_text text);

// A string whose bytes stay where they are, for as long as the run lasts.
tb_code tb_jstring_borrow(tb_jvalue *out, tb_jrun *run, tb_text text);
// A string with a copy of the bytes.
tb_code tb_jstring_new(tb_jvalue *out, tb_jrun *run, tb_text text);
// `left` and `right`, neither escaped nor marked.
tb_code tb_jstring_concat(tb_jvalue *out, tb_jrun *run, tb_jvalue left, tb_jvalue right);
// Characters [start, end) of a string, start <= end <= length.
tb_code tb_jstring_cut(tb_jvalue *out, tb_jrun *run, tb_jvalue string, size_t start, size_t end);
// The same text as Markup, special characters of HTML escaped unless it is Markup already.
tb_code tb_jstring_escape(tb_jvalue *out, tb_jrun *run, tb_jvalue string);

// A list or tuple (`kind`) of `count` items; they are MISSING until the caller fills them in.
tb_code tb_jlist_new(tb_jvalue *out, tb_jrun *run, tb_jkind kind, size_t count);
// A list or tuple with a copy of the items.
tb_code tb_jlist_from(tb_jvalue *out, tb_jrun *run, tb_jkind kind, const tb_jvalue *items, size_t count);

// ---- growing lists, while they are made ----

typedef struct tb_jbuilder {
    tb_jvalue *items;
    size_t count, capacity;
} tb_jbuilder; // zeroed: empty

tb_code tb_jbuilder_add(tb_jbuilder *builder, tb_jrun *run, tb_jvalue item);
tb_code tb_jbuilder_finish(tb_jvalue *out, tb_jrun *run, tb_jbuilder *builder, tb_jkind kind);

// ---- dicts: in order of insertion ----

typedef struct tb_jentry {
    tb_jvalue key, value;
    uint64_t hash;
} tb_jentry;

struct tb_jdict {
    tb_jentry *entries;
    size_t count, capacity;
    uint32_t *index; // [index_size] entry number + 1, or 0; NULL while the dict is small
    size_t index_size;
};

tb_code tb_jdict_new(tb_jvalue *out, tb_jrun *run);
// Adds or replaces. TB_EINVAL for a key that has no hash, such as a list.
tb_code tb_jdict_set(tb_jdict *dict, tb_jrun *run, tb_jvalue key, tb_jvalue value);
// *out is MISSING when the key is absent. TB_EINVAL for a key that has no hash.
tb_code tb_jdict_get(tb_jvalue *out, tb_jrun *run, const tb_jdict *dict, tb_jvalue key);
// Whether a value can be a key.
bool tb_jis_hashable(tb_jvalue value);
// MISSING when absent.
tb_jvalue tb_jdict_get_text(const tb_jdict *dict, tb_text key);

// ---- what Python asks of values ----

// The type's name in messages: "str", "list" …
const char *tb_jkind_name(tb_jkind kind);

bool tb_jtruth(tb_jvalue value);
bool tb_jis_number(tb_jvalue value);   // int, float or bool
bool tb_jis_integral(tb_jvalue value); // int or bool
int64_t tb_jas_int(tb_jvalue value);   // of an int or bool
double tb_jas_double(tb_jvalue value); // of a number

// False when the value has no length without being walked.
bool tb_jlength(size_t *out, tb_jvalue value);

tb_code tb_jequal(bool *out, tb_jrun *run, tb_jvalue a, tb_jvalue b);
// a < b as Python orders them; TB_EINVAL where it does not.
tb_code tb_jless(bool *out, tb_jrun *run, tb_jvalue a, tb_jvalue b);
// a <= b.
tb_code tb_jless_equal(bool *out, tb_jrun *run, tb_jvalue a, tb_jvalue b);
// `item in container`.
tb_code tb_jcontains(bool *out, tb_jrun *run, tb_jvalue container, tb_jvalue item);
// `is`: the same object, or equal values of the types that have no identity here.
bool tb_jsame(tb_jvalue a, tb_jvalue b);

// Raises what Python raises when something undefined is used.
tb_code tb_jfail_undefined(tb_jrun *run, tb_jvalue undefined);

#endif
