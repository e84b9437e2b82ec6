/* Step 2 where it is needed alone: how the projected maps lie on the network's, the cells of those, and single pixels.
 *
 * The same float32 operations in the same order as project.c, which makes whole maps of them; a pixel that both
 * compute has the same bits. strips.h does the same for small rectangles.
 */
#ifndef HRNETAE_SAMPLE_H
#define HRNETAE_SAMPLE_H

#include "axis.h"
#include "flip.h"
#include "lanes.h"

/* Where the pixels of the projected map lie on the cells of one network map. */
typedef struct {
    int width, height; /* of the network map */
    int identity;      /* the network map has the projected size already */
    int narrow;        /* any eight neighbouring pixels lie on eight cells at most */
    HaeAxis columns, rows;
    int32_t *first_column, *first_row; /* [cell, one past the last]: the first pixel whose near cell is this or later */
    int32_t *near_left, *near_right;   /* [cell]: the pixels that have the cell's corner between their neighbours */
    int32_t *near_top, *near_bottom;
} HaeGrid;

/* The projected maps of an image, none of them computed. */
typedef struct {
    const HaeOutputs *outputs;
    const HaeSettings *settings;
    int width, height;
    int sides, length;    /* 2 with flip, else 1; tag values of a joint, the same number */
    const HaeGrid *grids; /* one per map of outputs->plain */
} HaeField;

/* Pixels left..right-1, top..bottom-1. */
typedef struct {
    int left, top, right, bottom;
} HaeRect;

enum {
    RECT_WIDTH = 96, /* the largest rectangle that is sampled at once */
    RECT_HEIGHT = 64,
};

/* Rectangles are sampled in strips of LANES pixels; what lies to the right of the rectangle is filler. */
static inline int padded(int width)
{
    return (width + LANES - 1) / LANES * LANES;
}

typedef struct {
    const HaeMaps *maps;
    const HaeGrid *grid;
    int channel, mirrored;
} HaeSource;

static inline HaeSource heat_source(const HaeField *field, int map, int side, int joint)
{
    const HaeOutputs *outputs = field->outputs;
    if (side)
        return (HaeSource){&outputs->flipped[map], &field->grids[map], hae_flip_heat_channel(outputs, joint), 1};
    return (HaeSource){&outputs->plain[map], &field->grids[map], joint, 0};
}

static inline HaeSource tag_source(const HaeField *field, int side, int joint)
{
    const HaeOutputs *outputs = field->outputs;
    const int map = outputs->tag_scale * outputs->stages + outputs->tag_stage;
    const int own = field->settings->tag_per_joint ? joint : 0;
    if (side)
        return (HaeSource){&outputs->flipped[map], &field->grids[map],
                           hae_flip_tag_channel(outputs, own, field->settings->tag_per_joint), 1};
    return (HaeSource){&outputs->plain[map], &field->grids[map], outputs->joints + own, 0};
}

static inline size_t row_start(const HaeSource *source, int y)
{
    return ((size_t)source->channel * source->maps->height + y) * source->maps->width;
}

static inline float half_value(uint16_t half)
{
#ifdef __F16C__
    return _cvtsh_ss(half);
#else
    return hae_half_to_float(half);
#endif
}

/* The cell (x, y) of a network map, the flip undone. */
static inline float cell_value(const HaeSource *source, int x, int y)
{
    const size_t at = row_start(source, y) + (source->mirrored ? hae_flip_column(x, source->maps->width) : x);
    return source->maps->is_half ? half_value(((const uint16_t *)source->maps->data)[at])
                                 : ((const float *)source->maps->data)[at];
}

#ifdef __F16C__
/* Eight cells at a time. Reads nothing outside the map's tensor; `cells` has room for 7 more than `count`. */
static inline void load_half_cells(const HaeSource *source, size_t start, int first, int count, float *cells)
{
    const uint16_t *data = source->maps->data;
    const size_t total = (size_t)source->maps->channels * source->maps->height * source->maps->width;
    const __m256i reversed = _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    int i = 0;
    for (; i < count; i += 8) {
        __m256 values;
        if (source->mirrored) {
            const size_t last = start + hae_flip_column(first + i, source->maps->width);
            if (last < 7)
                break;
            values = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(data + last - 7)));
            values = _mm256_permutevar8x32_ps(values, reversed);
        } else {
            if (start + first + i + 8 > total)
                break;
            values = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(data + start + first + i)));
        }
        _mm256_storeu_ps(cells + i, values);
    }
    for (; i < count; i++) {
        const int x = source->mirrored ? hae_flip_column(first + i, source->maps->width) : first + i;
        cells[i] = half_value(data[start + x]);
    }
}
#endif

