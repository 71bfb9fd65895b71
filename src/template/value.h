// Values of templates: Python's, as far as templates see them. Private to the template files.
//
// A value is 16 bytes and is passed by value; what it points to lives in an arena (that of the run, or
// of the template for constants) and never changes once made, except namespaces, iterators,
// joiners and loops. Lists and dicts cannot be changed by templates (Hugging Face's sandbox), so they are shared.
#ifndef TB_TEMPLATE_VALUE_H
#define TB_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "template/piece.h"

typedef struct tb_render tb_render;
typedef struct tb_iter tb_iter;       // iter.h
typedef struct tb_loop tb_loop;       // run.h
typedef struct tb_macro tb_macro;     // run.h
typedef struct tb_builtin tb_builtin; // builtin.h
typedef struct tb_call tb_call;       // builtin.h

typedef enum tb_value_kind {
    TB_VALUE_MISSING, // no value at all: a variable or argument that was not given
    TB_VALUE_UNDEFINED,
    TB_VALUE_NONE,
    TB_VALUE_BOOL,
    TB_VALUE_INT,
    TB_VALUE_FLOAT,
    TB_VALUE_STRING,
    TB_VALUE_LIST,
    TB_VALUE_TUPLE,
    TB_VALUE_DICT,
    TB_VALUE_RANGE,
    TB_VALUE_VIEW,      // keys, values or items of a dict
    TB_VALUE_ITER,      // Python's generators and iterators: to be walked once
    TB_VALUE_NAMESPACE, // namespace()
    TB_VALUE_JOINER,
    TB_VALUE_LOOP,     // the `loop` of a for
    TB_VALUE_MACRO,    // also the `caller` of a call block
    TB_VALUE_METHOD,   // a method bound to its object
    TB_VALUE_FUNCTION, // a global function
    TB_VALUE_KINDS
} tb_value_kind;

// Why something is undefined, for the message when it is used.
typedef enum tb_undefined_why {
    TB_WHY_NAME,      // no variable of this name
    TB_WHY_ATTRIBUTE, // an object without this attribute or item
    TB_WHY_PARAMETER, // a parameter of a macro that was not given
    TB_WHY_FORBIDDEN, // an attribute that the sandbox forbids
    TB_WHY_HINT,      // something else: `hint` says it
} tb_undefined_why;

typedef enum tb_view_kind { TB_VIEW_KEYS, TB_VIEW_VALUES, TB_VIEW_ITEMS } tb_view_kind;

typedef struct tb_string tb_string;
typedef struct tb_list tb_list;
typedef struct tb_dict tb_dict;
typedef struct tb_range tb_range;
typedef struct tb_joiner tb_joiner;
typedef struct tb_bound_method tb_bound_method;

typedef struct tb_value {
    uint8_t kind;    // tb_value_kind
    uint8_t variant; // string: markup; view: tb_view_kind; undefined: tb_undefined_why
    uint8_t owner;   // undefined: the tb_value_kind of the object that lacks the attribute
    uint8_t origin;  // tb_origin of a number, truth value or none; strings know it byte by byte
    union {
        bool boolean;
        int64_t integer;
        double real;
        const tb_string *string; // also of undefined: the name that is not there, or NULL
        const char *hint;        // of undefined, TB_WHY_HINT: the whole reason
        const tb_list *list;     // also of tuples
        tb_dict *dict;           // also of views and namespaces
        const tb_range *range;
        tb_iter *iter;
        tb_joiner *joiner;
        tb_loop *loop;
        const tb_macro *macro;
        const tb_bound_method *method;
        const tb_builtin *function;
    } as;
} tb_value;

enum { TB_VALUE_MARKUP = 1 }; // variant of strings

// Where a string that was made by concatenation may grow: appending to the one string that ends where
// `used` does needs no copy, so that text gathered piece by piece costs its length, not its square.
typedef struct tb_tail {
    size_t used, capacity;
    char *origins; // [capacity], or NULL while all bytes are of one origin
    char data[];
} tb_tail;

struct tb_string {
    tb_piece text;
    size_t length; // characters
    tb_tail *tail; // NULL unless made by concatenation
};

struct tb_list {
    size_t count;
    tb_value *items;
};

struct tb_range {
    int64_t start, stop, step;
    size_t count;
};

struct tb_joiner {
    tb_value separator;
    bool used;
};

struct tb_bound_method {
    tb_value self;
    const tb_builtin *function;
};

// ---- making values ----

static inline tb_value tb_none(void)
{
    return (tb_value){.kind = TB_VALUE_NONE};
}

static inline tb_value tb_bool(bool value)
{
    return (tb_value){.kind = TB_VALUE_BOOL, .as.boolean = value};
}

static inline tb_value tb_int(int64_t value)
{
    return (tb_value){.kind = TB_VALUE_INT, .as.integer = value};
}

static inline tb_value tb_float(double value)
{
    return (tb_value){.kind = TB_VALUE_FLOAT, .as.real = value};
}

