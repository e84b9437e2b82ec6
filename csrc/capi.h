/* What the files of the C API share. They are the API floor of C: arguments are checked here, once. */
#ifndef HRNETAE_CAPI_H
#define HRNETAE_CAPI_H

#include "arena_pool.h"
#include "steps.h"

#include <hrnetae.h>

/* Pixel indices are 32-bit in the kernels, and float32 carries whole pixel positions exactly up to 2^24. */
enum { HAE_MOST_SIDE = 1 << 15 };

struct hrnetae_decoder {
    hrnetae_params params; /* whose rescoring, where there is one, is the array below */
    double rescoring[HRNETAE_RESCORING_NUMBERS];
    int level; /* of dispatch.h; below 0: dense */
    int joints;
    int32_t *flip_index, *joint_order; /* joints each; one block with sigmas */
    double *sigmas;
    HaeArenaPool arenas;
};

/* Fills `error` where there is one, and returns `status`. */
int32_t hae_report(hrnetae_error *error, int32_t status, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* Copies what was given into the decoder, checked. */
int32_t hae_take_params(const hrnetae_params *given, hrnetae_decoder *decoder, hrnetae_error *error);
int32_t hae_take_skeleton(const hrnetae_skeleton *given, hrnetae_decoder *decoder, hrnetae_error *error);
int32_t hae_take_level(hrnetae_decoder *decoder, hrnetae_error *error);

/* What a caller gives for one image. */
typedef struct {
    const hrnetae_maps *output, *flipped;
    int32_t stages, scales;
    const double *scale;
} HaeGiven;

/* Checks an image's maps and brings them into the kernels' order, in `outputs`; outputs->plain is to be freed. */
int32_t hae_arrange(const hrnetae_decoder *decoder, const HaeGiven *given, HaeOutputs *outputs, hrnetae_error *error);

#endif
