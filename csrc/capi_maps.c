/* The C API's maps: checked, scales sorted, stages told apart. The rules are those of hrnetae/outputs.py. */
#include "capi.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_STAGES = 64, MOST_SCALES = 64 };

static int channels_with_tags(const hrnetae_decoder *decoder)
{
    return decoder->joints + (decoder->params.tag_per_joint ? decoder->joints : 1);
}

static int32_t check_counts(const HaeGiven *given, hrnetae_error *error)
{
    if (!given->output)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "output: NULL, expected the network's maps");
    if (given->stages < 1 || given->stages > MOST_STAGES)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "stages: %d, expected 1 to %d", given->stages, MOST_STAGES);
    if (given->scales < 1 || given->scales > MOST_SCALES)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "scales: %d, expected 1 to %d", given->scales, MOST_SCALES);
    if (given->scales > 1 && !given->scale)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "scale: NULL, expected %d numbers", given->scales);
    return HRNETAE_OK;
}

static int is_side(int32_t side)
{
    return side >= 1 && side <= HAE_MOST_SIDE;
}

/* One array by itself. name, index: for the message. */
static int32_t check_maps(const char *name, int index, const hrnetae_maps *maps, hrnetae_error *error)
{
    if (!maps->data)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s[%d]: data NULL, expected an array", name, index);
    if (maps->type != HRNETAE_FLOAT32 && maps->type != HRNETAE_FLOAT16)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s[%d]: type %d, expected HRNETAE_FLOAT32 or HRNETAE_FLOAT16",
                          name, index, maps->type);
    if (!is_side(maps->channels) || !is_side(maps->height) || !is_side(maps->width))
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s[%d]: shape (%d, %d, %d), expected sides of 1 to %d", name,
                          index, maps->channels, maps->height, maps->width, HAE_MOST_SIDE);
    const unsigned bytes = maps->type == HRNETAE_FLOAT16 ? 2 : 4;
    if ((uintptr_t)maps->data % bytes)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "%s[%d]: data at %p, expected a multiple of %u", name, index,
                          maps->data, bytes);
    return HRNETAE_OK;
}

static int32_t check_channels(const hrnetae_decoder *decoder, int index, const hrnetae_maps *maps, hrnetae_error *error)
{
    const int both = channels_with_tags(decoder);
    if (maps->channels == decoder->joints || maps->channels == both)
        return HRNETAE_OK;
    return hae_report(error, HRNETAE_BAD_ARGUMENT,
                      "output[%d]: %d channels, expected %d (heatmaps and tag maps) or %d (heatmaps alone) with "
                      "tag_per_joint = %d",
                      index, maps->channels, both, decoder->joints, decoder->params.tag_per_joint);
}

static int32_t check_arrays(const hrnetae_decoder *decoder, const HaeGiven *given, hrnetae_error *error)
{
    for (int i = 0; i < given->scales * given->stages; i++) {
        const hrnetae_maps *plain = &given->output[i];
        int32_t status = check_maps("output", i, plain, error);
        if (!status)
            status = check_channels(decoder, i, plain, error);
        if (!status && given->flipped)
            status = check_maps("flipped", i, &given->flipped[i], error);
        if (status)
            return status;
        if (!given->flipped)
            continue;
        const hrnetae_maps *other = &given->flipped[i];
        if (other->channels != plain->channels || other->height != plain->height || other->width != plain->width)
            return hae_report(error, HRNETAE_BAD_ARGUMENT, "flipped[%d]: shape (%d, %d, %d), expected (%d, %d, %d)", i,
                              other->channels, other->height, other->width, plain->channels, plain->height, plain->width);
    }
    return HRNETAE_OK;
}

