// Inside csi: the random numbers of a frame. Each purpose of each frame has a stream of Philox
// words that starts at block 0: counter (block, purpose, frame low, frame high), key the seed.
#ifndef TB_CSI_STREAMS_H
#define TB_CSI_STREAMS_H

#include <stddef.h>
#include <stdint.h>

typedef enum tb_csi_purpose {
    TB_CSI_FOR_BITS = 1,
    TB_CSI_FOR_CSI = 2,
    TB_CSI_FOR_UPLINK = 3,
    TB_CSI_FOR_NOISE = 4,
    TB_CSI_FOR_WEIGHTS = 5,
    TB_CSI_FOR_BATCHES = 6,
    TB_CSI_FOR_PATHS = 7, // angles and phases of structured channels, columns of random spreading
} tb_csi_purpose;

typedef struct tb_csi_stream {
    uint64_t seed, frame;
    tb_csi_purpose purpose;
} tb_csi_stream;

// Words 4·block … 4·block+3.
void tb_csi_words(uint32_t out[4], const tb_csi_stream *stream, uint32_t block);

// Complex normals first … first+n−1 with E|z|² = variance: [n] real parts, [n] imaginary ones.
// `first` is even.
void tb_csi_normals(double *re, double *im, const tb_csi_stream *stream, size_t first, size_t n, double variance);

// Real normals first … first+n−1 with the given standard deviation; `first` is a multiple of 4.
void tb_csi_real_normals(double *out, const tb_csi_stream *stream, size_t first, size_t n, double deviation);

// `n` uniform numbers inside (0, 1), one word each.
void tb_csi_uniforms(double *out, const tb_csi_stream *stream, size_t n);

// `n` bits, one per byte; the lowest bit of a word comes first.
void tb_csi_bits(uint8_t *out, const tb_csi_stream *stream, size_t n);

#endif
