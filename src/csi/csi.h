// csi: downlink channel state (CSI) fed back by superimposing it on uplink data, and the base
// station that recovers both (Qing et al., arXiv 1907.11836). Simulates the link, holds the
// classical receivers and the neural ones, and measures them.
//
// The letters of the paper: N antennas (length of the CSI vector h), P symbols per frame,
// R = P/N repetitions, B antennas of the uplink combiner, ρ the share of power that the CSI has,
// E the SNR per symbol after combining. A user sends x = √(ρ/N)·W·h + √(1−ρ)·d; the base station
// sees r = x + w with noise of variance s2 per complex symbol.
//
// Complex vectors of length n are real ones of length 2n: all real parts, then all imaginary ones.
#ifndef TB_CSI_H
#define TB_CSI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "formats/formats.h"

// ---- the link ----

typedef enum tb_csi_channel {
    TB_CSI_RAYLEIGH, // h: independent CN(0, 1)
    TB_CSI_SPARSE,   // h: 8 of N angles with independent CN(0, N/8)
    TB_CSI_CDL_A,    // h: narrow-band clustered delay lines of 3GPP TR 38.901, half-wavelength array
    TB_CSI_CDL_B,
    TB_CSI_CDL_C,
    TB_CSI_CDL_D,
    TB_CSI_DIGITAL, // h: independent QPSK symbols, a CSI that was quantized before; N is any number up to P
    TB_CSI_CHANNELS
} tb_csi_channel;

typedef enum tb_csi_spreading {
    TB_CSI_WALSH_FIRST,  // the first N columns of the Hadamard matrix of order P, as published
    TB_CSI_WALSH_RANDOM, // N columns drawn by a seed: has no error floor
    TB_CSI_SPREADINGS
} tb_csi_spreading;

typedef enum tb_csi_modulation { TB_CSI_QPSK, TB_CSI_QAM16, TB_CSI_QAM64, TB_CSI_MODULATIONS } tb_csi_modulation;

// A zeroed object is the published link with seed 0.
typedef struct tb_csi_options {
    size_t n, p, b; // 0: 64, 512, n
    size_t users;   // that send at the same time, taken apart by zero forcing; the first one's frames are drawn. 0: 1
    tb_csi_channel channel;
    tb_csi_spreading spreading;
    uint64_t spreading_seed;
    tb_csi_modulation modulation;
    bool full_front_end; // draw all B·P noise samples instead of the P that are left of them; statistically the same
    uint64_t seed;       // of every frame
} tb_csi_options;

const char *tb_csi_channel_name(tb_csi_channel channel);
const char *tb_csi_spreading_name(tb_csi_spreading spreading);
const char *tb_csi_modulation_name(tb_csi_modulation modulation);
bool tb_csi_channel_find(tb_csi_channel *out, const char *name);
bool tb_csi_spreading_find(tb_csi_spreading *out, const char *name);
bool tb_csi_modulation_find(tb_csi_modulation *out, const char *name);

// The link with everything computed beforehand; read-only, may be shared by threads. TB_EINVAL
// says which dimension is wrong: N (but of a digital CSI) and P are powers of two, N ≤ P.
typedef struct tb_csi_link tb_csi_link;

tb_code tb_csi_link_new(tb_csi_link **out, const tb_csi_options *options, tb_error *err);
void tb_csi_link_free(tb_csi_link *link);

// The options with every default filled in.
const tb_csi_options *tb_csi_link_options(const tb_csi_link *link);
size_t tb_csi_link_bits(const tb_csi_link *link); // data bits per frame

// Appends all options as "n=64 p=512 …": two links with the same text give the same frames.
tb_code tb_csi_link_describe(tb_str *out, const tb_csi_link *link, tb_error *err);

// Where the link is operated.
typedef struct tb_csi_point {
    double rho, snr_db;
} tb_csi_point;

// TB_EINVAL unless ρ lies in 0 … 1 and the SNR is finite.
tb_code tb_csi_point_check(const tb_csi_point *point, tb_error *err);

