/* Upper bounds of the heat, block by block: the one pass over the network's heatmaps that every image pays for.
 *
 * A map is cut into blocks of 8 x 8 cells. A block's bound holds for every pixel of the projected map whose near cell lies
 * in the block, and its maximum is taken over one cell more on every side.
 *
 * Why it is a bound: a resized value is made of fmaf and products with weights >= 0, all of them monotone in every
 * cell, so it is at most what it would be if all its four cells were as large as the largest, M. The weights of an
 * axis add up to 1 within 2^-24, and five roundings follow: at most M + 2^-21 |M|, plus the subnormal numbers' share.
 *
 * The pass needs no conversion: float16 and float32 of positive sign order like signed integers, negative numbers
 * come below all of them. For a block without a positive cell the bound is 0.
 */
#ifndef HRNETAE_BOUNDS_H
#define HRNETAE_BOUNDS_H

#include "sample.h"

enum { BLOCK = 8 };

/* The bounds of one map (a joint, a side, a stage). */
typedef struct {
    int across, down;
    float *bound; /* down x across, in the picture's orientation */
    float largest; /* no cell is farther from 0; infinity where one is not finite */
} HaeBounds;

static inline int blocks_of(int cells)
{
    return (cells + BLOCK - 1) / BLOCK;
}

static inline float bound_of(float largest)
{
    return largest > 0.0f ? largest + largest * 0x1p-21f + 0x1p-120f : 0.0f;
}

/* above, below: the largest positive number of a map and the distance of its lowest. */
static inline void finish_bounds(HaeBounds *bounds, float above, float below)
{
    bounds->largest = above > below ? above : below;
    if (hae_is_finite(above) && hae_is_finite(below))
        return;
    bounds->largest = INFINITY; /* then nothing is known of any block */
    for (int block = 0; block < bounds->across * bounds->down; block++)
        bounds->bound[block] = FLT_MAX;
}

/* The range in which tags lie that are interpolated between numbers of least..most: no range if not all are finite. */
static inline void set_range(float least, float most, int finite, float *low, float *high)
{
    const float slack = (fabsf(least) > fabsf(most) ? fabsf(least) : fabsf(most)) * 0x1p-21f + 0x1p-120f;
    *low = finite ? least - slack : -INFINITY;
    *high = finite ? most + slack : INFINITY;
}

#ifdef __AVX2__
#include "passes_avx2.h"
#endif

#define CELL int16_t
#define BITS uint16_t
#define CELL_TO_FLOAT(cell) half_value((uint16_t)(cell))
#define NAME(name) name##_half
#include "bounds_pass.h"
#undef CELL
#undef BITS
#undef CELL_TO_FLOAT
#undef NAME

static inline float single_value(int32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define CELL int32_t
#define BITS uint32_t
#define CELL_TO_FLOAT(cell) single_value(cell)
#define NAME(name) name##_single
#include "bounds_pass.h"
#undef CELL
#undef BITS
#undef CELL_TO_FLOAT
#undef NAME

/* No heat of the joint comes near where float32 ends. */
static inline int bounds_are_plain(const HaeField *field, const HaeBounds *bounds)
{
    const int count = field->outputs->scales * field->outputs->stages * field->sides;
    for (int i = 0; i < count; i++)
        if (!(bounds[i].largest < 1e30f))
            return 0;
    return 1;
}

/* line: scratch of the map's width + 32 cells, four times. */
static inline void find_bounds(const HaeSource *source, void *line, HaeBounds *bounds)
{
#ifdef __AVX2__
    if (chunks_fit(source->maps)) {
        find_bounds_avx2(source, bounds);
        return;
    }
#endif
    if (source->maps->is_half)
        find_bounds_half(source, line, bounds);
    else
        find_bounds_single(source, line, bounds);
}

#endif
