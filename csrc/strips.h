/* Step 2 for small rectangles of the projected maps: eight pixels side by side, from the top down, map after map.
 *
 * A strip is so narrow that its columns' weights, and the two network rows between which it is, stay in registers. The
 * operations and their order are those of project.c.
 */
#ifndef HRNETAE_STRIPS_H
#define HRNETAE_STRIPS_H

#include "sample.h"
#include "tag_mean.h"

/* Cells first..first+7 of row y; beyond the row's end the last one again. */
static inline Lanes load_eight(const HaeSource *source, int first, int y)
{
    const int width = source->maps->width;
    float cells[LANES];
#ifdef __AVX2__
    if (source->maps->is_half && first + LANES <= width) {
        const int left = source->mirrored ? width - LANES - first : first;
        const uint16_t *at = (const uint16_t *)source->maps->data + row_start(source, y) + left;
        const __m256 eight = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at));
        return source->mirrored ? _mm256_permutevar8x32_ps(eight, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0)) : eight;
    }
#endif
    for (int lane = 0; lane < LANES; lane++)
        cells[lane] = cell_value(source, first + lane < width ? first + lane : width - 1, y);
    return lanes_load(cells);
}

/* Pixels left..left+7 of a map's projection, but in the network's row y. */
static inline Lanes stretch_row(const HaeSource *source, int left, int y)
{
    const HaeGrid *grid = source->grid;
    const int32_t *near = grid->columns.near + left, *far = grid->columns.far + left;
    const float *near_weight = grid->columns.near_weight + left, *far_weight = grid->columns.far_weight + left;
    const int first = near[0], count = far[LANES - 1] - first + 1;
    enum { MOST = 3 * LANES }; /* cells that are worth loading together */
    float cells[MOST + 2 * LANES], pixels[LANES];
#ifdef __AVX2__
    if (grid->narrow) { /* the eight pixels lie on eight cells at most: one load, two shuffles */
        const __m256 eight = load_eight(source, first, y);
        const __m256i start = _mm256_set1_epi32(first);
        const __m256 a = _mm256_permutevar8x32_ps(
            eight, _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)near), start));
        const __m256 b = _mm256_permutevar8x32_ps(
            eight, _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)far), start));
        return lanes_blend(lanes_load(near_weight), a, lanes_load(far_weight), b);
    }
#endif
    if (grid->identity) {
        load_cells(source, y, left, left + LANES < grid->width ? LANES : grid->width - left, cells);
        return lanes_load(cells);
    }
    if (count <= MOST)
        load_cells(source, y, first, count, cells);
    for (int lane = 0; lane < LANES; lane++) {
        const float a = count <= MOST ? cells[near[lane] - first] : cell_value(source, near[lane], y);
        const float b = count <= MOST ? cells[far[lane] - first] : cell_value(source, far[lane], y);
        pixels[lane] = fmaf(near_weight[lane], a, far_weight[lane] * b);
    }
    return lanes_load(pixels);
}

/* Rows top.. of the eight pixels from `left` of a resized map, added to what `rows` holds if add is set. */
static inline void sample_strip(const HaeSource *source, int left, int top, int bottom, int add, Lanes *rows)
{
    const HaeAxis *axis = &source->grid->rows;
    Lanes above = lanes_all(0.0f), below = above;
    int above_y = -1, below_y = -1; /* the network rows that they hold */
    for (int y = top; y < bottom; y++, rows++) {
        const int near = axis->near[y], far = axis->far[y];
        if (above_y != near) {
            above = below_y == near ? below : stretch_row(source, left, near);
            above_y = near;
        }
        if (below_y != far && !source->grid->identity) {
            below = stretch_row(source, left, far);
            below_y = far;
        }
        const Lanes value = source->grid->identity
                                ? above
                                : lanes_blend(lanes_all(axis->near_weight[y]), above, lanes_all(axis->far_weight[y]),
                                              below);
        *rows = add ? lanes_add(*rows, value) : value;
    }
}

