/* Where several network maps put together may have a peak: the cells of the finest map on which the heat is not certain
 * to rise, or to fall, across and down.
 *
 * Let V be one map on a row of pixels, before rounding: linear between its columns. If the pixels p and q are
 * neighbours, their positions on the map differ by s, the spacing, but for e <= 2^-22 of the map's width: a position is
 * rounded once, and so is the factor that it is made with. So V(q) - V(p) lies between (s +- e) times the least and the
 * largest slope of the columns from p's to q's, and a column's slope on that row lies between its slopes on the map's
 * rows above and below. The heat is the mean of such maps. Here the slopes are summed up for all pixels of a cell at
 * once, from the pixel before its first one to the pixel after its last one. If the least sum is above the tolerance,
 * every pixel of the cell has a right neighbour that is higher, and none is a peak, as a window reaches at least one
 * pixel; if the largest is below it, the left neighbours are. Down: the same. Likewise no pixel is above the mean of
 * the largest corners.
 *
 * The tolerance: with M the largest number in any map, two computed pixels are off by at most 2 (2^-21 + n 2^-24) M,
 * with n the number of maps plus 4; the sums here, of numbers up to 2 M, by (n + 8) 2^-22 M; and e makes 2^-21 M times
 * the width. Eight times all that is allowed for.
 *
 * Left of a map's first column the heat is constant, which no slope says (beyond the last column the edge is repeated,
 * so that slopes are 0 there). Cells that come so far, and those without a neighbour on one side, are free of the test.
 */
#ifndef HRNETAE_SLOPES_H
#define HRNETAE_SLOPES_H

#include "nodes.h"

typedef struct {
    const HaeField *field;
    const HaeBlocks *blocks; /* of the finest map */
    HaeTouched *columns, *rows; /* [map] */
    unsigned char *free_columns; /* [block]: a bit for each column */
    unsigned char *free_row;     /* [row] */
    float extent;                /* of the largest map */
    int usable;
} HaeSlopes;

/* The sums over maps for a row of eight cells. */
typedef struct {
    Lanes height, least_across, most_across, least_down, most_down;
} HaeInclines;

/* Rectangles of cells. */
typedef struct {
    HaeRect rects[BLOCK * BLOCK];
    int count;
} HaeTurns;

/* ------------------------------------------------------------------ once an image */

enum { MOST_IN_RANGE = 4 };

/* Ranges of three or four are read as two pairs: last becomes the second pair. */
static inline void pair_up(HaeRanges *ranges, int cells)
{
    for (int cell = 0; ranges->longest > 2 && cell < blocks_of(cells) * BLOCK; cell++)
        ranges->last[cell] -= ranges->last[cell] > ranges->first[cell];
}

/* Whether the pixels of a cell, or those beside them, have no neighbour or lie before the map's first node. */
static inline int is_free(const HaeAxis *axis, const int32_t *first, int cell)
{
    const int begin = first[cell] - 1, end = first[cell + 1];
    return begin < 0 || end >= axis->out || (axis->near[begin] == 0 && axis->far_weight[begin] == 0.0f);
}

static inline size_t slopes_numbers(const HaeBlocks *blocks, int maps)
{
    return (size_t)maps * (touched_numbers(blocks->base->width) + touched_numbers(blocks->base->height));
}

/* columns, rows: room for a HaeTouched per map; numbers: slopes_numbers; flags: the blocks across and the rows. */
static inline void fill_slopes(HaeSlopes *slopes, int maps, int32_t *numbers)
{
    const HaeField *field = slopes->field;
    const HaeGrid *base = slopes->blocks->base;
    slopes->extent = 0.0f;
    slopes->usable = field->settings->nms_kernel >= 3;
    memset(slopes->free_columns, 0, (size_t)slopes->blocks->across);
    memset(slopes->free_row, 0, (size_t)base->height);
    for (int map = 0; map < maps; map++) {
        const HaeGrid *grid = &field->grids[map];
        const int aligned = field->settings->align_corners && !grid->identity;
        HaeTouched *columns = &slopes->columns[map], *rows = &slopes->rows[map];
        *columns = touch_axis(&grid->columns, base->first_column, base->width, maps,
                              spacing(grid->width, field->width, aligned), numbers);
        numbers += touched_numbers(base->width);
        *rows = touch_axis(&grid->rows, base->first_row, base->height, maps,
                           spacing(grid->height, field->height, aligned), numbers);
        numbers += touched_numbers(base->height);
        slopes->usable &= columns->count <= TILE_STRIDE && rows->count <= TILE_STRIDE
                       && columns->slopes.longest <= MOST_IN_RANGE && columns->nodes.longest <= MOST_IN_RANGE;
        pair_up(&columns->slopes, base->width);
        pair_up(&columns->nodes, base->width);
        for (int x = 0; x < base->width; x++)
            slopes->free_columns[x / BLOCK] |=
                (unsigned char)(is_free(&grid->columns, base->first_column, x) << x % BLOCK);
        for (int y = 0; y < base->height; y++)
            slopes->free_row[y] |= (unsigned char)is_free(&grid->rows, base->first_row, y);
        const float extent = (float)grid->width + (float)grid->height;
        slopes->extent = extent > slopes->extent ? extent : slopes->extent;
    }
}

