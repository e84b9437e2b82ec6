/* Step 1: undo the flip. A mirrored picture's maps are read from right to left, left and right joints exchanged.
 *
 * Nothing is copied for it: whoever reads a mirrored map asks here where a pixel stands and which channel it is.
 */
#ifndef HRNETAE_FLIP_H
#define HRNETAE_FLIP_H

#include "steps.h"

/* The column of a mirrored map that shows column x of the picture. */
static inline int hae_flip_column(int x, int width)
{
    return width - 1 - x;
}

/* The channel of joint k's heatmap in the mirrored output. */
static inline int hae_flip_heat_channel(const HaeOutputs *outputs, int joint)
{
    return outputs->flip_index[joint];
}

/* The channel of joint k's tag map in the mirrored output; a shared tag map (k = 0) is only mirrored. */
static inline int hae_flip_tag_channel(const HaeOutputs *outputs, int joint, int tag_per_joint)
{
    return outputs->joints + (tag_per_joint ? outputs->flip_index[joint] : 0);
}

/* Step 2's mean of the two heats. */
static inline float hae_flip_average(float plain, float flipped)
{
    return (plain + flipped) * 0.5f;
}

#endif