/* The heat of a joint in rows top..bottom-1 of the eight pixels from `left`; at most RECT_HEIGHT rows. */
static inline void sample_heat_strip(const HaeField *field, int joint, int left, int top, int bottom, Lanes *heat)
{
    const int scales = field->outputs->scales, stages = field->outputs->stages, sides = field->sides;
    const Lanes by_stages = lanes_all((float)stages), by_scales = lanes_all((float)scales);
    Lanes of_side[2][RECT_HEIGHT];
    for (int scale = 0; scale < scales; scale++) {
        for (int side = 0; side < sides; side++)
            for (int stage = 0; stage < stages; stage++) {
                const HaeSource source = heat_source(field, scale * stages + stage, side, joint);
                sample_strip(&source, left, top, bottom, stage > 0, of_side[side]);
            }
        for (int row = 0; row < bottom - top; row++) {
            Lanes of_scale = of_side[0][row];
            if (stages > 1)
                of_scale = lanes_div(of_scale, by_stages);
            if (sides == 2)
                of_scale = lanes_average(
                    of_scale, stages > 1 ? lanes_div(of_side[1][row], by_stages) : of_side[1][row]);
            heat[row] = scale ? lanes_add(heat[row], of_scale) : of_scale;
        }
    }
    for (int row = 0; row < bottom - top; row++)
        heat[row] = lanes_finite_or_lowest(scales > 1 ? lanes_div(heat[row], by_scales) : heat[row]);
}

/* The heat of a joint on a rectangle of at most RECT_WIDTH x RECT_HEIGHT pixels; rows are RECT_WIDTH floats apart. */
static inline void sample_heat(const HaeField *field, int joint, HaeRect rect, float *heat)
{
    Lanes rows[RECT_HEIGHT];
    for (int left = rect.left; left < rect.right; left += LANES) {
        sample_heat_strip(field, joint, left, rect.top, rect.bottom, rows);
        for (int row = 0; row < rect.bottom - rect.top; row++)
            lanes_store(heat + row * RECT_WIDTH + left - rect.left, rows[row]);
    }
}

/* The pixels within `reach` of (x, y), as a patch of `heat` (RECT_WIDTH floats a row). */
static inline HaePatch sample_patch(const HaeField *field, int joint, int x, int y, int reach, float *heat)
{
    const HaeRect rect = clip_rect(field, (HaeRect){x - reach, y - reach, x + reach + 1, y + reach + 1});
    sample_heat(field, joint, rect, heat);
    return (HaePatch){heat, rect.left, rect.top, RECT_WIDTH, field->width, field->height};
}

enum { WINDOW_WIDTH = 2 * LANES, WINDOW_HEIGHT = 16 }; /* room for the largest tag_window, 15 x 15 */

/* One of a joint's projected tag maps on a rectangle of at most WINDOW_WIDTH x WINDOW_HEIGHT pixels. */
static inline void sample_tag_window(const HaeField *field, int side, int joint, HaeRect rect, float *tags)
{
    const HaeSource source = tag_source(field, side, joint);
    Lanes rows[WINDOW_HEIGHT];
    for (int left = rect.left; left < rect.right; left += LANES) {
        sample_strip(&source, left, rect.top, rect.bottom, 0, rows);
        for (int row = 0; row < rect.bottom - rect.top; row++)
            lanes_store(tags + row * WINDOW_WIDTH + left - rect.left, rows[row]);
    }
}

/* hae_average_tags for one candidate. */
static inline void sample_average_tag(const HaeField *field, int joint, int x, int y, int reach, float *tag)
{
    const HaeRect rect = clip_rect(field, (HaeRect){x - reach, y - reach, x + reach + 1, y + reach + 1});
    float tags[2][WINDOW_WIDTH * WINDOW_HEIGHT];
    HaeTagMean mean = {0};
    for (int side = 0; side < field->length; side++)
        sample_tag_window(field, side, joint, rect, tags[side]);
    for (int row = 0; row < rect.bottom - rect.top; row++)
        for (int column = 0; column < rect.right - rect.left; column++) {
            for (int side = 0; side < field->length; side++)
                tag[side] = tags[side][row * WINDOW_WIDTH + column];
            hae_tag_mean_add(&mean, tag, field->length);
        }
    hae_tag_mean_take(&mean, tag, field->length);
}

#endif
