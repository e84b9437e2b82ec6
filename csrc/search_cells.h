/* Inside a block that step 7's search (search.h) opens: bounds of each cell's scores, and the pixels of a cell. */
#ifndef HRNETAE_SEARCH_CELLS_H
#define HRNETAE_SEARCH_CELLS_H

#include "search_blocks.h"

static inline float highest_in(const float *bounds, int count)
{
    Lanes highest = lanes_load(bounds);
    for (int i = LANES; i < count; i += LANES)
        highest = lanes_max(lanes_load(bounds + i), highest);
    return lanes_largest(highest);
}

/* bound_of eight numbers. */
static inline Lanes lanes_bound_of(Lanes largest)
{
    const Lanes raised = lanes_add(lanes_add(largest, lanes_mul(largest, lanes_all(0x1p-21f))), lanes_all(0x1p-120f));
    return lanes_where_positive(largest, raised);
}

/* The extremes of the corners of a row of eight cells. */
static inline Lanes largest_corners(const HaeCorners *corners, int row)
{
    const float *above = corners->at[row], *below = corners->at[row + 1];
    return lanes_max(lanes_max(lanes_load(above), lanes_load(above + 1)),
                     lanes_max(lanes_load(below), lanes_load(below + 1)));
}

static inline Lanes smallest_corners(const HaeCorners *corners, int row)
{
    const float *above = corners->at[row], *below = corners->at[row + 1];
    return lanes_min(lanes_min(lanes_load(above), lanes_load(above + 1)),
                     lanes_min(lanes_load(below), lanes_load(below + 1)));
}

/* Bounds of the heat in a row of eight cells from their corners. With flip it is the corners' mean that is largest: the
 * mean of two bilinear surfaces is one, and its rounding errors are those of numbers no larger than the corners'. */
static inline Lanes bound_heat_of_corners(const HaeField *field, const HaeOpenBlock *open, int row)
{
    if (field->sides == 1)
        return lanes_bound_of(largest_corners(&open->heat[0], row));
    Lanes largest = lanes_all(-FLT_MAX), farthest = lanes_all(0.0f);
    for (int corner = 0; corner < 4; corner++) {
        const Lanes plain = lanes_load(open->heat[0].at[row + corner / 2] + corner % 2);
        const Lanes mirrored = lanes_load(open->heat[1].at[row + corner / 2] + corner % 2);
        largest = lanes_max(lanes_average(plain, mirrored), largest);
        farthest = lanes_max(lanes_max(lanes_abs(plain), lanes_abs(mirrored)), farthest);
    }
    const Lanes slack = lanes_add(lanes_mul(farthest, lanes_all(0x1p-19f)), lanes_all(0x1p-120f));
    return lanes_add(largest, lanes_where_positive(farthest, slack));
}

/* Bounds of the heat of a block's cells, which also tell more of the block. Cells outside the map get one too; nobody
 * looks at them. */
static inline void bound_heat_inside(HaeSearch *search, int block, HaeOpenBlock *open)
{
    if (search->one_grid) {
        for (int row = 0; row < BLOCK; row++)
            lanes_store(open->heat_bound + row * BLOCK, bound_heat_of_corners(search->field, open, row));
        return;
    }
    if (!search->cell_heat.usable) {
        for (int row = 0; row < BLOCK; row++)
            lanes_store(open->heat_bound + row * BLOCK, lanes_all(search->heat_bound[block]));
        return;
    }
    bound_cell_heat(&search->cell_heat, search->joint, block % search->across, block / search->across,
                    open->heat_bound);
    const float highest = highest_in(open->heat_bound, CELLS);
    if (highest < search->heat_bound[block])
        search->heat_bound[block] = highest;
}

/* What bounds the cells of a block, which are finite. */
static inline void describe_cells(HaeSearch *search, int block, HaeOpenBlock *open)
{
    const HaeField *field = search->field;
    bound_heat_inside(search, block, open);
    for (int row = 0; row < BLOCK; row++) {
        for (int l = 0; l < field->length; l++) {
            const Lanes most = largest_corners(&open->tag[l], row), least = smallest_corners(&open->tag[l], row);
            const Lanes slack = lanes_add(lanes_mul(lanes_max(lanes_abs(most), lanes_abs(least)), lanes_all(0x1p-21f)),
                                          lanes_all(0x1p-120f));
            lanes_store(open->low[l] + row * BLOCK, lanes_sub(least, slack));
            lanes_store(open->high[l] + row * BLOCK, lanes_add(most, slack));
        }
    }
}

/* All pixels of a cell lie between the same four corners. */
typedef struct {
    Lanes above, below;
} HaeCellSides;

