// For tests of sink: a tiny model, opened.
#ifndef TB_TEST_SINK_FIXTURE_H
#define TB_TEST_SINK_FIXTURE_H

#include "sink/sink.h"
#include "tiny_model.h"

// Opens a model of that shape, which is gone from the disk when this returns. Fails the test where that fails.
tb_model *open_tiny(const tiny_model *shape, size_t threads);

#endif
