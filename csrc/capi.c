/* The C API (include/hrnetae.h): a decoder, and one call per image. */
#include "capi.h"
#include "dispatch.h"
#include "settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *hrnetae_version(void)
{
    return HRNETAE_VERSION;
}

int32_t hrnetae_version_number(void)
{
    return HRNETAE_VERSION_NUMBER;
}

int32_t hae_report(hrnetae_error *error, int32_t status, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        error->status = status;
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

static int32_t succeed(hrnetae_error *error)
{
    if (error) {
        error->status = HRNETAE_OK;
        error->message[0] = '\0';
    }
    return HRNETAE_OK;
}

/* ------------------------------------------------------------------ the decoder */

/* As in hrnetae/dispatch.py, the slowest first. */
static const struct {
    const char *name;
    int level;
} levels[] = {{"dense", -1}, {"baseline", HAE_BASELINE}, {"avx2", HAE_AVX2}};
enum { LEVELS = sizeof levels / sizeof *levels };

int32_t hae_take_level(hrnetae_decoder *decoder, hrnetae_error *error)
{
    const char *wanted = getenv("HRNETAE_LEVEL");
    const int any = !wanted || !*wanted;
    for (int i = LEVELS - 1; i >= 0; i--) {
        const int here = levels[i].level < 0 || hae_has_level(levels[i].level);
        if (here && (any || !strcmp(wanted, levels[i].name))) {
            decoder->level = levels[i].level;
            return HRNETAE_OK;
        }
    }
    return hae_report(error, HRNETAE_BAD_ARGUMENT, "HRNETAE_LEVEL: '%.40s', expected one of dense, baseline%s", wanted,
                      hae_has_level(HAE_AVX2) ? ", avx2" : " on this processor");
}

int32_t hrnetae_decoder_create(const hrnetae_params *params, const hrnetae_skeleton *skeleton,
                               hrnetae_decoder **decoder, hrnetae_error *error)
{
    if (!decoder)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "decoder: NULL, expected a place for the new decoder");
    *decoder = NULL;
    hrnetae_decoder *made = calloc(1, sizeof *made);
    if (!made)
        return hae_report(error, HRNETAE_NO_MEMORY, "decoder: no memory");
    int32_t status = hae_take_params(params, made, error);
    if (!status)
        status = hae_take_skeleton(skeleton, made, error);
    if (!status)
        status = hae_take_level(made, error);
    if (status) {
        hrnetae_decoder_free(made);
        return status;
    }
    *decoder = made;
    return succeed(error);
}

const char *hrnetae_decoder_level(const hrnetae_decoder *decoder)
{
    for (int i = 0; decoder && i < LEVELS; i++)
        if (levels[i].level == decoder->level)
            return levels[i].name;
    return NULL;
}

void hrnetae_decoder_free(hrnetae_decoder *decoder)
{
    if (!decoder)
        return;
    hae_pool_clear(&decoder->arenas);
    free(decoder->sigmas);
    free(decoder);
}

/* ------------------------------------------------------------------ one image */

/* One block for all three arrays, which begins with the keypoints. */
static int32_t take_people(const HaePoses *poses, hrnetae_people *people, hrnetae_error *error)
{
    const HaePersons *persons = &poses->persons;
    const size_t rows = (size_t)persons->count * persons->joints, length = (size_t)persons->length;
    const size_t scores = (size_t)persons->count * poses->scores_per_person;
    *people = (hrnetae_people){persons->count, persons->joints, persons->length, poses->scores_per_person, NULL, NULL,
                               NULL};
    if (!persons->count)
        return succeed(error);
    people->keypoints = malloc((rows * (3 + length) + scores) * sizeof(float));
    if (!people->keypoints) {
        *people = (hrnetae_people){0};
        return hae_report(error, HRNETAE_NO_MEMORY, "people: no memory for %d of them", persons->count);
    }
    people->scores = people->keypoints + 3 * rows;
    people->tags = people->scores + scores;
    memcpy(people->scores, poses->scores, scores * sizeof(float));
    for (size_t i = 0; i < rows; i++) {
        const float *row = persons->rows + i * (3 + length);
        memcpy(people->keypoints + 3 * i, row, 3 * sizeof(float));
        memcpy(people->tags + length * i, row + 3, length * sizeof(float));
    }
    return succeed(error);
}

static int32_t decode(hrnetae_decoder *decoder, const HaeOutputs *outputs, int width, int height,
                      hrnetae_people *people, hrnetae_error *error)
{
    HaeSettings settings;
    HaePoses poses;
    HaeArena *arena = hae_pool_take(&decoder->arenas);
    hae_fill_settings(&decoder->params, width, height, &outputs->plain[0], &outputs->plain[outputs->stages - 1],
                      &settings);
    const int failed = !arena || hae_decode(outputs, &settings, decoder->level, arena, &poses);
    if (arena)
        hae_pool_give(&decoder->arenas, arena);
    if (failed)
        return hae_report(error, HRNETAE_NO_MEMORY, "hrnetae_decode: no memory for an image of %d x %d", width, height);
    const int32_t status = take_people(&poses, people, error);
    hae_poses_free(&poses);
    return status;
}

static int32_t check_size(const char *name, int32_t side, hrnetae_error *error)
{
    if (side >= 1 && side <= HAE_MOST_SIDE)
        return HRNETAE_OK;
    return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s: %d, expected 1 to %d pixels", name, side, HAE_MOST_SIDE);
}

int32_t hrnetae_decode_stages(hrnetae_decoder *decoder, const hrnetae_maps *output, const hrnetae_maps *flipped,
                              int32_t stages, const double *scale, int32_t scales, int32_t width, int32_t height,
                              hrnetae_people *people, hrnetae_error *error)
{
    const HaeGiven given = {output, flipped, stages, scales, scale};
    HaeOutputs outputs = {0};
    if (!people)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "people: NULL, expected a place for the answer");
    *people = (hrnetae_people){0};
    if (!decoder)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "decoder: NULL, expected one of hrnetae_decoder_create");
    int32_t status = check_size("width", width, error);
    if (!status)
        status = check_size("height", height, error);
    if (!status)
        status = hae_arrange(decoder, &given, &outputs, error);
    if (!status)
        status = decode(decoder, &outputs, width, height, people, error);
    free((void *)outputs.plain);
    return status;
}

int32_t hrnetae_decode(hrnetae_decoder *decoder, const hrnetae_maps *output, const hrnetae_maps *flipped, int32_t width,
                       int32_t height, hrnetae_people *people, hrnetae_error *error)
{
    return hrnetae_decode_stages(decoder, output, flipped, 1, NULL, 1, width, height, people, error);
}

void hrnetae_people_free(hrnetae_people *people)
{
    if (!people)
        return;
    free(people->keypoints);
    *people = (hrnetae_people){0};
}