/* ------------------------------------------------------------------ once a joint */

static inline float slope_tolerance(const HaeSlopes *slopes, const HaeBounds *bounds)
{
    const int maps = slopes->field->outputs->scales * slopes->field->outputs->stages;
    float largest = 0.0f;
    for (int i = 0; i < maps * slopes->field->sides; i++)
        largest = bounds[i].largest > largest ? bounds[i].largest : largest;
    return largest * 0x1p-19f * (slopes->extent + 4.0f * (float)maps + 16.0f) + 0x1p-100f;
}

/* ------------------------------------------------------------------ the blocks */

/* Eight of sixteen numbers. */
static inline Lanes lanes_pick(const float *table, const int32_t *index, int from_eight)
{
#ifdef __AVX2__
    const __m256i at = _mm256_loadu_si256((const __m256i *)index);
    const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), at);
    if (from_eight)
        return low;
    const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + LANES), at);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(at, 28))); /* bit 3: beyond the first */
#else
    float picked[LANES];
    (void)from_eight;
    for (int lane = 0; lane < LANES; lane++)
        picked[lane] = table[index[lane]];
    return lanes_load(picked);
#endif
}

typedef struct {
    float at[TILE_STRIDE + LANES];
} HaeLine;

static inline Lanes pick_largest(const float *line, const HaeRanges *ranges, int cell, int from_eight)
{
    HaeLine pairs;
    if (ranges->longest > 2) {
        for (int x = 0; x < TILE_STRIDE; x += LANES)
            lanes_store(pairs.at + x, lanes_max(lanes_load(line + x), lanes_load(line + x + 1)));
        line = pairs.at;
    }
    return lanes_max(lanes_pick(line, ranges->first + cell, from_eight),
                     lanes_pick(line, ranges->last + cell, from_eight));
}

static inline Lanes pick_smallest(const float *line, const HaeRanges *ranges, int cell, int from_eight)
{
    HaeLine pairs;
    if (ranges->longest > 2) {
        for (int x = 0; x < TILE_STRIDE; x += LANES)
            lanes_store(pairs.at + x, lanes_min(lanes_load(line + x), lanes_load(line + x + 1)));
        line = pairs.at;
    }
    return lanes_min(lanes_pick(line, ranges->first + cell, from_eight),
                     lanes_pick(line, ranges->last + cell, from_eight));
}

/* One map's share in the sums for eight cells of row y; tile: its nodes around the block, sides averaged. */
static inline void add_inclines(const HaeTouched *columns, const HaeTouched *rows, const float *tile, int cell, int y,
                                Lanes share, HaeInclines *sum)
{
    HaeLine height, least_across, most_across, least_down, most_down;
    const int from_eight = columns->count <= LANES;
    for (int x = 0; x < columns->count; x += LANES) {
        const float *row = tile + rows->nodes.first[y] * TILE_STRIDE + x;
        Lanes node = lanes_load(row), slope = lanes_sub(lanes_load(row + 1), node);
        Lanes highest = node, least = slope, most = slope;
        for (int i = rows->nodes.first[y]; i < rows->nodes.last[y]; i++) {
            row += TILE_STRIDE;
            node = lanes_load(row);
            slope = lanes_sub(lanes_load(row + 1), node);
            highest = lanes_max(node, highest);
            least = lanes_min(slope, least);
            most = lanes_max(slope, most);
        }
        lanes_store(height.at + x, highest);
        lanes_store(least_across.at + x, least);
        lanes_store(most_across.at + x, most);
        row = tile + rows->slopes.first[y] * TILE_STRIDE + x;
        least = most = lanes_sub(lanes_load(row + TILE_STRIDE), lanes_load(row));
        for (int i = rows->slopes.first[y]; i < rows->slopes.last[y]; i++) {
            row += TILE_STRIDE;
            slope = lanes_sub(lanes_load(row + TILE_STRIDE), lanes_load(row));
            least = lanes_min(slope, least);
            most = lanes_max(slope, most);
        }
        lanes_store(least_down.at + x, least);
        lanes_store(most_down.at + x, most);
    }
    const Lanes across = lanes_all(columns->factor), down = lanes_all(rows->factor);
    const HaeRanges *nodes = &columns->nodes, *slopes = &columns->slopes;
    sum->height = lanes_fma(share, pick_largest(height.at, nodes, cell, from_eight), sum->height);
    sum->least_across =
        lanes_fma(across, pick_smallest(least_across.at, slopes, cell, from_eight), sum->least_across);
    sum->most_across = lanes_fma(across, pick_largest(most_across.at, slopes, cell, from_eight), sum->most_across);
    sum->least_down = lanes_fma(down, pick_smallest(least_down.at, nodes, cell, from_eight), sum->least_down);
    sum->most_down = lanes_fma(down, pick_largest(most_down.at, nodes, cell, from_eight), sum->most_down);
}