// ---- frames ----

// One frame: what was sent, and what the base station knows (rho, s2, r).
typedef struct tb_csi_frame {
    double rho;
    double s2;     // noise variance of this frame: 1/(E·‖g‖²)
    double *h;     // [2N]
    double *d;     // [2P]
    double *r;     // [2P]
    uint8_t *bits; // [tb_csi_link_bits], symbol by symbol
} tb_csi_frame;

typedef struct tb_csi_estimate {
    double *h;     // [2N]
    uint8_t *bits; // [tb_csi_link_bits]
} tb_csi_estimate;

// Storage for up to `capacity` frames and what a receiver makes of them.
typedef struct tb_csi_batch {
    size_t capacity, count;
    tb_csi_frame *frames;       // [capacity]
    tb_csi_estimate *estimates; // [capacity]
    tb_csi_frame other;         // room for another user's
    double *scratch;            // [4P] and more, of whoever works on the batch
    tb_arena arena;
} tb_csi_batch;

tb_code tb_csi_batch_init(tb_csi_batch *batch, const tb_csi_link *link, size_t capacity, tb_error *err);
void tb_csi_batch_clear(tb_csi_batch *batch); // accepts a zeroed one

// Appends count frames, index … index+count−1 of the link at a point (there must be room). A frame depends on seed and
// index only: counter-based streams, so that any frame can be drawn alone and by any thread.
void tb_csi_batch_draw(tb_csi_batch *batch, const tb_csi_link *link, const tb_csi_point *point, uint64_t index,
                       size_t count);

// ---- receivers ----

typedef enum tb_csi_receiver_kind {
    TB_CSI_NO_CANCEL, // "none": MMSE estimate of h; data sliced without cancelling it
    TB_CSI_LS,        // "ls": despreading, one pass
    TB_CSI_HARD,      // "mmse": one pass; "hard-k": k passes with hard decisions fed back
    TB_CSI_SOFT,      // "soft-k": k passes with E[d given the rest]
    TB_CSI_BAYES,     // "bayes": the posterior itself, which no receiver surpasses
} tb_csi_receiver_kind;

// One pass: estimate h (and decide it, hard or soft as the data, where it is digital), cancel it, detect d, cancel
// that.
typedef struct tb_csi_receiver {
    tb_csi_receiver_kind kind;
    unsigned passes;
} tb_csi_receiver;

enum { TB_CSI_MAX_PASSES = 64 };

// "none", "ls", "mmse", "hard", "hard-3", "soft", "soft-4", "bayes"; without a number: 2 passes.
bool tb_csi_receiver_find(tb_csi_receiver *out, const char *name);

// TB_EUNSUPPORTED when the receiver does not know this kind of link.
tb_code tb_csi_receiver_check(const tb_csi_receiver *receiver, const tb_csi_link *link, tb_error *err);

// Fills the estimates of all frames of a batch.
void tb_csi_receive(tb_csi_batch *batch, const tb_csi_receiver *receiver, const tb_csi_link *link);

// ---- networks ----

typedef enum tb_csi_net_kind {
    TB_CSI_PAPER,  // the published one: four dense subnets over whole frames
    TB_CSI_HYBRID, // CSI in closed form, one small subnet per detection, shared by all real blocks
    TB_CSI_NETS
} tb_csi_net_kind;

typedef enum tb_csi_activation {
    TB_CSI_SWISH,
    TB_CSI_TANH,
    TB_CSI_LEAKY_RELU, // slope 0.3
    TB_CSI_RELU,
    TB_CSI_ACTIVATIONS
} tb_csi_activation;

typedef struct tb_csi_net_options {
    tb_csi_net_kind kind;
    bool gain; // paper: its CSI, shrunk for the operating point of training, is scaled for that of the frame
    tb_csi_activation activation;
    size_t n, p;   // the paper's network fits one N and P, the hybrid one P/N; 0: 64, 512
    size_t hidden; // units: per antenna and symbol (paper; 0: 16), of each block (hybrid; 0: 64)
    bool packed;   // matrices are of twobit's plane types and run by its kernels
} tb_csi_net_options;

