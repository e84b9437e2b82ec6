/* The score of step 7, shared by the ways to find its maximum. */
#ifndef HRNETAE_REFINE_H
#define HRNETAE_REFINE_H

#include "steps.h"
#include "numbers.h"

/* `squares`: the float32 sum of squared tag differences. mmpose1 minimises rint(distance) * 100 - heat: the same
 * search with the sign turned, which changes no float32. */
static inline float hae_refine_score(float heat, float squares, int mode)
{
    const float distance = hae_rint_positive(sqrtf(squares));
    return mode == HAE_MMPOSE1 ? -(distance * 100.0f - heat) : heat - distance;
}

/* A position's pixel, truncated and clipped. */
static inline int hae_truncate_inside(float position, int size)
{
    const int at = hae_truncate(position);
    return at < 0 ? 0 : at < size ? at : size - 1;
}

#endif
