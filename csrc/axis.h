/* Where the pixels of a resized row or column lie between a map's cells: torch's formula to the last bit. */
#ifndef HRNETAE_AXIS_H
#define HRNETAE_AXIS_H

#include "numbers.h"

enum { HAE_AXIS_PADDING = 16 }; /* entries past the last pixel, which name a cell and weigh nothing */

typedef struct {
    int in, out;
    int32_t *near, *far; /* the two network cells around each output pixel */
    float *near_weight, *far_weight;
} HaeAxis;

/* The memory that an axis needs. */
static inline size_t hae_axis_bytes(int out)
{
    return ((size_t)out + HAE_AXIS_PADDING) * (2 * sizeof(int32_t) + 2 * sizeof(float));
}

/* The axis, in that memory. */
static inline void hae_axis_fill(HaeAxis *axis, void *memory, int in, int out, int align_corners)
{
    const float scale = align_corners ? (out > 1 ? (float)(in - 1) / (float)(out - 1) : 0.0f) : (float)in / (float)out;
    const int room = out + HAE_AXIS_PADDING, last = in - 1;
    int32_t *near = memory, *far = near + room;
    float *near_weight = (float *)(far + room), *far_weight = near_weight + room;
    for (int i = 0; i < out; i++) {
        const float position = align_corners ? scale * (float)i : fmaf(scale, (float)i + 0.5f, -0.5f);
        const float source = position < 0.0f ? 0.0f : position;
        const int cell = (int)source;
        near[i] = cell < last ? cell : last;
        far[i] = cell < last ? cell + 1 : last;
        far_weight[i] = source - (float)near[i];
        near_weight[i] = 1.0f - far_weight[i];
    }
    for (int i = out; i < room; i++) {
        near[i] = far[i] = far[out - 1];
        near_weight[i] = far_weight[i] = 0.0f;
    }
    *axis = (HaeAxis){in, out, near, far, near_weight, far_weight};
}

#endif