// "paper", "paper+gain", "hybrid": kind and gain.
const char *tb_csi_net_kind_name(const tb_csi_net_options *options);
bool tb_csi_net_kind_find(tb_csi_net_options *out, const char *name); // sets nothing else
const char *tb_csi_activation_name(tb_csi_activation activation);
bool tb_csi_activation_find(tb_csi_activation *out, const char *name);

// A trained network, read-only.
typedef struct tb_csi_net tb_csi_net;

// Opens what tb_csi_train wrote; TB_EFORMAT says what is wrong with the file.
tb_code tb_csi_net_open(tb_csi_net **out, const char *path, tb_error *err);
void tb_csi_net_free(tb_csi_net *net);

const tb_csi_net_options *tb_csi_net_get_options(const tb_csi_net *net);
size_t tb_csi_net_weights(const tb_csi_net *net);     // weights and biases
double tb_csi_net_matrix_bits(const tb_csi_net *net); // stored per weight of the matrices, scales included

// Writes the network (as tb_csi_net_open reads it) with `pairs` more keys and values of metadata; with
// `state` also what training needs to go on.
tb_code tb_csi_net_save(const char *path, const tb_csi_net *net, const char *const *metadata, size_t pairs, bool state,
                        tb_error *err);

// TB_EINVAL, TB_EUNSUPPORTED: the network was made for another link.
tb_code tb_csi_net_check(const tb_csi_net *net, const tb_csi_link *link, tb_error *err);

// How a network is trained. Zeroed fields mean the published training of its kind.
typedef struct tb_csi_train_options {
    tb_csi_net_options net; // n, p: the link's
    double rho[2];          // drawn evenly between these
    double snr_db[2];
    bool snr_given;          // snr_db counts (0 dB is a value)
    size_t batch;            // frames per step
    double rate;             // of Adam
    double steps_factor;     // times the steps of its kind's training
    size_t threads;          // results do not depend on it
    const tb_report *report; // progress, and the loss now and then
} tb_csi_train_options;

// Trains a network on frames of the link, whose seed also draws the weights, subnet by subnet, and writes it to
// `path`. The state is saved in "PATH.partial" now and then and when asked to stop; the same call goes on
// from there to the same bits. TB_EINVAL when that file belongs to other options.
tb_code tb_csi_train(const char *path, const tb_csi_link *link, const tb_csi_train_options *options, tb_error *err);

// Packs one matrix W[rows][cols] (rows are outputs) into new storage, given the second moments
// 2/N·Σ x·xᵀ [cols][cols] of its inputs.
typedef tb_code (*tb_csi_pack_fn)(void *user, tb_packed *out, const float *weights, size_t rows, size_t cols,
                                  const double *moments, tb_error *err);

typedef struct tb_csi_quantize_options {
    bool finetune;       // train on through the packed weights, subnet by subnet, before they are packed for good
    double steps_factor; // times the steps of that; 0: 1
    uint64_t seed;       // of calibration and training frames
    size_t threads;
    const tb_report *report;
} tb_csi_quantize_options;

// Packs the matrices of a network, in the order of the stages, each calibrated on what the packed ones
// before it give (at the operating points of its kind's training). Biases and everything between the subnets
// stay in float. The packed network is written to `path`.
tb_code tb_csi_quantize(const char *path, const char *net_path, const tb_csi_quantize_options *options,
                        tb_csi_pack_fn pack, void *user, tb_error *err);

// How the inputs of the paper's subnets are standardised. The hybrid's are not.
typedef enum tb_csi_normaliser {
    TB_CSI_BY_BATCH,    // by mean and deviation over the batch, as in training: estimates depend on the frames beside
    TB_CSI_BY_FRAME,    // over the frame
    TB_CSI_BY_ANALYSIS, // by the deviation that ρ and s2 make one expect: for frames that come one by one
    TB_CSI_NORMALISERS
} tb_csi_normaliser;