static int32_t check_scales(const HaeGiven *given, hrnetae_error *error)
{
    int has_one = given->scales == 1;
    for (int i = 0; given->scale && i < given->scales; i++) {
        const double value = given->scale[i];
        if (!(value > 0.0) || isinf(value))
            return hae_report(error, HRNETAE_BAD_ARGUMENT, "scale[%d]: %g, expected a positive number", i, value);
        for (int j = 0; j < i; j++)
            if (given->scale[j] == value)
                return hae_report(error, HRNETAE_BAD_ARGUMENT, "scale[%d]: %g again, expected different numbers", i, value);
        has_one |= value == 1.0;
    }
    if (has_one)
        return HRNETAE_OK;
    return hae_report(error, HRNETAE_BAD_ARGUMENT, "scale: no 1, expected it among them: its tags are the ones used");
}

/* order[i]: which of the given scales comes i-th, from the largest to the smallest. Returns the place of scale 1. */
static int order_scales(const HaeGiven *given, int *order)
{
    int place_of_one = 0;
    for (int i = 0; i < given->scales; i++) {
        int at = i;
        for (; at > 0 && given->scale[order[at - 1]] < given->scale[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int i = 0; i < given->scales && given->scales > 1; i++)
        if (given->scale[order[i]] == 1.0)
            place_of_one = i;
    return place_of_one;
}

static int32_t find_tag_stage(const hrnetae_decoder *decoder, HaeOutputs *outputs, hrnetae_error *error)
{
    const int both = channels_with_tags(decoder);
    outputs->tag_stage = -1;
    for (int stage = 0; stage < outputs->stages; stage++) {
        if (outputs->plain[outputs->tag_scale * outputs->stages + stage].channels != both)
            continue;
        if (outputs->tag_stage >= 0)
            return hae_report(error, HRNETAE_BAD_ARGUMENT, "output: tag maps in stages %d and %d, expected them in one",
                              outputs->tag_stage, stage);
        outputs->tag_stage = stage;
    }
    if (outputs->tag_stage < 0)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "output: no stage has tag maps, expected one with %d channels",
                          both);
    return HRNETAE_OK;
}

static HaeMaps as_kernels_take(const hrnetae_maps *maps)
{
    return (HaeMaps){maps->data, maps->type == HRNETAE_FLOAT16, maps->channels, maps->height, maps->width};
}

static int32_t order_maps(const hrnetae_decoder *decoder, const HaeGiven *given, HaeOutputs *outputs, hrnetae_error *error)
{
    const int count = given->scales * given->stages;
    int order[MOST_SCALES];
    HaeMaps *maps = malloc(2 * (size_t)count * sizeof(HaeMaps));
    if (!maps)
        return hae_report(error, HRNETAE_NO_MEMORY, "output: no memory for a list of %d arrays", count);
    *outputs = (HaeOutputs){
        .plain = maps,
        .flipped = given->flipped ? maps + count : NULL,
        .scales = given->scales,
        .stages = given->stages,
        .tag_scale = order_scales(given, order),
        .joints = decoder->joints,
        .flip_index = decoder->flip_index,
        .joint_order = decoder->joint_order,
        .sigmas = decoder->sigmas,
    };
    for (int i = 0; i < count; i++) {
        const int from = order[i / given->stages] * given->stages + i % given->stages;
        maps[i] = as_kernels_take(&given->output[from]);
        if (given->flipped)
            maps[count + i] = as_kernels_take(&given->flipped[from]);
    }
    return find_tag_stage(decoder, outputs, error);
}

int32_t hae_arrange(const hrnetae_decoder *decoder, const HaeGiven *given, HaeOutputs *outputs, hrnetae_error *error)
{
    int32_t status = check_counts(given, error);
    if (!status)
        status = check_scales(given, error);
    if (!status)
        status = check_arrays(decoder, given, error);
    if (status)
        return status;
    const int single = given->stages == 1 && given->scales == 1 && decoder->params.tag_per_joint;
    if (decoder->params.mode == HRNETAE_MMPOSE1 && !single)
        return hae_report(error, HRNETAE_BAD_ARGUMENT,
                          "output: HRNETAE_MMPOSE1 decodes one stage of one scale with one tag map per joint");
    return order_maps(decoder, given, outputs, error);
}
