#include "lab/lab_store.h"

#include <sqlite3.h>
#include <string.h>

// Marks the file as ours ("2bit"); the version counts changes of the tables.
#define APPLICATION_ID 0x32626974
#define SCHEMA_VERSION 1
#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)

enum { BUSY_MS = 10000 };

static const char schema[] =
    "BEGIN;"
    "PRAGMA application_id = " TEXT_OF(
        APPLICATION_ID) ";"
                        "PRAGMA user_version = " TEXT_OF(
                            SCHEMA_VERSION) ";"
                                            "CREATE TABLE cells (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);"
                                            "CREATE TABLE windows (cell INTEGER NOT NULL REFERENCES cells, window "
                                            "INTEGER NOT NULL, broken INTEGER NOT NULL,"
                                            " agreements INTEGER NOT NULL, nll BLOB NOT NULL, kl BLOB, PRIMARY KEY "
                                            "(cell, window));"
                                            "CREATE TABLE numbers (kind TEXT NOT NULL, key TEXT NOT NULL, place "
                                            "INTEGER NOT NULL, value REAL,"
                                            " PRIMARY KEY (kind, key, place));"
                                            "COMMIT;";

typedef enum statement_kind {
    ADD_CELL,
    FIND_CELL,
    FIND_WINDOWS,
    PUT_WINDOW,
    FORGET_WINDOWS,
    READ_WINDOWS,
    GET_NUMBERS,
    FORGET_NUMBERS,
    PUT_NUMBER,
    STATEMENTS
} statement_kind;

static const char *const texts[STATEMENTS] = {
    [ADD_CELL] = "INSERT OR IGNORE INTO cells (key) VALUES (?1)",
    [FIND_CELL] = "SELECT id FROM cells WHERE key = ?1",
    [FIND_WINDOWS] = "SELECT window FROM windows WHERE cell = ?1 AND window < ?2",
    [PUT_WINDOW] = "INSERT OR REPLACE INTO windows VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [FORGET_WINDOWS] = "DELETE FROM windows WHERE cell = ?1",
    [READ_WINDOWS] = "SELECT broken, agreements, nll, kl FROM windows WHERE cell = ?1 AND window < ?2 ORDER BY window",
    [GET_NUMBERS] = "SELECT value FROM numbers WHERE kind = ?1 AND key = ?2 ORDER BY place",
    [FORGET_NUMBERS] = "DELETE FROM numbers WHERE kind = ?1 AND key = ?2",
    [PUT_NUMBER] = "INSERT INTO numbers VALUES (?1, ?2, ?3, ?4)",
};

struct tb_store {
    char *path;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
};

static tb_code fail_damaged(const tb_store *s, const char *why, tb_error *err)
{
    return tb_fail(err, TB_EFORMAT,
                   "the results in '%s' are damaged (%s); move the file away: the quantized models beside it are used "
                   "again",
                   s->path, why);
}

// The error of SQLite's last call.
static tb_code fail_sqlite(const tb_store *s, tb_error *err)
{
    int code = s->db ? sqlite3_errcode(s->db) : SQLITE_NOMEM;
    const char *why = s->db ? sqlite3_errmsg(s->db) : "no memory";
    if (code == SQLITE_NOMEM)
        return tb_fail(err, TB_ENOMEM, "no memory for the results in '%s'", s->path);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_MISMATCH)
        return fail_damaged(s, why, err);
    return tb_fail(err, TB_EIO, "cannot use the results in '%s': %s", s->path, why);
}

// ---- opening ----

static tb_code run_text(tb_store *s, const char *sql, tb_error *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? TB_OK : fail_sqlite(s, err);
}