const char *tb_csi_normaliser_name(tb_csi_normaliser normaliser); // "batch", "frame", "analytic"
bool tb_csi_normaliser_find(tb_csi_normaliser *out, const char *name);

// Several receivers by their names or the files of networks, to be measured on the same frames.
typedef struct tb_csi_panel tb_csi_panel;

typedef struct tb_csi_panel_options {
    size_t workers; // that call tb_csi_panel_receive at the same time; 0: 1
    size_t threads; // of each of them, for single frames of large networks; 0: 1
    tb_csi_normaliser normaliser;
} tb_csi_panel_options;

// TB_EINVAL: a name is neither a receiver's nor a file's. Made for one link. The names must live as long as the panel.
tb_code tb_csi_panel_new(tb_csi_panel **out, const char *const *names, size_t count, const tb_csi_link *link,
                         const tb_csi_panel_options *options, tb_error *err);
void tb_csi_panel_free(tb_csi_panel *panel);

// Appends what the receivers are: their names, and of networks what their files hold.
tb_code tb_csi_panel_describe(tb_str *out, const tb_csi_panel *panel, tb_error *err);

// A tb_csi_receive_fn on a panel.
void tb_csi_panel_receive(void *panel, tb_csi_batch *batch, size_t receiver, size_t worker);

// ---- closed forms: Rayleigh, QPSK, walsh-first ----

typedef struct tb_csi_theory {
    double nmse_ls, nmse_mmse;             // one pass
    double nmse_genie_ls, nmse_genie_mmse; // data known
    double ber_no_cancel;
    double ber_cancel;    // after one MMSE pass
    double ber_known_csi; // perfect cancellation
} tb_csi_theory;

// Averages over ‖g‖² of B antennas; b = 0: ‖g‖² = 1.
tb_csi_theory tb_csi_theory_at(const tb_csi_point *point, size_t r, size_t b);

// ---- files of frames ----
//
// Safetensors: h [frames][2N], d and r [frames][2P] and s2 [frames][1] as F64, bits as U8, the link and the point as
// metadata.

// Writes frames 0 … frames−1 of a point. What is there so far is in "PATH.partial": the same call goes on from there.
// TB_EINVAL when that belongs to other frames. Reports progress.
tb_code tb_csi_write_frames(const char *path, const tb_csi_link *link, const tb_csi_point *point, size_t frames,
                            size_t threads, const tb_report *report, tb_error *err);

// Such a file, opened: mapped, and checked as a whole.
typedef struct tb_csi_frame_file tb_csi_frame_file;

// TB_EFORMAT says what is wrong with the file.
tb_code tb_csi_frame_file_open(tb_csi_frame_file **out, const char *path, tb_error *err);
void tb_csi_frame_file_close(tb_csi_frame_file *file);

const tb_csi_options *tb_csi_frame_file_options(const tb_csi_frame_file *file); // of the link it was drawn from
tb_csi_point tb_csi_frame_file_point(const tb_csi_frame_file *file);
size_t tb_csi_frame_file_count(const tb_csi_frame_file *file); // ≥ 1

// Appends a frame of the file to a batch made for its link.
void tb_csi_batch_read(tb_csi_batch *batch, const tb_csi_frame_file *file, size_t index);

// ---- measuring ----

// Counts of one receiver over frames. NMSE is the ratio of sums Σ‖ĥ−h‖² / Σ‖h‖².
typedef struct tb_csi_tally {
    uint64_t frames, bits, bit_errors, frame_errors;
    uint64_t bit_errors_squared; // Σ over frames of the square: bit errors of a frame are not independent
    uint64_t csi_bits, csi_bit_errors, csi_bit_errors_squared; // of a digital CSI; else 0
    double error, power;                                       // Σ e, Σ q with e = ‖ĥ−h‖², q = ‖h‖²
    double error_squared, error_power, power_squared;
} tb_csi_tally;

