// The table of block types. Sizes are those of GGUF; a type without a decoder is known by
// name and size only.
#include "layout/block.h"
#include "layout/layout.h"

#include <string.h>

static const tb_type_traits traits[] = {
    {TB_TYPE_F32, "F32", 1, 4, tb_decode_f32},
    {TB_TYPE_F16, "F16", 1, 2, tb_decode_f16},
    {TB_TYPE_BF16, "BF16", 1, 2, tb_decode_bf16},
    {TB_TYPE_Q4_0, "Q4_0", 32, 18, tb_decode_q4_0},
    {TB_TYPE_Q4_1, "Q4_1", 32, 20, tb_decode_q4_1},
    {TB_TYPE_Q5_0, "Q5_0", 32, 22, tb_decode_q5_0},
    {TB_TYPE_Q5_1, "Q5_1", 32, 24, tb_decode_q5_1},
    {TB_TYPE_Q8_0, "Q8_0", 32, 34, tb_decode_q8_0},
    {TB_TYPE_Q8_1, "Q8_1", 32, 36, NULL},
    {TB_TYPE_Q2_K, "Q2_K", 256, 84, tb_decode_q2_k},
    {TB_TYPE_Q3_K, "Q3_K", 256, 110, tb_decode_q3_k},
    {TB_TYPE_Q4_K, "Q4_K", 256, 144, tb_decode_q4_k},
    {TB_TYPE_Q5_K, "Q5_K", 256, 176, tb_decode_q5_k},
    {TB_TYPE_Q6_K, "Q6_K", 256, 210, tb_decode_q6_k},
    {TB_TYPE_Q8_K, "Q8_K", 256, 292, NULL},
    {TB_TYPE_IQ1_S, "IQ1_S", 256, 50, tb_decode_iq1_s},
    {TB_TYPE_IQ1_M, "IQ1_M", 256, 56, tb_decode_iq1_m},
    {TB_TYPE_IQ2_XXS, "IQ2_XXS", 256, 66, tb_decode_iq2_xxs},
    {TB_TYPE_IQ2_XS, "IQ2_XS", 256, 74, tb_decode_iq2_xs},
    {TB_TYPE_IQ2_S, "IQ2_S", 256, 82, tb_decode_iq2_s},
    {TB_TYPE_IQ3_XXS, "IQ3_XXS", 256, 98, tb_decode_iq3_xxs},
    {TB_TYPE_IQ3_S, "IQ3_S", 256, 110, tb_decode_iq3_s},
    {TB_TYPE_IQ4_NL, "IQ4_NL", 32, 18, tb_decode_iq4_nl},
    {TB_TYPE_IQ4_XS, "IQ4_XS", 256, 136, tb_decode_iq4_xs},
    {TB_TYPE_TQ1_0, "TQ1_0", 256, 54, tb_decode_tq1_0},
    {TB_TYPE_TQ2_0, "TQ2_0", 256, 66, tb_decode_tq2_0},
    {TB_TYPE_MXFP4, "MXFP4", 32, 17, tb_decode_mxfp4},
    {TB_TYPE_NVFP4, "NVFP4", 64, 36, NULL}, // its matrices have one more scale, in a tensor of their own
    {TB_TYPE_Q1_0, "Q1_0", 128, 18, NULL},
    {TB_TYPE_I8, "I8", 1, 1, NULL},
    {TB_TYPE_I16, "I16", 1, 2, NULL},
    {TB_TYPE_I32, "I32", 1, 4, NULL},
    {TB_TYPE_I64, "I64", 1, 8, NULL},
    {TB_TYPE_F64, "F64", 1, 8, NULL},
};

const tb_type_traits *tb_type_traits_get(uint32_t type)
{
    for (size_t i = 0; i < sizeof traits / sizeof traits[0]; i++)
        if ((uint32_t)traits[i].type == type)
            return &traits[i];
    return NULL;
}

const char *tb_type_name(uint32_t type)
{
    switch (type) {
    case TB_TYPE_BITPLANES:
        return "bitplanes";
    case TB_TYPE_AFFINE:
        return "affine";
    case TB_TYPE_TRITPLANES:
        return "tritplanes";
    case TB_TYPE_OFFSET:
        return "offset";
    default:
        break;
    }
    const tb_type_traits *known = tb_type_traits_get(type);
    return known ? known->name : "unknown";
}

bool tb_plane_type_find(tb_type *out, const char *name, size_t size)
{
    for (uint32_t type = TB_TYPE_BITPLANES; tb_type_is_plane((tb_type)type); type++) {
        const char *known = tb_type_name(type);
        if (size == strlen(known) && memcmp(name, known, size) == 0) {
            *out = (tb_type)type;
            return true;
        }
    }
    return false;
}
