// The syntax tree of templates, how it is made, and how its names are resolved. Private to the
// template files. All of it lives in the arena of the template and is constant after compilation.
#ifndef TB_TEMPLATE_AST_H
#define TB_TEMPLATE_AST_H

#include "template/lex.h"
#include "template/value.h"

typedef struct tb_expr tb_expr;
typedef struct tb_stmt tb_stmt;
typedef struct tb_scope tb_scope;

// ---- names ----

// One variable name of the template; the binding is used during resolution only.
typedef struct tb_name {
    const tb_string *string;
    struct tb_name *next; // in the parser's table
    struct tb_binding *binding;
} tb_name;

// Where a variable lives: a slot of the frame that is `up` functions further out.
typedef struct tb_slot_ref {
    uint32_t up, slot;
} tb_slot_ref;

// ---- expressions ----

typedef enum tb_expr_kind {
    TB_EXPR_CONSTANT,
    TB_EXPR_NAME,
    TB_EXPR_MEMBER, // ns.attr as the target of a set
    TB_EXPR_TUPLE,
    TB_EXPR_LIST,
    TB_EXPR_DICT, // items: key, value, key, value …
    TB_EXPR_UNARY,
    TB_EXPR_BINARY,
    TB_EXPR_COMPARE, // items: operands, each but the first with its operator
    TB_EXPR_COND,
    TB_EXPR_ATTR,
    TB_EXPR_ITEM,
    TB_EXPR_SLICE,
    TB_EXPR_CALL,
    TB_EXPR_FILTER,
    TB_EXPR_TEST,
    TB_EXPR_CONTENT, // what a filter or set block has captured
} tb_expr_kind;

typedef struct tb_expr_list {
    tb_expr *first, *last; // linked by `next`
    size_t count;
} tb_expr_list;

typedef struct tb_keyword_expr {
    const tb_string *name;
    tb_expr *value;
    struct tb_keyword_expr *next;
} tb_keyword_expr;

typedef struct tb_arguments {
    tb_expr_list positional;
    tb_keyword_expr *keywords;
    size_t keyword_count;
    tb_expr *rest;          // *args, or NULL
    tb_expr *rest_keywords; // **kwargs, or NULL
} tb_arguments;

struct tb_expr {
    tb_expr_kind kind;
    tb_operator op;      // unary, binary
    tb_operator compare; // of an operand of a comparison: what stands in front of it
    uint32_t line;
    uint32_t depth; // of the tree below, bounded
    tb_expr *next;  // in a list
    union {
        tb_value constant;
        struct {
            tb_name *id;
            tb_slot_ref ref;
            const tb_string *attribute; // of a MEMBER
        } name;
        tb_expr_list items;
        struct {
            tb_expr *left, *right; // unary: left only
        } operands;
        struct {
            tb_expr *test, *then, *otherwise; // otherwise: NULL without else
        } cond;
        struct {
            tb_expr *object;
            const tb_string *name;
        } attr;
        struct {
            tb_expr *object, *index;
        } item;
        struct {
            tb_expr *object, *start, *stop, *step; // any of the last three may be NULL
        } slice;
        struct {
            tb_expr *subject; // the callee; what is filtered or tested
            const tb_string *name;
            const tb_builtin *function; // NULL: unknown, an error when it is reached
            tb_arguments args;
        } call; // CALL, FILTER, TEST
    } as;
};

// ---- statements ----

typedef struct tb_body {
    tb_stmt *first, *last;
} tb_body;

typedef enum tb_stmt_kind {
    TB_STMT_DATA,
    TB_STMT_PRINT,
    TB_STMT_IF,
    TB_STMT_FOR,
    TB_STMT_SET,
    TB_STMT_SET_BLOCK,
    TB_STMT_WITH,
    TB_STMT_MACRO,
    TB_STMT_CALL_BLOCK, // without a call: a generation block
    TB_STMT_FILTER_BLOCK,
    TB_STMT_BREAK,
    TB_STMT_CONTINUE,
} tb_stmt_kind;

typedef struct tb_branch {
    tb_expr *test;
    tb_body body;
    struct tb_branch *next;
} tb_branch;

typedef struct tb_parameter {
    tb_expr *name;
    tb_expr *fallback; // NULL: none
    struct tb_parameter *next;
} tb_parameter;

// What a macro, a call block or a generation block runs: a function with a frame of its own.
typedef struct tb_function {
    const tb_string *name; // NULL: the caller of a call block
    tb_parameter *params;
    size_t param_count;
    tb_body body;
    tb_scope *scope;
    size_t slots;
    tb_expr *caller, *keywords, *varargs; // names that it uses without declaring them; NULL: it does not
} tb_function;

typedef struct tb_for {
    tb_expr *target, *iterable, *test; // test: NULL without
    tb_body body, otherwise;
    tb_expr *loop; // the name, NULL where the body does not use it
    bool has_otherwise;
    tb_scope *scope, *otherwise_scope;
    // The filter is a function with the target's names in a frame of its own.
    tb_expr *test_target;
    tb_scope *test_scope;
    size_t test_slots;
} tb_for;

struct tb_stmt {
    tb_stmt_kind kind;
    uint32_t line;
    tb_stmt *next;
    union {
        tb_text data;
        tb_expr *print;
        struct {
            tb_branch *branches;
            tb_body otherwise;
        } branch;
        tb_for loop;
        struct {
            tb_expr *target, *value; // of a set block, value is NULL or filters over CONTENT
            tb_body body;
            tb_scope *scope;
        } set;
        struct {
            tb_expr_list targets, values;
            tb_body body;
            tb_scope *scope;
        } with;
        struct {
            tb_expr *target; // NULL for a call block
            tb_expr *call;   // of a call block
            tb_function function;
        } macro;
        struct {
            tb_expr *filter;
            tb_body body;
            tb_scope *scope;
        } filter;
    } as;
};

// ---- scopes: what happens to variables where a block is entered and left ----

typedef enum tb_load_kind {
    TB_LOAD_NOTHING, // a parameter: whoever enters sets it
    TB_LOAD_CLEAR,   // starts without a value
    TB_LOAD_COPY,    // starts as the variable further out that it hides
    TB_LOAD_CONTEXT, // starts as the context's variable of this name
} tb_load_kind;

typedef struct tb_scope_entry {
    tb_name *id;
    uint32_t slot;
    tb_load_kind load;
    tb_slot_ref from; // COPY
    struct tb_scope_entry *next;
} tb_scope_entry;

struct tb_scope {
    tb_scope_entry *entries;
};

// ---- the template ----

struct tb_template {
    tb_arena arena;
    tb_body body;
    tb_scope *scope;
    size_t slots;
};

// Fills `tmpl->body` from the source.
tb_code tb_parse_template(struct tb_template *tmpl, tb_text source, tb_error *err);

// Gives every name its slot and every block its scope.
tb_code tb_resolve_names(struct tb_template *tmpl, tb_error *err);

#endif
