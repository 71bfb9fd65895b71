// A decoder and the search for stop strings, one behind the other.
#include "generate/generate.h"

struct tb_stream {
    const tb_tokenizer *tokenizer;
    bool special, over;
    tb_decoder decoder;
    tb_stop *stop;
    tb_str decoded; // by the last token
    tb_str text;    // before any stop string: what the caller is shown
};

tb_code tb_stream_new(tb_stream **out, const tb_model *model, const tb_stream_options *options, tb_error *err)
{
    static const tb_stream_options defaults = {0};
    const tb_stream_options *o = options ? options : &defaults;
    *out = NULL;
    if (!tb_model_tokenizer(model))
        return tb_fail(err, TB_EUNSUPPORTED, "'%s' has no tokenizer", tb_checkpoint_path(tb_model_checkpoint(model)));
    tb_stream *stream = tb_new(tb_stream);
    if (!stream)
        return tb_fail(err, TB_ENOMEM, "no memory for a stream of text");
    stream->tokenizer = tb_model_tokenizer(model);
    stream->special = o->special;
    stream->decoder.started = o->in_text;
    tb_code rc = tb_stop_new(&stream->stop, o->stops, o->stop_count, err);
    if (rc)
        tb_stream_free(stream);
    else
        *out = stream;
    return rc;
}

void tb_stream_free(tb_stream *stream)
{
    if (!stream)
        return;
    tb_stop_free(stream->stop);
    tb_str_clear(&stream->decoded);
    tb_str_clear(&stream->text);
    tb_free(stream);
}

static tb_code pass_decoded(tb_stream *stream, tb_error *err)
{
    return tb_stop_push(stream->stop, &stream->text, stream->decoded.data, stream->decoded.size, &stream->over, err);
}

static void show(const tb_stream *stream, const char **text, size_t *size)
{
    *text = tb_str_get(&stream->text);
    *size = stream->text.size;
}

tb_code tb_stream_push(tb_stream *stream, int32_t token, const char **text, size_t *size, tb_error *err)
{
    tb_str_reset(&stream->decoded);
    tb_str_reset(&stream->text);
    tb_code rc = tb_decoder_push(&stream->decoder, &stream->decoded, stream->tokenizer, token, stream->special, err);
    if (!rc)
        rc = pass_decoded(stream, err);
    show(stream, text, size);
    return rc;
}

bool tb_stream_is_over(const tb_stream *stream)
{
    return stream->over;
}

tb_code tb_stream_finish(tb_stream *stream, const char **text, size_t *size, tb_error *err)
{
    tb_str_reset(&stream->decoded);
    tb_str_reset(&stream->text);
    tb_code rc = tb_decoder_finish(&stream->decoder, &stream->decoded, err);
    if (!rc)
        rc = pass_decoded(stream, err);
    if (!rc && !stream->over)
        rc = tb_stop_finish(stream->stop, &stream->text, err);
    show(stream, text, size);
    return rc;
}