static inline HaeCellSides stretch_cell(const HaeCorners *corners, int row, int x, Lanes near_weight, Lanes far_weight)
{
    const float *up = corners->at[row] + x, *down = corners->at[row + 1] + x;
    return (HaeCellSides){lanes_blend(near_weight, lanes_all(up[0]), far_weight, lanes_all(up[1])),
                          lanes_blend(near_weight, lanes_all(down[0]), far_weight, lanes_all(down[1]))};
}

/* search_rect for the pixels of one cell, all finite, where heat and tags are on one grid. */
static inline void search_cell(const HaeSearch *search, const HaeOpenBlock *open, int row, int x, HaeRect rect,
                               HaeBest *best)
{
    const HaeField *field = search->field;
    const HaeGrid *grid = search->grid;
    const int sides = field->sides, mode = field->settings->mode;
    for (int left = rect.left; left < rect.right; left += LANES) {
        const Lanes near_x = lanes_load(grid->columns.near_weight + left);
        const Lanes far_x = lanes_load(grid->columns.far_weight + left);
        const int real = bits_of(rect.right - left);
        HaeCellSides heats[2], tags[MAX_LENGTH];
        for (int side = 0; side < sides; side++) {
            heats[side] = stretch_cell(&open->heat[side], row, x, near_x, far_x);
            tags[side] = stretch_cell(&open->tag[side], row, x, near_x, far_x);
        }
        for (int y = rect.top; y < rect.bottom; y++) {
            const Lanes near_y = lanes_all(grid->rows.near_weight[y]), far_y = lanes_all(grid->rows.far_weight[y]);
            Lanes heat = lanes_blend(near_y, heats[0].above, far_y, heats[0].below), squares = lanes_all(0.0f);
            if (sides == 2)
                heat = lanes_average(heat, lanes_blend(near_y, heats[1].above, far_y, heats[1].below));
            for (int l = 0; l < sides; l++) {
                const Lanes tag = lanes_blend(near_y, tags[l].above, far_y, tags[l].below);
                const Lanes difference = lanes_sub(tag, lanes_all(search->mean[l]));
                squares = lanes_add(squares, lanes_mul(difference, difference));
            }
            const Lanes score = lanes_score(heat, squares, mode);
            const int bits = lanes_not_below(score, lanes_all(best->score)) & real;
            if (bits)
                take_lanes(search, score, bits, y, left, best);
        }
    }
}

static inline HaeRect cell_rect(const HaeGrid *grid, int x, int y)
{
    return (HaeRect){grid->first_column[x], grid->first_row[y], grid->first_column[x + 1], grid->first_row[y + 1]};
}

static inline int may_hold_best(float bound, HaeRect rect, int width, const HaeBest *best)
{
    if (best->index < 0 || bound > best->score)
        return 1;
    return bound == best->score && (int64_t)rect.top * width + rect.left < best->index;
}

static inline void search_cell_of_block(HaeSearch *search, const HaeOpenBlock *open, int block, int cell,
                                        float bound, HaeBest *best)
{
    const HaeGrid *grid = search->grid;
    const int row = cell / BLOCK, column = cell % BLOCK;
    const int x = block % search->across * BLOCK + column, y = block / search->across * BLOCK + row;
    if (x >= grid->width || y >= grid->height)
        return;
    const HaeRect rect = cell_rect(grid, x, y);
    if (is_empty(rect) || !may_hold_best(bound, rect, search->field->width, best))
        return;
    if (search->one_grid)
        search_cell(search, open, row, column, rect, best);
    else
        search_rect(search, rect, best);
}

/* The first of the highest; count is a multiple of LANES. */
static inline int highest_of(const float *bounds, int count)
{
    const Lanes all = lanes_all(highest_in(bounds, count));
    for (int i = 0; i < count; i += LANES) {
        const int bits = lanes_not_below(lanes_load(bounds + i), all);
        if (bits)
            return i + first_lane(bits);
    }
    return 0;
}

static inline const HaeOpenBlock *open_block(HaeSearch *search, int block)
{
    const HaeField *field = search->field;
    const int across = block % search->across, down = block / search->across;
    HaeOpenBlock *open = &search->opened[block % OPEN_BLOCKS];
    if (open->joint == search->joint && open->block == block)
        return open;
    if (!search->one_grid && search->cell_heat.usable)
        ask_for_cell_heat(&search->cell_heat, search->joint, across, down);
    for (int side = 0; side < field->sides; side++) {
        const HaeSource tag = tag_source(field, side, search->joint);
        load_tile(&tag, across * BLOCK, down * BLOCK, CORNERS, CORNERS, open->tag[side].at[0]);
        if (search->one_grid) {
            const HaeSource heat = heat_source(field, 0, side, search->joint);
            load_tile(&heat, across * BLOCK, down * BLOCK, CORNERS, CORNERS, open->heat[side].at[0]);
        }
    }
    describe_cells(search, block, open);
    open->joint = search->joint;
    open->block = block;
    return open;
}

#endif
