#include "text/embedded.h"
#include "text/text.h"

tb_text tb_builtin_text_get(tb_builtin_text which)
{
    if (which == TB_TEXT_CALIBRATION)
        return (tb_text){(const char *)tb_embedded_calibration, tb_embedded_calibration_size};
    return (tb_text){(const char *)tb_embedded_heldout, tb_embedded_heldout_size};
}
