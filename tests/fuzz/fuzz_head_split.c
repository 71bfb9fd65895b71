// A file of scores of heads: it is refused, or comes back from what is written of it.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void write_again(const tb_head_scores *scores)
{
    const char *path = scratch_write("again.json", (const uint8_t *)"", 0);
    char *text;
    size_t size;
    tb_head_scores again;
    require(tb_head_scores_write(scores, path, NULL) == TB_OK);
    require(tb_file_read(&text, &size, path, SIZE_MAX, NULL) == TB_OK);
    require(tb_head_scores_parse(&again, (tb_text){text, size}, "again", NULL) == TB_OK);
    require(again.blocks == scores->blocks && again.kv_heads == scores->kv_heads);
    require(memcmp(again.scores, scores->scores, scores->blocks * scores->kv_heads * sizeof *scores->scores) == 0);
    tb_free(text);
    tb_head_scores_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tb_head_scores scores;
    tb_error err = {0};
    if (tb_head_scores_parse(&scores, (tb_text){(const char *)data, size}, "file", &err)) {
        require(err.message[0] != '\0');
        return 0;
    }
    write_again(&scores);
    tb_head_scores_clear(&scores);
    return 0;
}
