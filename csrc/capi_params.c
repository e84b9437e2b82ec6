/* The C API's parameters: defaults, and what is refused. The rules are those of hrnetae/params.py. */
#include "capi.h"

#include <math.h>
#include <string.h>

enum { MOST_TAG_WINDOW = 15 };

/* sizeof(hrnetae_params) of the first version; later ones have appended to it. */
static const size_t first_size = offsetof(hrnetae_params, rescoring) + sizeof(const double *);

static const hrnetae_params defaults = {
    .size = sizeof(hrnetae_params),
    .mode = HRNETAE_REFERENCE,
    .max_num_people = 30,
    .nms_kernel = 5,
    .detection_threshold = 0.1,
    .tag_threshold = 1.0,
    .use_detection_val = 1,
    .tag_per_joint = 1,
    .adjust = 1,
    .refine = 1,
    .project2image = 1,
    .restore_heatmap_size = 1,
    .center_shift = 0.5,
    .tag_window = 1,
    .subpixel = HRNETAE_QUARTER,
    .person_score = HRNETAE_SCORE_MEAN,
    .suppress_oks = 1.0,
};

typedef struct {
    const char *name;
    size_t offset;
} Field;

#define FIELD(name) {#name, offsetof(hrnetae_params, name)}

static const Field switches[] = {
    FIELD(use_detection_val), FIELD(ignore_too_much), FIELD(tag_per_joint),   FIELD(adjust),
    FIELD(refine),            FIELD(project2image),   FIELD(align_corners),   FIELD(use_udp),
    FIELD(score_per_joint),   FIELD(second_pass),     FIELD(exact_geometry),  FIELD(restore_heatmap_size),
};
static const Field reals[] = {
    FIELD(detection_threshold), FIELD(tag_threshold), FIELD(center_shift), FIELD(suppress_oks), FIELD(filled_floor),
};
enum { SWITCHES = sizeof switches / sizeof *switches, REALS = sizeof reals / sizeof *reals };

static int32_t whole_at(const hrnetae_params *params, Field field)
{
    return *(const int32_t *)((const char *)params + field.offset);
}

static double real_at(const hrnetae_params *params, Field field)
{
    return *(const double *)((const char *)params + field.offset);
}

int32_t hrnetae_params_fill(hrnetae_params *params, size_t size)
{
    if (!params || size < first_size || size > sizeof defaults)
        return HRNETAE_BAD_ARGUMENT;
    memcpy(params, &defaults, size);
    params->size = (uint32_t)size;
    return HRNETAE_OK;
}

static int32_t check_kinds(const hrnetae_params *params, hrnetae_error *error)
{
    for (int i = 0; i < SWITCHES; i++) {
        const int32_t found = whole_at(params, switches[i]);
        if (found != 0 && found != 1)
            return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s: %d, expected 0 or 1", switches[i].name, found);
    }
    for (int i = 0; i < REALS; i++) {
        const double found = real_at(params, reals[i]);
        if (!isfinite(found))
            return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s: %g, expected a finite number", reals[i].name, found);
    }
    return HRNETAE_OK;
}

static int32_t check_choice(const char *name, int32_t found, int32_t choices, hrnetae_error *error)
{
    if (found >= 0 && found < choices)
        return HRNETAE_OK;
    return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s: %d, expected one of 0 to %d", name, found, choices - 1);
}

static int32_t check_odd(const char *name, int32_t found, int32_t most, hrnetae_error *error)
{
    if (found >= 1 && found <= most && found % 2)
        return HRNETAE_OK;
    return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s: %d, expected an odd number from 1 to %d", name, found, most);
}

static int32_t check_share(const char *name, double found, hrnetae_error *error)
{
    if (found >= 0.0 && found <= 1.0)
        return HRNETAE_OK;
    return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s: %g, expected a number from 0 to 1", name, found);
}