static inline tb_value tb_undefined(tb_undefined_why why, const tb_string *name)
{
    return (tb_value){.kind = TB_VALUE_UNDEFINED, .variant = (uint8_t)why, .as.string = name};
}

static inline tb_value tb_undefined_hint(const char *hint)
{
    return (tb_value){.kind = TB_VALUE_UNDEFINED, .variant = TB_WHY_HINT, .as.hint = hint};
}

static inline tb_value tb_string_value(const tb_string *string)
{
    return (tb_value){.kind = TB_VALUE_STRING, .as.string = string};
}

// Empty unless it is a string.
static inline tb_piece tb_value_text(tb_value value)
{
    return value.kind == TB_VALUE_STRING ? value.as.string->text : tb_piece_literal("");
}

// Empty unless it is a list or tuple.
static inline const tb_list *tb_value_list(tb_value value)
{
    static const tb_list empty;
    return value.kind == TB_VALUE_LIST || value.kind == TB_VALUE_TUPLE ? value.as.list : &empty;
}

static inline tb_value tb_missing(void)
{
    return (tb_value){.kind = TB_VALUE_MISSING};
}

// Markup if the string `other` is.
static inline tb_value tb_marked_like(tb_value string, tb_value other)
{
    if (string.kind == TB_VALUE_STRING)
        string.variant = other.variant;
    return string;
}

static inline bool tb_value_is_markup(tb_value value)
{
    return value.kind == TB_VALUE_STRING && value.variant == TB_VALUE_MARKUP;
}

// Of a scalar or string: whether anything of it comes from the conversation.
tb_origin tb_value_origin(tb_value value);

// A string of the template's text, which must stay where it is.
tb_string tb_string_constant(tb_text text);

// A string whose bytes stay where they are, for as long as the run lasts.
tb_value tb_string_borrow(tb_render *run, tb_piece text);
// A string with a copy of the bytes.
tb_value tb_string_new(tb_render *run, tb_piece text);
// `left` and `right`, neither escaped nor marked.
tb_value tb_string_concat(tb_render *run, tb_value left, tb_value right);
// Characters [start, end) of a string, start <= end <= length.
tb_value tb_string_cut(tb_render *run, tb_value string, size_t start, size_t end);
// The same text as Markup, special characters of HTML escaped unless it is Markup already.
tb_value tb_string_escape(tb_render *run, tb_value string);

// A list or tuple (`kind`) of `count` items; they are MISSING until the caller fills them in.
tb_value tb_list_new(tb_render *run, tb_value_kind kind, size_t count);
// A list or tuple with a copy of the items.
tb_value tb_list_from(tb_render *run, tb_value_kind kind, const tb_value *items, size_t count);

// ---- growing lists, while they are made ----

typedef struct tb_list_builder {
    tb_value *items;
    size_t count, capacity;
} tb_list_builder; // zeroed: empty

void tb_list_builder_add(tb_list_builder *builder, tb_render *run, tb_value item);
tb_value tb_list_builder_finish(tb_render *run, const tb_list_builder *builder, tb_value_kind kind);

// ---- dicts: in order of insertion ----

typedef struct tb_dict_entry {
    tb_value key, value;
    uint64_t hash;
} tb_dict_entry;

struct tb_dict {
    tb_dict_entry *entries;
    size_t count, capacity;
    uint32_t *index; // [index_size] entry number + 1, or 0; NULL while the dict is small
    size_t index_size;
};

tb_value tb_dict_new(tb_render *run);
// Adds or replaces. TB_EINVAL for a key that has no hash, such as a list.
void tb_dict_set(tb_render *run, tb_dict *dict, tb_value key, tb_value value);
// MISSING when the key is absent. TB_EINVAL for a key that has no hash.
tb_value tb_dict_get(tb_render *run, const tb_dict *dict, tb_value key);
// The same for a key that is text.
tb_value tb_dict_get_text(tb_render *run, const tb_dict *dict, tb_piece key);
// Whether a value can be a key.
bool tb_value_is_hashable(tb_render *run, tb_value value);

// ---- what Python asks of values ----

// The type's name in messages: "str", "list" …
const char *tb_value_kind_name(tb_value_kind kind);

bool tb_value_truth(tb_value value);
bool tb_value_is_number(tb_value value);   // int, float or bool
bool tb_value_is_integral(tb_value value); // int or bool
int64_t tb_value_as_int(tb_value value);   // of an int or bool
double tb_value_as_double(tb_value value); // of a number

// Order of two numbers, exact also between ints and floats.
typedef enum tb_ordering { TB_LESS, TB_SAME, TB_GREATER, TB_UNORDERED } tb_ordering;
tb_ordering tb_number_order(tb_value a, tb_value b);

// False when the value has no length without being walked.
bool tb_value_length(size_t *out, tb_value value);

bool tb_value_equal(tb_render *run, tb_value a, tb_value b);
// a < b as Python orders them; TB_EINVAL where it does not.
bool tb_value_less(tb_render *run, tb_value a, tb_value b);
// `is`: the same object, or equal values of the types that have no identity here.
bool tb_value_same(tb_value a, tb_value b);

#endif
