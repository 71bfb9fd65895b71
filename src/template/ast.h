// The syntax tree of templates, how it is made, and how its names are resolved. Private to the
// template files. All of it lives in the arena of the template and is constant after compilation.
#ifndef TB_TEMPLATE_AST_H
#define TB_TEMPLATE_AST_H

#include "template/lex.h"
#include "template/value.h"

typedef struct tb_jexpr tb_jexpr;
typedef struct tb_jstmt tb_jstmt;
typedef struct tb_jscope tb_jscope;

// ---- names ----

// One variable name of the template; the binding is used during resolution only.
typedef struct tb_jname {
    const tb_jstring *text;
    struct tb_jname *next; // in the parser's table
    struct tb_jbinding *binding;
} tb_jname;

// Where a variable lives: a slot of the frame that is `up` functions further out.
typedef struct tb_jref {
    uint32_t up, slot;
} tb_jref;

// ---- expressions ----

typedef enum tb_jexpr_kind {
    TB_JEXPR_CONSTANT,
    TB_JEXPR_NAME,
    TB_JEXPR_MEMBER, // ns.attr as the target of a set
    TB_JEXPR_TUPLE,
    TB_JEXPR_LIST,
    TB_JEXPR_DICT,   // items: key, value, key, value …
    TB_JEXPR_CONCAT, // a ~ b ~ c
    TB_JEXPR_UNARY,
    TB_JEXPR_BINARY,
    TB_JEXPR_COMPARE, // items: operands, each but the first with its operator
    TB_JEXPR_COND,
    TB_JEXPR_ATTR,
    TB_JEXPR_ITEM,
    TB_JEXPR_SLICE,
    TB_JEXPR_CALL,
    TB_JEXPR_FILTER,
    TB_JEXPR_TEST,
    TB_JEXPR_CONTENT, // what a filter or set block has captured
} tb_jexpr_kind;

typedef struct tb_jlist_expr {
    tb_jexpr *first, *last; // linked by `next`
    size_t count;
} tb_jlist_expr;

typedef struct tb_jkeyword_expr {
    const tb_jstring *name;
    tb_jexpr *value;
    struct tb_jkeyword_expr *next;
} tb_jkeyword_expr;

typedef struct tb_jargs {
    tb_jlist_expr positional;
    tb_jkeyword_expr *keywords;
    size_t keyword_count;
    tb_jexpr *rest;          // *args, or NULL
    tb_jexpr *rest_keywords; // **kwargs, or NULL
} tb_jargs;

struct tb_jexpr {
    tb_jexpr_kind kind;
    tb_joperator op;      // unary, binary
    tb_joperator compare; // of an operand of a comparison: what stands in front of it
    uint32_t line;
    uint32_t depth; // of the tree below, bounded
    tb_jexpr *next; // in a list
    union {
        tb_jvalue constant;
        struct {
            tb_jname *id;
            tb_jref ref;
            const tb_jstring *attribute; // of a MEMBER
        } name;
        tb_jlist_expr items;
        struct {
            tb_jexpr *left, *right; // unary: left only
        } operands;
        struct {
            tb_jexpr *test, *then, *otherwise; // otherwise: NULL without else
        } cond;
        struct {
            tb_jexpr *object;
            const tb_jstring *name;
        } attr;
        struct {
            tb_jexpr *object, *index;
        } item;
        struct {
            tb_jexpr *object, *start, *stop, *step; // any of the last three may be NULL
        } slice;
        struct {
            tb_jexpr *subject; // the callee; what is filtered or tested
            const tb_jstring *name;
            const tb_jbuiltin *function; // NULL: unknown, an error when it is reached
            tb_jargs args;
        } call; // CALL, FILTER, TEST
    } as;
};

// ---- statements ----

typedef struct tb_jblock {
    tb_jstmt *first, *last;
} tb_jblock;

typedef enum tb_jstmt_kind {
    TB_JSTMT_DATA,
    TB_JSTMT_PRINT,
    TB_JSTMT_IF,
    TB_JSTMT_FOR,
    TB_JSTMT_SET,
    TB_JSTMT_SET_BLOCK,
    TB_JSTMT_WITH,
    TB_JSTMT_MACRO,
    TB_JSTMT_CALL_BLOCK, // without a call: a generation block
    TB_JSTMT_FILTER_BLOCK,
    TB_JSTMT_BREAK,
    TB_JSTMT_CONTINUE,
} tb_jstmt_kind;

typedef struct tb_jbranch {
    tb_jexpr *test;
    tb_jblock body;
    struct tb_jbranch *next;
} tb_jbranch;

typedef struct tb_jparam {
    tb_jname *id;
    tb_jref ref;
    tb_jexpr *fallback; // NULL: none
    struct tb_jparam *next;
} tb_jparam;

// What a macro, a call block or a generation block runs: a function with a frame of its own.
typedef struct tb_jfunction_def {
    const tb_jstring *name; // NULL: the caller of a call block
    tb_jparam *params;
    size_t param_count;
    tb_jblock body;
    tb_jscope *scope;
    size_t slots;
    bool takes_caller, takes_keywords, takes_varargs; // uses these names without declaring them
    tb_jref caller, keywords, varargs;
} tb_jfunction_def;

typedef struct tb_jfor {
    tb_jexpr *target, *iterable, *test; // test: NULL without
    tb_jblock body, otherwise;
    bool recursive, uses_loop, has_otherwise;
    tb_jref loop;
    tb_jscope *scope, *otherwise_scope;
    size_t slots; // of a recursive loop, which is a function
    // The filter is a function with the target's names in a frame of its own.
    tb_jexpr *test_target;
    tb_jscope *test_scope;
    size_t test_slots;
} tb_jfor;

struct tb_jstmt {
    tb_jstmt_kind kind;
    uint32_t line;
    tb_jstmt *next;
    union {
        tb_text data;
        tb_jexpr *print;
        struct {
            tb_jbranch *branches;
            tb_jblock otherwise;
        } branch;
        tb_jfor loop;
        struct {
            tb_jexpr *target, *value; // of a set block, value is NULL or filters over CONTENT
            tb_jblock body;
            tb_jscope *scope;
        } set;
        struct {
            tb_jlist_expr targets, values;
            tb_jblock body;
            tb_jscope *scope;
        } with;
        struct {
            tb_jexpr *target; // NULL for a call block
            tb_jexpr *call;   // of a call block
            tb_jfunction_def function;
        } macro;
        struct {
            tb_jexpr *filter;
            tb_jblock body;
            tb_jscope *scope;
        } filter;
    } as;
};

// ---- scopes: what happens to variables where a block is entered and left ----

typedef enum tb_jload {
    TB_JLOAD_NOTHING, // a parameter: whoever enters sets it
    TB_JLOAD_CLEAR,   // starts without a value
    TB_JLOAD_COPY,    // starts as the variable further out that it hides
    TB_JLOAD_CONTEXT, // starts as the context's variable of this name
} tb_jload;

typedef struct tb_jscope_entry {
    tb_jname *id;
    uint32_t slot;
    tb_jload load;
    tb_jref from; // COPY
    struct tb_jscope_entry *next;
} tb_jscope_entry;

struct tb_jscope {
    tb_jscope_entry *entries;
};

// ---- the template ----

struct tb_template {
    tb_arena arena;
    tb_jblock body;
    tb_jscope *scope;
    size_t slots;
};

// Fills `tmpl->body` from the source.
tb_code tb_jparse(struct tb_template *tmpl, tb_text source, tb_error *err);

// Gives every name its slot and every block its scope.
tb_code tb_jresolve(struct tb_template *tmpl, tb_error *err);

#endif
