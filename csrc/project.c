/* Step 2: bilinear projection of the network's maps to the size they are decoded at; mean over stages, flip, scales.
 *
 * The interpolation is torch's (AVX2 build) to the last bit: its fused multiply-adds are part of the answer, because
 * the last bit decides which pixels of a plateau survive the NMS. They are explicit fmaf calls, and the build sets
 * -ffp-contract=off, so that a CPU without them gives the same bits.
 */
#include "axis.h"
#include "flip.h"
#include "numbers.h"

#include <stdlib.h>

/* Row y of a map as float32, from left to right of the picture. */
static void load_row(const HaeMaps *maps, int channel, int mirrored, int y, float *row)
{
    const int width = maps->width;
    const size_t start = ((size_t)channel * maps->height + y) * width;
    if (maps->is_half) {
        const uint16_t *source = (const uint16_t *)maps->data + start;
        for (int x = 0; x < width; x++)
            row[x] = hae_half_to_float(source[mirrored ? hae_flip_column(x, width) : x]);
    } else {
        const float *source = (const float *)maps->data + start;
        for (int x = 0; x < width; x++)
            row[x] = source[mirrored ? hae_flip_column(x, width) : x];
    }
}

static void stretch_row(const float *row, const HaeAxis *columns, float *stretched)
{
    for (int x = 0; x < columns->out; x++)
        stretched[x] = fmaf(columns->near_weight[x], row[columns->near[x]],
                            columns->far_weight[x] * row[columns->far[x]]);
}

static int stretch_map(const HaeMaps *maps, int channel, int mirrored, const HaeAxis *columns, const HaeAxis *rows,
                       float *out)
{
    const int width = columns->out;
    float *row = malloc(((size_t)maps->width + 2 * (size_t)width) * sizeof(float));
    if (!row)
        return -1;
    float *above = row + maps->width, *below = above + width;
    int above_y = -1, below_y = -1; /* which network rows the two stretched rows hold */
    for (int y = 0; y < rows->out; y++) {
        if (above_y != rows->near[y]) {
            if (below_y == rows->near[y]) {
                float *swap = above;
                above = below;
                below = swap;
                below_y = above_y;
            } else {
                load_row(maps, channel, mirrored, rows->near[y], row);
                stretch_row(row, columns, above);
            }
            above_y = rows->near[y];
        }
        if (below_y != rows->far[y]) {
            load_row(maps, channel, mirrored, rows->far[y], row);
            stretch_row(row, columns, below);
            below_y = rows->far[y];
        }
        const float near_weight = rows->near_weight[y], far_weight = rows->far_weight[y];
        float *line = out + (size_t)y * width;
        for (int x = 0; x < width; x++)
            line[x] = fmaf(near_weight, above[x], far_weight * below[x]);
    }
    free(row);
    return 0;
}

/* One map, the flip undone, at width x height. A map that has that size already is left alone. */
int hae_resize_map(const HaeMaps *maps, int channel, int mirrored, int width, int height, int align_corners, float *out)
{
    if (maps->width == width && maps->height == height) {
        for (int y = 0; y < height; y++)
            load_row(maps, channel, mirrored, y, out + (size_t)y * width);
        return 0;
    }
    char *memory = malloc(hae_axis_bytes(width) + hae_axis_bytes(height));
    if (!memory)
        return -1;
    HaeAxis columns, rows;
    hae_axis_fill(&columns, memory, maps->width, width, align_corners);
    hae_axis_fill(&rows, memory + hae_axis_bytes(width), maps->height, height, align_corners);
    const int failed = stretch_map(maps, channel, mirrored, &columns, &rows, out);
    free(memory);
    return failed;
}

/* The last stage of a scale: the network's finest map, and its size where nothing is resized to the image. */
static const HaeMaps *finest(const HaeOutputs *outputs, const HaeMaps *side, int scale)
{
    return &side[scale * outputs->stages + outputs->stages - 1];
}

void hae_map_size(const HaeOutputs *outputs, const HaeSettings *settings, int *width, int *height)
{
    const HaeMaps *last = finest(outputs, outputs->plain, 0);
    *width = settings->resize ? settings->target_width : last->width;
    *height = settings->resize ? settings->target_height : last->height;
}

/* sum += addend, or the first addend itself. */
static void accumulate(float *sum, const float *addend, size_t count, int first)
{
    if (first)
        memcpy(sum, addend, count * sizeof(float));
    else
        for (size_t i = 0; i < count; i++)
            sum[i] += addend[i];
}

static void divide(float *sum, size_t count, int by)
{
    if (by > 1)
        for (size_t i = 0; i < count; i++)
            sum[i] /= (float)by;
}

