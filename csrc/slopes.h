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
 * the width. At least four times all that is allowed for.
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
    float *tiles;                /* [map]: the nodes around a block, sides averaged, in rows of TILE_STRIDE */
    unsigned char *free_columns; /* [block]: a bit for each column */
    unsigned char *free_row;     /* [row] */
    float extent;                /* of the largest map */
    int usable;
} HaeSlopes;

/* The largest rise from pixel to pixel, and the largest fall, of eight cells. */
typedef struct {
    Lanes rise, fall;
} HaeIncline;

/* Rectangles of cells. */
typedef struct {
    HaeRect rects[BLOCK * BLOCK];
    int count;
} HaeTurns;

/* ------------------------------------------------------------------ once an image */

enum { LONGEST_RUN = 2, TILE_NODES = TILE_STRIDE * TILE_STRIDE + LANES };

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
    /* Where a map is not projected, a pixel costs less than the test of a cell. */
    slopes->usable = field->settings->nms_kernel >= 3 && !(maps == 1 && base->identity);
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
                       && columns->slopes.run <= LONGEST_RUN && columns->nodes.run <= LONGEST_RUN;
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
    const int maps = count_maps(slopes->field);
    float largest = 0.0f;
    for (int i = 0; i < maps * slopes->field->sides; i++)
        largest = bounds[i].largest > largest ? bounds[i].largest : largest;
    return largest * 0x1p-19f * (slopes->extent + 4.0f * (float)maps + 16.0f) + 0x1p-100f;
}

/* ------------------------------------------------------------------ the blocks */

/* Loads the nodes of a block. Returns 0 if no pixel of it can be above the threshold: `highest` is that of the finest
 * map, which is loaded only if the other maps' nodes do not tell. */
static inline int load_block(const HaeSlopes *slopes, int joint, int across, int down, float highest, float threshold)
{
    const int maps = count_maps(slopes->field);
    int finest = 0;
    for (int map = 0; map < maps; map++) {
        const HaeTouched *columns = &slopes->columns[map], *rows = &slopes->rows[map];
        const int lines = lines_of(columns->count);
        float *tile = slopes->tiles + (size_t)map * TILE_NODES;
        if (&slopes->field->grids[map] == slopes->blocks->base) {
            finest = map;
            continue;
        }
        load_map_nodes(slopes->field, map, joint, columns->start[across], rows->start[down], lines, rows->count, tile,
                       TILE_STRIDE, NULL);
        Lanes largest = lanes_load(tile);
        for (int row = 0; row < rows->count; row++)
            for (int i = 0; i < lines; i++)
                largest = lanes_max(lanes_load(tile + row * TILE_STRIDE + i * LANES), largest);
        highest += lanes_largest(largest);
    }
    if (!(highest / (float)maps > threshold))
        return 0;
    load_map_nodes(slopes->field, finest, joint, slopes->columns[finest].start[across],
                   slopes->rows[finest].start[down], lines_of(slopes->columns[finest].count),
                   slopes->rows[finest].count, slopes->tiles + (size_t)finest * TILE_NODES, TILE_STRIDE, NULL);
    return 1;
}

/* A bound of the finest map's share in a block's heat, sides averaged. */
static inline float bound_of_finest(const HaeSlopes *slopes, const HaeBounds *bounds, int across, int down)
{
    const int sides = slopes->field->sides;
    const size_t at = (size_t)down * slopes->blocks->across + across;
    const HaeBounds *own = bounds + (slopes->blocks->base - slopes->field->grids) * sides;
    return sides == 2 ? hae_flip_average(own[0].bound[at], own[1].bound[at]) : own[0].bound[at];
}

/* Row `row` of a range of rows, or its last: all ranges are read as long as the longest, so that loops are foreseen. */
static inline int row_of_range(const HaeRanges *rows, int y, int row)
{
    return rows->first[y] + row < rows->last[y] ? rows->first[y] + row : rows->last[y];
}

/* No pixel of these eight cells is higher, but for rounding. */
static inline Lanes height_of_cells(const HaeSlopes *slopes, int cell, int y)
{
    const int maps = count_maps(slopes->field);
    Lanes sum = lanes_all(0.0f);
    for (int map = 0; map < maps; map++) {
        const HaeTouched *columns = &slopes->columns[map];
        const HaeRanges *rows = &slopes->rows[map].nodes;
        const float *tile = slopes->tiles + (size_t)map * TILE_NODES;
        const int lines = lines_of(columns->count);
        HaeLine highest;
        Lanes most = lanes_all(0.0f);
        for (int i = 0; i < lines; i++) {
            most = lanes_load(tile + rows->first[y] * TILE_STRIDE + i * LANES);
            for (int row = 1; row < rows->longest; row++)
                most = lanes_max(lanes_load(tile + row_of_range(rows, y, row) * TILE_STRIDE + i * LANES), most);
            highest.at[i] = most;
        }
        highest.at[lines] = most;
        sum = lanes_add(sum, pick_largest(&highest, lines, &columns->nodes, cell));
    }
    return lanes_mul(sum, lanes_all(1.0f / (float)maps));
}