static int32_t check_input(const hrnetae_params *params, hrnetae_error *error)
{
    const int32_t width = params->input_width, height = params->input_height;
    if ((!width && !height) || (width >= 1 && width <= HAE_MOST_SIDE && height >= 1 && height <= HAE_MOST_SIDE))
        return HRNETAE_OK;
    return hae_report(error, HRNETAE_BAD_ARGUMENT, "input_width, input_height: %d, %d, expected 0 and 0 or 1 to %d each",
                      width, height, HAE_MOST_SIDE);
}

static int32_t check_ranges(const hrnetae_params *params, hrnetae_error *error)
{
    if (params->max_num_people < 1)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "max_num_people: %d, expected 1 or more", params->max_num_people);
    int32_t status = check_odd("nms_kernel", params->nms_kernel, INT32_MAX, error);
    if (!status)
        status = check_odd("tag_window", params->tag_window, MOST_TAG_WINDOW, error);
    if (!status)
        status = check_choice("mode", params->mode, 2, error);
    if (!status)
        status = check_choice("subpixel", params->subpixel, 2, error);
    if (!status)
        status = check_choice("person_score", params->person_score, 3, error);
    if (!status)
        status = check_share("suppress_oks", params->suppress_oks, error);
    if (!status)
        status = check_share("filled_floor", params->filled_floor, error);
    return status ? status : check_input(params, error);
}

/* Options that do not go together. */
static int32_t check_combinations(const hrnetae_params *params, hrnetae_error *error)
{
    const int mmpose1 = params->mode == HRNETAE_MMPOSE1, udp = params->use_udp, each = params->score_per_joint;
    const struct {
        const char *name;
        int used, fits;
        const char *expected;
    } rules[] = {
        {"use_udp", udp, !mmpose1, "0 with HRNETAE_MMPOSE1, which has no UDP step"},
        {"subpixel", params->subpixel == HRNETAE_FIT, !mmpose1 && !udp && !params->align_corners,
         "HRNETAE_QUARTER with UDP or HRNETAE_MMPOSE1"},
        {"exact_geometry", params->exact_geometry, !mmpose1 && !udp, "0 with UDP or HRNETAE_MMPOSE1"},
        {"filled_floor", params->filled_floor > 0.0, !mmpose1, "0 with HRNETAE_MMPOSE1"},
        {"person_score", params->person_score != HRNETAE_SCORE_MEAN, !each, "HRNETAE_SCORE_MEAN with score_per_joint"},
        {"suppress_oks", params->suppress_oks < 1.0, !each, "1 with score_per_joint"},
        {"rescoring", params->rescoring != NULL, !each, "NULL with score_per_joint"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].used && !rules[i].fits)
            return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s: given, expected %s", rules[i].name, rules[i].expected);
    return HRNETAE_OK;
}

static int32_t take_rescoring(hrnetae_decoder *decoder, hrnetae_error *error)
{
    const double *numbers = decoder->params.rescoring;
    for (int i = 0; numbers && i < HRNETAE_RESCORING_NUMBERS; i++) {
        if (!isfinite(numbers[i]))
            return hae_report(error, HRNETAE_BAD_ARGUMENT, "rescoring[%d]: %g, expected a finite number", i, numbers[i]);
        decoder->rescoring[i] = numbers[i];
    }
    decoder->params.rescoring = numbers ? decoder->rescoring : NULL;
    return HRNETAE_OK;
}

int32_t hae_take_params(const hrnetae_params *given, hrnetae_decoder *decoder, hrnetae_error *error)
{
    decoder->params = defaults;
    if (!given)
        return HRNETAE_OK;
    if (given->size < first_size || given->size > sizeof defaults)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "params: size %u, expected %u to %u of hrnetae_params_default()",
                          (unsigned)given->size, (unsigned)first_size, (unsigned)sizeof defaults);
    memcpy(&decoder->params, given, given->size);
    int32_t status = check_kinds(&decoder->params, error);
    if (!status)
        status = check_ranges(&decoder->params, error);
    if (!status)
        status = check_combinations(&decoder->params, error);
    return status ? status : take_rescoring(decoder, error);
}