/* A map's nodes, averaged over sides. */
static inline void load_map_nodes(const HaeSlopes *slopes, int map, int joint, int left, int top, float *tile)
{
    const int across = slopes->columns[map].count, down = slopes->rows[map].count;
    const HaeSource plain = heat_source(slopes->field, map, 0, joint);
    load_tile(&plain, left, top, across, down, tile);
    if (slopes->field->sides == 1)
        return;
    float mirrored[TILE_STRIDE * TILE_STRIDE];
    const HaeSource source = heat_source(slopes->field, map, 1, joint);
    load_tile(&source, left, top, across, down, mirrored);
    for (int row = 0; row < down; row++)
        for (int x = 0; x < across; x += LANES) {
            const int at = row * TILE_STRIDE + x;
            lanes_store(tile + at, lanes_average(lanes_load(tile + at), lanes_load(mirrored + at)));
        }
}

static inline void sum_inclines(const HaeSlopes *slopes, int joint, int across, int down, HaeInclines sums[BLOCK])
{
    const int maps = slopes->field->outputs->scales * slopes->field->outputs->stages;
    const Lanes none = lanes_all(0.0f);
    float tile[TILE_STRIDE * TILE_STRIDE + LANES] = {0.0f};
    for (int row = 0; row < BLOCK; row++)
        sums[row] = (HaeInclines){none, none, none, none, none};
    for (int map = 0; map < maps; map++) {
        const HaeTouched *columns = &slopes->columns[map], *rows = &slopes->rows[map];
        load_map_nodes(slopes, map, joint, columns->start[across], rows->start[down], tile);
        for (int row = 0; row < BLOCK; row++)
            add_inclines(columns, rows, tile, across * BLOCK, down * BLOCK + row, lanes_all(1.0f / (float)maps),
                         &sums[row]);
    }
}

/* The cells of a row that may hold a peak above the threshold; a bit for each. */
static inline int turning_cells(const HaeInclines *sum, float threshold, float tolerance, int free_columns, int free_row)
{
    const Lanes up = lanes_all(tolerance), low = lanes_all(-tolerance);
    const int across = lanes_above(sum->least_across, up) | lanes_above(low, sum->most_across);
    const int down = lanes_above(sum->least_down, up) | lanes_above(low, sum->most_down);
    return lanes_above(sum->height, lanes_all(threshold - tolerance)) & ~(across & ~free_columns)
         & (free_row ? bits_of(LANES) : ~down);
}

/* Puts the cells left..right-1 of row y to a rectangle that they adjoin, or makes them one. */
static inline void add_turn(HaeTurns *turns, int left, int right, int y)
{
    for (int i = turns->count - 1; i >= 0; i--) {
        HaeRect *rect = &turns->rects[i];
        if (rect->bottom >= y && rect->left <= right && rect->right >= left) {
            rect->left = left < rect->left ? left : rect->left;
            rect->right = right > rect->right ? right : rect->right;
            rect->bottom = y + 1;
            return;
        }
    }
    turns->rects[turns->count++] = (HaeRect){left, y, right, y + 1};
}

/* Rectangles of pixels of a block that hold all of its peaks. */
static inline void find_turns(const HaeSlopes *slopes, int joint, float threshold, float tolerance, int across, int down,
                              HaeTurns *turns)
{
    const HaeGrid *base = slopes->blocks->base;
    const int left = across * BLOCK, top = down * BLOCK;
    HaeInclines sums[BLOCK];
    turns->count = 0;
    sum_inclines(slopes, joint, across, down, sums);
    for (int row = 0; row < BLOCK && top + row < base->height; row++) {
        int bits = turning_cells(&sums[row], threshold, tolerance, slopes->free_columns[across],
                                 slopes->free_row[top + row]) & bits_of(base->width - left);
        while (bits) {
            const int begin = first_lane(bits), count = first_lane(~(bits >> begin));
            add_turn(turns, left + begin, left + begin + count, top + row);
            bits &= ~(bits_of(count) << begin);
        }
    }
    for (int i = 0; i < turns->count; i++) {
        HaeRect *rect = &turns->rects[i];
        *rect = (HaeRect){base->first_column[rect->left], base->first_row[rect->top], base->first_column[rect->right],
                          base->first_row[rect->bottom]};
    }
}

#endif