static tb_code get_pragma(int64_t *out, tb_store *s, const char *sql, tb_error *err)
{
    sqlite3_stmt *query = NULL;
    int code = sqlite3_prepare_v2(s->db, sql, -1, &query, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(query);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(query, 0);
    tb_code rc = code == SQLITE_ROW ? TB_OK : fail_sqlite(s, err);
    sqlite3_finalize(query);
    return rc;
}

// Makes the tables in an empty file; in any other they must be there.
static tb_code check_schema(tb_store *s, tb_error *err)
{
    int64_t tables = 0, application = 0, version = 0;
    tb_code rc = get_pragma(&tables, s, "SELECT count(*) FROM sqlite_master", err);
    if (!rc && tables == 0)
        rc = run_text(s, schema, err);
    if (!rc)
        rc = get_pragma(&application, s, "PRAGMA application_id", err);
    if (!rc)
        rc = get_pragma(&version, s, "PRAGMA user_version", err);
    if (!rc && application != APPLICATION_ID)
        return tb_fail(err, TB_EFORMAT, "'%s' holds something else than results of twobit compare", s->path);
    if (!rc && version != SCHEMA_VERSION)
        return tb_fail(err, TB_EUNSUPPORTED,
                       "the results in '%s' were written by another version of twobit; move the file away", s->path);
    return rc;
}

static tb_code prepare_statements(tb_store *s, tb_error *err)
{
    for (unsigned i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL) != SQLITE_OK)
            return fail_sqlite(s, err);
    return TB_OK;
}

tb_code tb_store_open(tb_store **out, const char *path, tb_error *err)
{
    *out = NULL;
    tb_store *s = tb_new(tb_store);
    if (s)
        s->path = tb_dup_text(path, strlen(path));
    if (!s || !s->path) {
        tb_free(s);
        return tb_fail(err, TB_ENOMEM, "no memory to open '%s'", path);
    }
    tb_code rc = sqlite3_open(path, &s->db) == SQLITE_OK ? TB_OK : fail_sqlite(s, err);
    if (!rc)
        sqlite3_busy_timeout(s->db, BUSY_MS);
    if (!rc)
        rc = check_schema(s, err);
    if (!rc)
        rc = prepare_statements(s, err);
    if (rc)
        tb_store_close(s);
    else
        *out = s;
    return rc;
}

void tb_store_close(tb_store *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    tb_free(s->path);
    tb_free(s);
}

tb_code tb_store_begin(tb_store *s, tb_error *err)
{
    return run_text(s, "BEGIN IMMEDIATE", err);
}

tb_code tb_store_commit(tb_store *s, tb_error *err)
{
    return run_text(s, "COMMIT", err);
}

// ---- statements ----

// A statement with its parameters bound. Binding fails only without memory; stepping then tells.
static sqlite3_stmt *bind_cell(tb_store *s, statement_kind which, int64_t cell)
{
    sqlite3_bind_int64(s->statements[which], 1, cell);
    return s->statements[which];
}

static sqlite3_stmt *bind_text(tb_store *s, statement_kind which, int place, const char *text)
{
    sqlite3_bind_text(s->statements[which], place, text, -1, SQLITE_STATIC);
    return s->statements[which];
}