/* One map's share in the rises and falls of eight cells towards the node `next` numbers on, on or between `rows`. */
static inline void add_incline(const float *tile, int next, int lines, const HaeRanges *rows, int y,
                               const HaeRanges *ranges, int cell, float factor, HaeIncline *sum)
{
    HaeLine rise, fall;
    for (int i = 0; i < lines; i++) {
        Lanes most = lanes_all(-FLT_MAX), least = lanes_all(FLT_MAX);
        for (int row = 0; row < rows->longest; row++) {
            const float *node = tile + row_of_range(rows, y, row) * TILE_STRIDE + i * LANES;
            const Lanes slope = lanes_sub(lanes_load(node + next), lanes_load(node));
            most = lanes_max(slope, most);
            least = lanes_min(slope, least);
        }
        rise.at[i] = most;
        fall.at[i] = lanes_sub(lanes_all(0.0f), least);
    }
    rise.at[lines] = fall.at[lines] = lanes_all(0.0f);
    sum->rise = lanes_fma(lanes_all(factor), pick_largest(&rise, lines, ranges, cell), sum->rise);
    sum->fall = lanes_fma(lanes_all(factor), pick_largest(&fall, lines, ranges, cell), sum->fall);
}

/* Whether each of eight cells certainly rises, or certainly falls. */
static inline int is_steep(const HaeIncline *sum, float tolerance)
{
    return lanes_above(lanes_all(-tolerance), sum->fall) | lanes_above(lanes_all(-tolerance), sum->rise);
}

static inline int steep_across(const HaeSlopes *slopes, int cell, int y, float tolerance)
{
    HaeIncline sum = {lanes_all(0.0f), lanes_all(0.0f)};
    for (int map = 0; map < count_maps(slopes->field); map++) {
        const HaeTouched *columns = &slopes->columns[map];
        add_incline(slopes->tiles + (size_t)map * TILE_NODES, 1, lines_of(columns->count), &slopes->rows[map].nodes, y,
                    &columns->slopes, cell, columns->factor, &sum);
    }
    return is_steep(&sum, tolerance);
}

static inline int steep_down(const HaeSlopes *slopes, int cell, int y, float tolerance)
{
    HaeIncline sum = {lanes_all(0.0f), lanes_all(0.0f)};
    for (int map = 0; map < count_maps(slopes->field); map++) {
        const HaeTouched *columns = &slopes->columns[map], *rows = &slopes->rows[map];
        add_incline(slopes->tiles + (size_t)map * TILE_NODES, TILE_STRIDE, lines_of(columns->count), &rows->slopes, y,
                    &columns->nodes, cell, rows->factor, &sum);
    }
    return is_steep(&sum, tolerance);
}

/* The cells of a row of a block that may hold a peak above the threshold; a bit for each. */
static inline int turning_cells(const HaeSlopes *slopes, int block, int y, float threshold, float tolerance)
{
    const int cell = block * BLOCK, all = bits_of(slopes->blocks->base->width - cell);
    int bits = all & lanes_above(height_of_cells(slopes, cell, y), lanes_all(threshold - tolerance));
    if (bits)
        bits &= ~steep_across(slopes, cell, y, tolerance) | slopes->free_columns[block];
    if (bits && !slopes->free_row[y])
        bits &= ~steep_down(slopes, cell, y, tolerance);
    return bits;
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
static inline void find_turns(const HaeSlopes *slopes, const HaeBounds *bounds, int joint, float threshold,
                              float tolerance, int across, int down, HaeTurns *turns)
{
    const HaeGrid *base = slopes->blocks->base;
    const int left = across * BLOCK, top = down * BLOCK;
    turns->count = 0;
    if (!load_block(slopes, joint, across, down, bound_of_finest(slopes, bounds, across, down), threshold - tolerance))
        return;
    for (int row = 0; row < BLOCK && top + row < base->height; row++) {
        int bits = turning_cells(slopes, across, top + row, threshold, tolerance);
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