/* The mean over the stages of one side (plain or mirrored) of one scale. */
static int stage_mean(const HaeOutputs *outputs, const HaeMaps *stages, int channel, int mirrored, int width,
                      int height, int align_corners, float *scratch, float *mean)
{
    const size_t size = (size_t)width * height;
    for (int stage = 0; stage < outputs->stages; stage++) {
        float *target = stage ? scratch : mean;
        if (hae_resize_map(&stages[stage], channel, mirrored, width, height, align_corners, target))
            return -1;
        if (stage)
            accumulate(mean, scratch, size, 0);
    }
    divide(mean, size, outputs->stages);
    return 0;
}

/* The heat of one joint at one scale: stages averaged, then the flip. */
static int scale_heat(const HaeOutputs *outputs, int scale, int joint, int width, int height, int align_corners,
                      float *scratch, float *heat)
{
    const size_t size = (size_t)width * height;
    const int first = scale * outputs->stages;
    if (stage_mean(outputs, outputs->plain + first, joint, 0, width, height, align_corners, scratch, heat))
        return -1;
    if (!outputs->flipped)
        return 0;
    float *mirrored = scratch + size;
    if (stage_mean(outputs, outputs->flipped + first, hae_flip_heat_channel(outputs, joint), 1, width, height,
                   align_corners, scratch, mirrored))
        return -1;
    for (size_t i = 0; i < size; i++)
        heat[i] = hae_flip_average(heat[i], mirrored[i]);
    return 0;
}

/* With projection every map goes straight to the target; without, a scale is put together at its own size and
 * then resized to the largest scale's. scratch: four maps of `largest` pixels. */
static int joint_heat(const HaeOutputs *outputs, const HaeSettings *settings, int joint, int width, int height,
                      size_t largest, float *scratch, float *heat)
{
    const size_t size = (size_t)width * height;
    float *addend = scratch + 2 * largest, *own = scratch + 3 * largest;
    for (int scale = 0; scale < outputs->scales; scale++) {
        const HaeMaps *last = finest(outputs, outputs->plain, scale);
        const int direct = settings->resize || (last->width == width && last->height == height);
        float *target = scale ? addend : heat;
        if (direct) {
            if (scale_heat(outputs, scale, joint, width, height, settings->align_corners, scratch, target))
                return -1;
        } else {
            const HaeMaps aggregated = {own, 0, 1, last->height, last->width};
            if (scale_heat(outputs, scale, joint, last->width, last->height, settings->align_corners, scratch, own)
                || hae_resize_map(&aggregated, 0, 0, width, height, settings->align_corners, target))
                return -1;
        }
        if (scale)
            accumulate(heat, addend, size, 0);
    }
    divide(heat, size, outputs->scales);
    for (size_t i = 0; i < size; i++)
        heat[i] = hae_finite_or_lowest(heat[i]);
    return 0;
}

/* Pixels of the largest map that step 2 holds for one joint. */
static size_t largest_size(const HaeOutputs *outputs, int width, int height)
{
    size_t largest = (size_t)width * height;
    for (int scale = 0; scale < outputs->scales; scale++) {
        const HaeMaps *last = finest(outputs, outputs->plain, scale);
        const size_t size = (size_t)last->width * last->height;
        if (size > largest)
            largest = size;
    }
    return largest;
}

/* heat: joints x height x width float32 of hae_map_size. Pixels that are not finite become -inf. */
int hae_project_heat(const HaeOutputs *outputs, const HaeSettings *settings, float *heat)
{
    int width, height, failed = 0;
    hae_map_size(outputs, settings, &width, &height);
    const size_t largest = largest_size(outputs, width, height);
    float *scratch = malloc(4 * largest * sizeof(float));
    if (!scratch)
        return -1;
    for (int joint = 0; joint < outputs->joints && !failed; joint++)
        failed = joint_heat(outputs, settings, joint, width, height, largest, scratch,
                            heat + (size_t)joint * width * height);
    free(scratch);
    return failed;
}

/* tags: (joints or 1) x L x height x width float32: plain first, then mirrored; never averaged. */
int hae_project_tags(const HaeOutputs *outputs, const HaeSettings *settings, float *tags)
{
    const int index = outputs->tag_scale * outputs->stages + outputs->tag_stage;
    const int maps = settings->tag_per_joint ? outputs->joints : 1;
    int width, height;
    hae_map_size(outputs, settings, &width, &height);
    for (int joint = 0; joint < maps; joint++) {
        if (hae_resize_map(&outputs->plain[index], outputs->joints + joint, 0, width, height, settings->align_corners,
                           tags))
            return -1;
        tags += (size_t)width * height;
        if (!outputs->flipped)
            continue;
        if (hae_resize_map(&outputs->flipped[index], hae_flip_tag_channel(outputs, joint, settings->tag_per_joint), 1,
                           width, height, settings->align_corners, tags))
            return -1;
        tags += (size_t)width * height;
    }
    return 0;
}
