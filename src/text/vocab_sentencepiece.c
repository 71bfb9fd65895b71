// tokenizer.model: SentencePiece's ModelProto, a protocol buffer, read by hand. The fields used:
//   ModelProto: 1 pieces (repeated), 2 trainer_spec, 3 normalizer_spec
//   Piece: 1 text, 2 score (float), 3 type (tb_token_kind has its numbers)
//   TrainerSpec: 3 model_type, 24 treat_whitespace_as_suffix, 35 byte_fallback,
//                40 unk_id, 41 bos_id, 42 eos_id, 43 pad_id
//   NormalizerSpec: 2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces,
//                   5 escape_whitespaces
#include "text/vocab_file.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

// ---- the wire format ----

typedef enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 } wire_type;

typedef struct field {
    uint64_t number;
    wire_type type;
    uint64_t value; // of a varint or a fixed one
    tb_text bytes;  // of WIRE_BYTES
} field;

static bool read_varint(uint64_t *out, tb_text *rest)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && rest->size > 0; shift += 7) {
        unsigned char byte = (unsigned char)*rest->data;
        *rest = (tb_text){rest->data + 1, rest->size - 1};
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool read_fixed(uint64_t *out, tb_text *rest, size_t size)
{
    if (rest->size < size)
        return false;
    *out = 0;
    for (size_t i = 0; i < size; i++)
        *out |= (uint64_t)(unsigned char)rest->data[i] << (8 * i);
    *rest = (tb_text){rest->data + size, rest->size - size};
    return true;
}

static bool read_bytes(tb_text *out, tb_text *rest)
{
    uint64_t size;
    if (!read_varint(&size, rest) || size > rest->size)
        return false;
    *out = (tb_text){rest->data, (size_t)size};
    *rest = (tb_text){rest->data + size, rest->size - (size_t)size};
    return true;
}

// Takes the next field off a message that is not empty.
static tb_code read_field(field *out, tb_text *rest, tb_error *err)
{
    uint64_t key;
    *out = (field){0};
    bool ok = read_varint(&key, rest);
    if (ok) {
        out->number = key >> 3;
        out->type = (wire_type)(key & 7);
        if (out->type == WIRE_VARINT)
            ok = read_varint(&out->value, rest);
        else if (out->type == WIRE_BYTES)
            ok = read_bytes(&out->bytes, rest);
        else if (out->type == WIRE_FIXED32 || out->type == WIRE_FIXED64)
            ok = read_fixed(&out->value, rest, out->type == WIRE_FIXED32 ? 4 : 8);
        else
            ok = false;
    }
    return ok ? TB_OK : tb_fail(err, TB_EFORMAT, "tokenizer.model is not a SentencePiece model, or is cut off");
}

// ---- the messages ----

enum { MODEL_UNIGRAM = 1, MODEL_BPE = 2 }; // TrainerSpec.ModelType

// What the specs say, with the defaults of the format.
typedef struct specs {
    uint64_t model_type;
    int32_t unk, bos, eos, pad;
    bool byte_fallback, whitespace_as_suffix;
    bool add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces;
    tb_text charsmap;
    size_t piece_count;
} specs;

static tb_code read_trainer(specs *s, tb_text message, tb_error *err)
{
    tb_code rc = TB_OK;
    while (message.size > 0 && !rc) {
        field f;
        rc = read_field(&f, &message, err);
        switch (rc ? 0 : f.number) {
        case 3:
            s->model_type = f.value;
            break;
        case 24:
            s->whitespace_as_suffix = f.value;
            break;
        case 35:
            s->byte_fallback = f.value;
            break;
        case 40:
            s->unk = (int32_t)f.value;
            break;
        case 41:
            s->bos = (int32_t)f.value;
            break;
        case 42:
            s->eos = (int32_t)f.value;
            break;
        case 43:
            s->pad = (int32_t)f.value;
            break;
        default:
            break;
        }
    }
    return rc;
}

static tb_code read_normalizer(specs *s, tb_text message, tb_error *err)
{
    tb_code rc = TB_OK;
    while (message.size > 0 && !rc) {
        field f;
        rc = read_field(&f, &message, err);
        switch (rc ? 0 : f.number) {
        case 2:
            s->charsmap = f.bytes;
            break;
        case 3:
            s->add_dummy_prefix = f.value;
            break;
        case 4:
            s->remove_extra_whitespaces = f.value;
            break;
        case 5:
            s->escape_whitespaces = f.value;
            break;
        default:
            break;
        }
    }
    return rc;
}

static tb_code read_specs(specs *s, tb_text model, tb_error *err)
{
    *s = (specs){.model_type = MODEL_UNIGRAM,
                 .unk = 0,
                 .bos = 1,
                 .eos = 2,
                 .pad = -1,
                 .add_dummy_prefix = true,
                 .remove_extra_whitespaces = true,
                 .escape_whitespaces = true};
    tb_code rc = TB_OK;
    while (model.size > 0 && !rc) {
        field f;
        rc = read_field(&f, &model, err);
        if (rc || f.type != WIRE_BYTES)
            continue;
        if (f.number == 1)
            s->piece_count++;
        else if (f.number == 2)
            rc = read_trainer(s, f.bytes, err);
        else if (f.number == 3)
            rc = read_normalizer(s, f.bytes, err);
    }
    return rc;
}

static tb_code check_specs(const specs *s, tb_error *err)
{
    if (s->model_type != MODEL_UNIGRAM && s->model_type != MODEL_BPE)
        return tb_fail(err, TB_EUNSUPPORTED, "SentencePiece model type %llu is not supported, only unigram and BPE",
                       (unsigned long long)s->model_type);
    if (s->whitespace_as_suffix)
        return tb_fail(err, TB_EUNSUPPORTED, "SentencePiece's treat_whitespace_as_suffix is not supported");
    if (!s->escape_whitespaces)
        return tb_fail(err, TB_EUNSUPPORTED, "SentencePiece models that do not escape white space are not supported");
    return TB_OK;
}

static tb_code read_piece(tb_vocab_file *file, size_t id, tb_text message, tb_error *err)
{
    tb_text text = {"", 0};
    uint64_t kind = TB_TOKEN_NORMAL;
    tb_code rc = TB_OK;
    while (message.size > 0 && !rc) {
        field f;
        rc = read_field(&f, &message, err);
        if (!rc && f.number == 1 && f.type == WIRE_BYTES)
            text = f.bytes;
        else if (!rc && f.number == 2 && f.type == WIRE_FIXED32)
            file->scores[id] = tb_float_from_bits((uint32_t)f.value);
        else if (!rc && f.number == 3 && f.type == WIRE_VARINT)
            kind = f.value;
    }
    if (!rc && (kind < TB_TOKEN_NORMAL || kind > TB_TOKEN_BYTE))
        rc = tb_fail(err, TB_EFORMAT, "piece %zu is of unknown type %llu", id, (unsigned long long)kind);
    return rc ? rc : tb_vocab_file_set(file, id, text, (tb_token_kind)kind, err);
}

static tb_code read_pieces(tb_vocab_file *file, tb_text model, tb_error *err)
{
    tb_code rc = TB_OK;
    for (size_t id = 0; model.size > 0 && !rc;) {
        field f;
        rc = read_field(&f, &model, err);
        if (!rc && f.number == 1 && f.type == WIRE_BYTES)
            rc = read_piece(file, id++, f.bytes, err);
    }
    return rc;
}

// ---- tokens that the config adds ----

// The id that a key of added_tokens_decoder is; SIZE_MAX: none.
static size_t id_of_key(const char *key)
{
    char *end;
    unsigned long long id = strtoull(key, &end, 10);
    return *key >= '0' && *key <= '9' && *end == '\0' && id < INT32_MAX ? (size_t)id : SIZE_MAX;
}

static tb_code size_with_added(size_t *size, json_t *added, tb_error *err)
{
    const char *key;
    json_t *token;
    json_object_foreach(added, key, token)
    {
        size_t id = id_of_key(key);
        if (id == SIZE_MAX)
            return tb_fail(err, TB_EFORMAT, "added_tokens_decoder has the id '%.32s'", key);
        if (id >= *size)
            *size = id + 1;
    }
    return TB_OK;
}

static tb_code read_added(tb_vocab_file *file, json_t *added, tb_error *err)
{
    const char *key;
    json_t *token;
    json_object_foreach(added, key, token)
    {
        tb_code rc = tb_vocab_file_set_added(file, id_of_key(key), token, err);
        if (rc)
            return rc;
    }
    return TB_OK;
}

// ---- all together ----

static int32_t id_or_none(int32_t id, const tb_vocab_file *file)
{
    return id >= 0 && (size_t)id < file->vocab.size ? id : -1;
}

static void apply_specs(tb_vocab_file *file, const specs *s)
{
    tb_vocab *vocab = &file->vocab;
    vocab->bos = id_or_none(s->bos, file);
    vocab->eos = id_or_none(s->eos, file);
    vocab->unk = id_or_none(s->unk, file);
    vocab->pad = id_or_none(s->pad, file);
    vocab->add_bos = vocab->add_bos && vocab->bos >= 0;
    vocab->add_space_prefix = s->add_dummy_prefix;
    vocab->space_prefix_over_user_defined = true;
    // The first Hugging Face classes began afresh behind each special token; configs say which they mean.
    vocab->space_prefix_once = json_is_false(json_object_get(file->config, "legacy"));
    vocab->remove_extra_whitespaces = s->remove_extra_whitespaces;
    vocab->byte_fallback = s->byte_fallback;
    vocab->charsmap = s->charsmap;
}

static tb_code read_model(tb_vocab_file *file, tb_text model, tb_error *err)
{
    specs s;
    tb_code rc = read_specs(&s, model, err);
    if (!rc)
        rc = check_specs(&s, err);
    if (rc)
        return rc;
    file->vocab.model = s.model_type == MODEL_BPE ? TB_VOCAB_SPM : TB_VOCAB_UNIGRAM;
    file->vocab.pre = (tb_text){"default", 7};
    tb_vocab_set_defaults(&file->vocab);
    json_t *added = json_object_get(file->config, "added_tokens_decoder");
    size_t size = s.piece_count;
    rc = size_with_added(&size, added, err);
    if (!rc)
        rc = tb_vocab_file_reserve(file, size, s.piece_count + json_object_size(added), err);
    if (!rc)
        rc = read_pieces(file, model, err);
    if (!rc)
        rc = read_added(file, added, err);
    if (rc)
        return rc;
    apply_specs(file, &s);
    tb_vocab_file_apply_config(file);
    return tb_vocab_file_finish(file, err);
}

tb_code tb_vocab_file_from_sentencepiece(tb_vocab_file **out, tb_text model, tb_text config_json, tb_error *err)
{
    *out = NULL;
    tb_vocab_file *file;
    tb_code rc = tb_vocab_file_new(&file, err);
    if (rc)
        return rc;
    char *copy = tb_arena_text(&file->arena, model.data, model.size);
    if (!copy)
        rc = tb_fail(err, TB_ENOMEM, "no memory for a tokenizer.model of %zu bytes", model.size);
    if (!rc)
        rc = tb_vocab_file_read_config(file, config_json, err);
    if (!rc)
        rc = read_model(file, (tb_text){copy, model.size}, err);
    if (rc)
        tb_vocab_file_free(file);
    else
        *out = file;
    return rc;
}
