/* Upper bounds of the heat, block by block: the one pass over the network's heatmaps that every image pays for.
 *
 * A map is cut into blocks of 8 x 8 cells. A block's bound holds for every pixel of the projected map whose near cell
 * lies in the block, and its maximum is taken over one cell more on every side.
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

#include "strips.h"

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

/* ------------------------------------------------------------------ bounds of the projected heat */

static inline int is_empty(HaeRect rect)
{
    return rect.left >= rect.right || rect.top >= rect.bottom;
}

/* The pixels of a block of a grid. Empty where a coarse projection skips it. */
static inline HaeRect block_rect(const HaeGrid *grid, int across, int down)
{
    const int right = (across + 1) * BLOCK, bottom = (down + 1) * BLOCK;
    return (HaeRect){grid->first_column[across * BLOCK], grid->first_row[down * BLOCK],
                     grid->first_column[right < grid->width ? right : grid->width],
                     grid->first_row[bottom < grid->height ? bottom : grid->height]};
}

/* Which blocks of a map the pixels of each block of another grid, `base`, touch. */
typedef struct {
    int32_t *left, *right; /* [block across]: first and last */
    int32_t *top, *bottom; /* [block down] */
} HaeSpan;

/* The blocks of one grid, and where they are on every map. */
typedef struct {
    const HaeGrid *base;
    int across, down;
    HaeSpan *of_map;
    float *line; /* scratch: 4 x across, and the blocks across of the widest map */
} HaeBlocks;

static inline void fill_spans(const HaeField *field, const HaeBlocks *blocks, int map)
{
    const HaeGrid *base = blocks->base, *grid = &field->grids[map];
    const HaeSpan span = blocks->of_map[map];
    for (int x = 0; x < blocks->across; x++) {
        const HaeRect rect = block_rect(base, x, 0);
        const int has_pixels = rect.left < rect.right;
        span.left[x] = has_pixels ? grid->columns.near[rect.left] / BLOCK : 0;
        span.right[x] = has_pixels ? grid->columns.near[rect.right - 1] / BLOCK : 0;
    }
    for (int y = 0; y < blocks->down; y++) {
        const HaeRect rect = block_rect(base, 0, y);
        const int has_pixels = rect.top < rect.bottom;
        span.top[y] = has_pixels ? grid->rows.near[rect.top] / BLOCK : 0;
        span.bottom[y] = has_pixels ? grid->rows.near[rect.bottom - 1] / BLOCK : 0;
    }
}

/* The bounds of one map for a row of blocks. */
static inline void spread_bounds(const HaeBounds *bounds, const HaeBlocks *blocks, int map, int row, float *out)
{
    const HaeSpan *span = &blocks->of_map[map];
    float *highest = blocks->line + 4 * (size_t)blocks->across;
    memcpy(highest, bounds->bound + (size_t)span->top[row] * bounds->across, (size_t)bounds->across * sizeof(float));
    for (int y = span->top[row] + 1; y <= span->bottom[row]; y++)
        for (int x = 0; x < bounds->across; x++) {
            const float bound = bounds->bound[(size_t)y * bounds->across + x];
            highest[x] = bound > highest[x] ? bound : highest[x];
        }
    for (int x = 0; x < blocks->across; x++) {
        float largest = highest[span->left[x]];
        for (int other = span->left[x] + 1; other <= span->right[x]; other++)
            largest = highest[other] > largest ? highest[other] : largest;
        out[x] = largest;
    }
}

/* No pixel of a block of the row has more heat: sample_heat's operations, each of them monotone, on bounds. */
static inline void bound_heat_of_row(const HaeField *field, const HaeBounds *bounds, const HaeBlocks *blocks, int row,
                                     float *out)
{
    const int scales = field->outputs->scales, stages = field->outputs->stages, sides = field->sides;
    const int across = blocks->across;
    float *const of_side[2] = {blocks->line, blocks->line + across}, *of_map = blocks->line + 2 * (size_t)across;
    for (int scale = 0; scale < scales; scale++) {
        for (int side = 0; side < sides; side++) {
            for (int stage = 0; stage < stages; stage++) {
                const int map = scale * stages + stage;
                spread_bounds(&bounds[map * sides + side], blocks, map, row, stage ? of_map : of_side[side]);
                for (int x = 0; stage && x < across; x++)
                    of_side[side][x] += of_map[x];
            }
            for (int x = 0; stages > 1 && x < across; x++)
                of_side[side][x] /= (float)stages;
        }
        for (int x = 0; x < across; x++) {
            const float heat = sides == 2 ? hae_flip_average(of_side[0][x], of_side[1][x]) : of_side[0][x];
            out[x] = scale ? out[x] + heat : heat;
        }
    }
    for (int x = 0; scales > 1 && x < across; x++)
        out[x] /= (float)scales;
}

/* ------------------------------------------------------------------ the pass */

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