// Ends the use of a statement of which `code` is the last step's answer.
static tb_code finish(tb_store *s, sqlite3_stmt *statement, int code, tb_error *err)
{
    tb_code rc = code == SQLITE_DONE || code == SQLITE_ROW ? TB_OK : fail_sqlite(s, err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

static tb_code run(tb_store *s, sqlite3_stmt *statement, tb_error *err)
{
    return finish(s, statement, sqlite3_step(statement), err);
}

// ---- windows ----

tb_code tb_store_cell(int64_t *id, tb_store *s, const char *key, tb_error *err)
{
    tb_code rc = run(s, bind_text(s, ADD_CELL, 1, key), err);
    if (rc)
        return rc;
    sqlite3_stmt *query = bind_text(s, FIND_CELL, 1, key);
    int code = sqlite3_step(query);
    bool found = code == SQLITE_ROW;
    *id = found ? sqlite3_column_int64(query, 0) : 0;
    rc = finish(s, query, code, err);
    return rc || found ? rc : fail_damaged(s, "a key cannot be kept", err);
}

tb_code tb_store_find_windows(bool *present, tb_store *s, int64_t cell, size_t windows, tb_error *err)
{
    for (size_t i = 0; i < windows; i++)
        present[i] = false;
    sqlite3_stmt *query = bind_cell(s, FIND_WINDOWS, cell);
    sqlite3_bind_int64(query, 2, (int64_t)windows);
    int code;
    while ((code = sqlite3_step(query)) == SQLITE_ROW) {
        int64_t window = sqlite3_column_int64(query, 0);
        if (window >= 0 && (uint64_t)window < windows)
            present[window] = true;
    }
    return finish(s, query, code, err);
}

tb_code tb_store_put_window(tb_store *s, int64_t cell, const tb_window_scores *scores, tb_error *err)
{
    sqlite3_stmt *insert = bind_cell(s, PUT_WINDOW, cell);
    uint64_t bytes = scores->predictions * sizeof(double);
    sqlite3_bind_int64(insert, 2, (int64_t)scores->window);
    sqlite3_bind_int(insert, 3, scores->broken);
    sqlite3_bind_int64(insert, 4, (int64_t)scores->agreements);
    sqlite3_bind_blob64(insert, 5, scores->nll, bytes, SQLITE_STATIC);
    if (scores->kl)
        sqlite3_bind_blob64(insert, 6, scores->kl, bytes, SQLITE_STATIC);
    return run(s, insert, err);
}

tb_code tb_store_forget_windows(tb_store *s, int64_t cell, tb_error *err)
{
    return run(s, bind_cell(s, FORGET_WINDOWS, cell), err);
}

// Copies the blob of a column into values[n]; false when it has another size.
static bool take_blob(double *values, size_t n, sqlite3_stmt *query, int column)
{
    const void *bytes = sqlite3_column_blob(query, column);
    if (!bytes || (size_t)sqlite3_column_bytes(query, column) != n * sizeof *values)
        return false;
    memcpy(values, bytes, n * sizeof *values);
    return true;
}

tb_code tb_store_read_windows(tb_text_scores *out, tb_store *s, int64_t cell, tb_error *err)
{
    sqlite3_stmt *query = bind_cell(s, READ_WINDOWS, cell);
    sqlite3_bind_int64(query, 2, (int64_t)out->windows);
    size_t n = out->predictions, found = 0;
    bool sound = true;
    out->agreements = 0;
    out->broken = false;
    int code = SQLITE_DONE;
    while (sound && (code = sqlite3_step(query)) == SQLITE_ROW) {
        int64_t agreements = sqlite3_column_int64(query, 1);
        sound = found < out->windows && agreements >= 0 && (uint64_t)agreements <= n &&
                take_blob(out->nll + found * n, n, query, 2) &&
                (!out->kl || take_blob(out->kl + found * n, n, query, 3));
        out->broken |= sqlite3_column_int(query, 0) != 0;
        out->agreements += (size_t)agreements;
        found++;
    }
    tb_code rc = sound ? finish(s, query, code, err) : TB_OK;
    if (!sound)
        finish(s, query, SQLITE_DONE, err);
    if (!rc && (!sound || found != out->windows))
        return fail_damaged(s, "the scores of a window are incomplete", err);
    return rc;
}

// ---- numbers ----

tb_code tb_store_get_numbers(double *values, size_t *count, tb_store *s, const char *kind, const char *key,
                             tb_error *err)
{
    size_t most = *count, n = 0;
    bind_text(s, GET_NUMBERS, 1, kind);
    sqlite3_stmt *query = bind_text(s, GET_NUMBERS, 2, key);
    int code;
    while ((code = sqlite3_step(query)) == SQLITE_ROW) {
        if (n < most)
            values[n] = sqlite3_column_double(query, 0);
        n++;
    }
    *count = n;
    tb_code rc = finish(s, query, code, err);
    return rc || n <= most ? rc : fail_damaged(s, "there are more numbers than were written", err);
}

static tb_code put_numbers(tb_store *s, const char *kind, const char *key, const double *values, size_t count,
                           tb_error *err)
{
    bind_text(s, FORGET_NUMBERS, 1, kind);
    tb_code rc = run(s, bind_text(s, FORGET_NUMBERS, 2, key), err);
    for (size_t i = 0; !rc && i < count; i++) {
        bind_text(s, PUT_NUMBER, 1, kind);
        sqlite3_stmt *insert = bind_text(s, PUT_NUMBER, 2, key);
        sqlite3_bind_int64(insert, 3, (int64_t)i);
        sqlite3_bind_double(insert, 4, values[i]);
        rc = run(s, insert, err);
    }
    return rc;
}

tb_code tb_store_put_numbers(tb_store *s, const char *kind, const char *key, const double *values, size_t count,
                             tb_error *err)
{
    tb_code rc = tb_store_begin(s, err);
    if (rc)
        return rc;
    rc = put_numbers(s, kind, key, values, count, err);
    if (!rc)
        return tb_store_commit(s, err);
    sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}