// Adds what the estimates of a batch show.
void tb_csi_tally_batch(tb_csi_tally *tally, const tb_csi_batch *batch, const tb_csi_link *link);

typedef struct tb_csi_score {
    double nmse, nmse_ci, ber, ber_ci; // ci: half width of the 95 % interval, from the spread between frames
    double csi_ber, csi_ber_ci;        // of a digital CSI; else NaN
} tb_csi_score;

// With no bit error at all a ber_ci is the upper Clopper–Pearson bound on bits, an optimistic one.
tb_csi_score tb_csi_tally_score(const tb_csi_tally *tally);

// Interval of a probability after `hits` of `trials`, for independent trials.
void tb_clopper_pearson(double *low, double *high, uint64_t hits, uint64_t trials, double confidence);

// Student's t: the two-sided quantile of a confidence, with `freedom` degrees of freedom.
double tb_student_quantile(double confidence, double freedom);

// Frames that are worked on together; also the grain at which a measurement stops.
enum { TB_CSI_UNIT_FRAMES = 256 };

typedef struct tb_csi_measure_options {
    uint64_t frames;  // most frames per point
    double tolerance; // stop a point when each ci is below this share of its value; 0: use all frames
    size_t threads;   // ≥ 1; results do not depend on it
    const tb_report *report;
    // Where a measurement that was stopped or killed is kept, so that the same call goes on from there to the same
    // bits; for the caller to remove when he has stored the result. NULL: nowhere.
    const char *state_path;
    const char *receivers; // what the receivers are, for the state to know its own
    // Processes that share the work, all called with the same arguments; the first keeps the state. A process
    // that fails alone brings that to the others when it meets them next. NULL: this process only.
    tb_ranks *ranks;
} tb_csi_measure_options;

// What a measurement asks of a receiver: fill the estimates of a batch. `worker` < threads tells
// calls that run at the same time apart.
typedef void (*tb_csi_receive_fn)(void *user, tb_csi_batch *batch, size_t receiver, size_t worker);

// Tallies [point_count][receiver_count], at each point of all receivers on the same frames 0, 1, …:
// units of 256 frames, added in their order, so that the result has the same bits for any number
// of threads and processes. With a tolerance a point stops at the first unit (from the second on) where all
// intervals are tight. TB_EINVAL when the state at state_path belongs to another measurement.
tb_code tb_csi_measure(tb_csi_tally *tallies, const tb_csi_link *link, const tb_csi_point *points, size_t point_count,
                       tb_csi_receive_fn receive, void *user, size_t receiver_count,
                       const tb_csi_measure_options *options, tb_error *err);

// ---- streaming ----

// Where the frames of a stream come from: a file, or the link at a point when that is NULL.
typedef struct tb_csi_source {
    const tb_csi_link *link;
    tb_csi_point point;
    const tb_csi_frame_file *file;
} tb_csi_source;

typedef struct tb_csi_stream_options {
    uint64_t frames;
    double rate; // frames per second: each has a slot of 1/rate
    const tb_report *report;
} tb_csi_stream_options;

typedef struct tb_csi_stream_score {
    tb_csi_tally tally;
    double seconds;            // all frames together
    double median, p99, worst; // seconds of one frame
    uint64_t missed; // frames that were not done one slot after they came; a late one makes the next ones wait
} tb_csi_stream_score;

// Gives frames 0, 1, … one by one to each receiver in turn, as batches of one, and measures how long each takes; the
// first few are processed once before, to fill caches. Nothing is allocated after that. The same estimates
// as tb_csi_measure's, with a panel that does not standardise by batch.
tb_code tb_csi_stream_measure(tb_csi_stream_score *scores, const tb_csi_source *source, tb_csi_receive_fn receive,
                              void *user, size_t receiver_count, const tb_csi_stream_options *options, tb_error *err);

#endif
