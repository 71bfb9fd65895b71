// The tables of types. Sizes of ggml types are those of GGUF; one without a decoder is known by
// name and size only. A plane type is all that its row says.
#include "layout/ggml.h"
#include "layout/planes.h"

#include <string.h>

static const tb_type_traits ggml_types[TB_GGML_TYPES] = {
    [TB_TYPE_F32] = {TB_TYPE_F32, "F32", 1, 4, tb_decode_f32},
    [TB_TYPE_F16] = {TB_TYPE_F16, "F16", 1, 2, tb_decode_f16},
    [TB_TYPE_BF16] = {TB_TYPE_BF16, "BF16", 1, 2, tb_decode_bf16},
    [TB_TYPE_Q4_0] = {TB_TYPE_Q4_0, "Q4_0", 32, 18, tb_decode_q4_0},
    [TB_TYPE_Q4_1] = {TB_TYPE_Q4_1, "Q4_1", 32, 20, tb_decode_q4_1},
    [TB_TYPE_Q5_0] = {TB_TYPE_Q5_0, "Q5_0", 32, 22, tb_decode_q5_0},
    [TB_TYPE_Q5_1] = {TB_TYPE_Q5_1, "Q5_1", 32, 24, tb_decode_q5_1},
    [TB_TYPE_Q8_0] = {TB_TYPE_Q8_0, "Q8_0", 32, 34, tb_decode_q8_0},
    [TB_TYPE_Q8_1] = {TB_TYPE_Q8_1, "Q8_1", 32, 36, NULL},
    [TB_TYPE_Q2_K] = {TB_TYPE_Q2_K, "Q2_K", 256, 84, tb_decode_q2_k},
    [TB_TYPE_Q3_K] = {TB_TYPE_Q3_K, "Q3_K", 256, 110, tb_decode_q3_k},
    [TB_TYPE_Q4_K] = {TB_TYPE_Q4_K, "Q4_K", 256, 144, tb_decode_q4_k},
    [TB_TYPE_Q5_K] = {TB_TYPE_Q5_K, "Q5_K", 256, 176, tb_decode_q5_k},
    [TB_TYPE_Q6_K] = {TB_TYPE_Q6_K, "Q6_K", 256, 210, tb_decode_q6_k},
    [TB_TYPE_Q8_K] = {TB_TYPE_Q8_K, "Q8_K", 256, 292, NULL},
    [TB_TYPE_IQ1_S] = {TB_TYPE_IQ1_S, "IQ1_S", 256, 50, tb_decode_iq1_s},
    [TB_TYPE_IQ1_M] = {TB_TYPE_IQ1_M, "IQ1_M", 256, 56, tb_decode_iq1_m},
    [TB_TYPE_IQ2_XXS] = {TB_TYPE_IQ2_XXS, "IQ2_XXS", 256, 66, tb_decode_iq2_xxs},
    [TB_TYPE_IQ2_XS] = {TB_TYPE_IQ2_XS, "IQ2_XS", 256, 74, tb_decode_iq2_xs},
    [TB_TYPE_IQ2_S] = {TB_TYPE_IQ2_S, "IQ2_S", 256, 82, tb_decode_iq2_s},
    [TB_TYPE_IQ3_XXS] = {TB_TYPE_IQ3_XXS, "IQ3_XXS", 256, 98, tb_decode_iq3_xxs},
    [TB_TYPE_IQ3_S] = {TB_TYPE_IQ3_S, "IQ3_S", 256, 110, tb_decode_iq3_s},
    [TB_TYPE_IQ4_NL] = {TB_TYPE_IQ4_NL, "IQ4_NL", 32, 18, tb_decode_iq4_nl},
    [TB_TYPE_IQ4_XS] = {TB_TYPE_IQ4_XS, "IQ4_XS", 256, 136, tb_decode_iq4_xs},
    [TB_TYPE_TQ1_0] = {TB_TYPE_TQ1_0, "TQ1_0", 256, 54, tb_decode_tq1_0},
    [TB_TYPE_TQ2_0] = {TB_TYPE_TQ2_0, "TQ2_0", 256, 66, tb_decode_tq2_0},
    [TB_TYPE_MXFP4] = {TB_TYPE_MXFP4, "MXFP4", 32, 17, tb_decode_mxfp4},
    [TB_TYPE_NVFP4] = {TB_TYPE_NVFP4, "NVFP4", 64, 36,
                       NULL}, // its matrices have one more scale, in a tensor of their own
    [TB_TYPE_Q1_0] = {TB_TYPE_Q1_0, "Q1_0", 128, 18, NULL},
    [TB_TYPE_I8] = {TB_TYPE_I8, "I8", 1, 1, NULL},
    [TB_TYPE_I16] = {TB_TYPE_I16, "I16", 1, 2, NULL},
    [TB_TYPE_I32] = {TB_TYPE_I32, "I32", 1, 4, NULL},
    [TB_TYPE_I64] = {TB_TYPE_I64, "I64", 1, 8, NULL},
    [TB_TYPE_F64] = {TB_TYPE_F64, "F64", 1, 8, NULL},
};

const char *const tb_part_suffixes[TB_PARTS] = {".planes", ".trits", ".coefs", ".zeros"};

static const tb_plane_traits plane_types[TB_PLANE_TYPES] = {
    {
        .type = TB_TYPE_BITPLANES,
        .name = "bitplanes",
        .data = TB_PART_PLANES,
        .least_planes = 1,
        .most_planes = TB_MAX_PLANES,
        .coefs = 1,
        .coefs_per_plane = 1,
        .decode = tb_bitplanes_decode,
    },
    {
        .type = TB_TYPE_AFFINE,
        .name = "affine",
        .data = TB_PART_PLANES,
        .least_planes = 1,
        .most_planes = TB_MAX_PLANES,
        .coefs = 1,
        .has_zeros = true,
        .decode = tb_bitplanes_decode,
    },
    {
        .type = TB_TYPE_TRITPLANES,
        .name = "tritplanes",
        .data = TB_PART_TRITS,
        .least_planes = 2,
        .most_planes = 2,
        .coefs = 2,
        .decode = tb_tritplanes_decode,
    },
    {
        .type = TB_TYPE_OFFSET,
        .name = "offset",
        .data = TB_PART_PLANES,
        .least_planes = 1,
        .most_planes = TB_MAX_OFFSET_PLANES,
        .coefs = 2,
        .decode = tb_offset_decode,
    },
};

const tb_type_traits *tb_type_traits_get(uint32_t type)
{
    return type < TB_GGML_TYPES && ggml_types[type].name ? &ggml_types[type] : NULL;
}

const tb_plane_traits *tb_plane_traits_get(uint32_t type)
{
    return tb_type_is_plane((tb_type)type) ? &plane_types[type - TB_TYPE_BITPLANES] : NULL;
}

bool tb_type_is_decodable(uint32_t type)
{
    const tb_type_traits *known = tb_type_traits_get(type);
    return tb_type_is_plane((tb_type)type) || (known && known->decode);
}

const char *tb_type_name(uint32_t type)
{
    const tb_plane_traits *plane = tb_plane_traits_get(type);
    const tb_type_traits *known = tb_type_traits_get(type);
    return plane ? plane->name : known ? known->name : "unknown";
}

bool tb_plane_type_find(tb_type *out, const char *name, size_t size)
{
    for (size_t i = 0; i < TB_PLANE_TYPES; i++)
        if (size == strlen(plane_types[i].name) && memcmp(name, plane_types[i].name, size) == 0) {
            *out = plane_types[i].type;
            return true;
        }
    return false;
}