/* Cells first..first+count-1 of a row of a network map, the flip undone, as float32. */
static inline void load_cells(const HaeSource *source, int y, int first, int count, float *cells)
{
    const size_t start = row_start(source, y);
#ifdef __F16C__
    if (source->maps->is_half) {
        load_half_cells(source, start, first, count, cells);
        return;
    }
#endif
    if (!source->maps->is_half && !source->mirrored) {
        memcpy(cells, (const float *)source->maps->data + start + first, (size_t)count * sizeof(float));
        return;
    }
    for (int i = 0; i < count; i++) {
        const size_t at = start + (source->mirrored ? hae_flip_column(first + i, source->maps->width) : first + i);
        cells[i] = source->maps->is_half ? hae_half_to_float(((const uint16_t *)source->maps->data)[at])
                                         : ((const float *)source->maps->data)[at];
    }
}

enum { TILE_STRIDE = 16 };

/* `down` rows of `across` <= 16 cells from (left, top), rows TILE_STRIDE floats apart and filled up with anything.
 * The tile may stick out of the map; there its edge is repeated. */
static inline void load_tile(const HaeSource *source, int left, int top, int across, int down, float *tile)
{
    const int width = source->maps->width, height = source->maps->height;
    const int first = left < 0 ? 0 : left, last = left + across < width ? left + across : width;
#ifdef __F16C__
    const size_t channel = row_start(source, 0), total = (size_t)source->maps->channels * width * height;
    const size_t lowest =
        channel + (size_t)(top < 0 ? 0 : top) * width + (size_t)(source->mirrored ? width - left : left);
    if (source->maps->is_half && first == left && last == left + across && top >= 0 && top + down <= height
        && (source->mirrored ? lowest >= TILE_STRIDE : lowest + (size_t)(down - 1) * width + TILE_STRIDE <= total)) {
        const uint16_t *row = (const uint16_t *)source->maps->data + lowest;
        const __m256i reversed = _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0);
        for (int y = 0; y < down; y++, row += width, tile += TILE_STRIDE) {
            if (source->mirrored) {
                const __m256 near = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(row - 8)));
                const __m256 far = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(row - 16)));
                _mm256_storeu_ps(tile, _mm256_permutevar8x32_ps(near, reversed));
                _mm256_storeu_ps(tile + 8, _mm256_permutevar8x32_ps(far, reversed));
            } else {
                _mm256_storeu_ps(tile, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)row)));
                _mm256_storeu_ps(tile + 8, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(row + 8))));
            }
        }
        return;
    }
#endif
    for (int row = 0; row < down; row++, tile += TILE_STRIDE) {
        int y = top + row;
        y = y < 0 ? 0 : y < height ? y : height - 1;
        float cells[TILE_STRIDE + LANES];
        load_cells(source, y, first, last - first, cells);
        for (int x = 0; x < TILE_STRIDE; x++) {
            const int inside = left + x < first ? first : left + x < last ? left + x : last - 1;
            tile[x] = cells[inside - first];
        }
    }
}

/* One pixel of a resized map. */
static inline float sample_pixel(const HaeSource *source, int x, int y)
{
    const HaeGrid *grid = source->grid;
    if (grid->identity)
        return cell_value(source, x, y);
    const int near_x = grid->columns.near[x], far_x = grid->columns.far[x];
    const int near_y = grid->rows.near[y], far_y = grid->rows.far[y];
    const float near_weight = grid->columns.near_weight[x], far_weight = grid->columns.far_weight[x];
    const float above = fmaf(near_weight, cell_value(source, near_x, near_y),
                             far_weight * cell_value(source, far_x, near_y));
    const float below = fmaf(near_weight, cell_value(source, near_x, far_y),
                             far_weight * cell_value(source, far_x, far_y));
    return fmaf(grid->rows.near_weight[y], above, grid->rows.far_weight[y] * below);
}

/* The tag vector of a joint at a pixel. */
static inline void sample_tags(const HaeField *field, int joint, int x, int y, float *tag)
{
    for (int side = 0; side < field->length; side++) {
        const HaeSource source = tag_source(field, side, joint);
        tag[side] = sample_pixel(&source, x, y);
    }
}

/* Asks the memory for what sample_tags will read. */
static inline void ask_for_tags(const HaeField *field, int joint, int x, int y)
{
#ifdef __GNUC__
    for (int side = 0; side < field->length; side++) {
        const HaeSource source = tag_source(field, side, joint);
        const int column = source.grid->columns.near[x];
        const size_t cell = source.maps->is_half ? sizeof(uint16_t) : sizeof(float);
        const size_t at = (size_t)(source.mirrored ? hae_flip_column(column, source.maps->width) : column);
        const char *data = source.maps->data;
        __builtin_prefetch(data + (row_start(&source, source.grid->rows.near[y]) + at) * cell);
        __builtin_prefetch(data + (row_start(&source, source.grid->rows.far[y]) + at) * cell);
    }
#else
    (void)field, (void)joint, (void)x, (void)y;
#endif
}

static inline HaeRect clip_rect(const HaeField *field, HaeRect rect)
{
    rect.left = rect.left < 0 ? 0 : rect.left;
    rect.top = rect.top < 0 ? 0 : rect.top;
    rect.right = rect.right > field->width ? field->width : rect.right;
    rect.bottom = rect.bottom > field->height ? field->height : rect.bottom;
    return rect;
}

#endif
