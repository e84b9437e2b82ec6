/* Inside a block that step 7's search (search.h) opens: bounds of each cell's scores, and the pixels of a cell. */
#ifndef HRNETAE_SEARCH_CELLS_H
#define HRNETAE_SEARCH_CELLS_H

#include "search_blocks.h"

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

/* Bounds from one map for the pixels of each cell in row y of a block: the largest of the map's cells around them. */
static inline void bound_around_cells(HaeSearch *search, const HaeSource *source, int first_cell, int y, float *out)
{
    const HaeGrid *base = search->grid, *grid = source->grid;
    const int last_cell = first_cell + BLOCK < base->width ? first_cell + BLOCK : base->width;
    const HaeRect rect = {base->first_column[first_cell], base->first_row[y], base->first_column[last_cell],
                          base->first_row[y + 1]};
    float *highest = search->scratch->cells, *row = search->row;
    if (is_empty(rect))
        return;
    const int first = grid->columns.near[rect.left], count = grid->columns.far[rect.right - 1] - first + 1;
    load_cells(source, grid->rows.near[rect.top], first, count, highest);
    for (int other = grid->rows.near[rect.top] + 1; other <= grid->rows.far[rect.bottom - 1]; other++) {
        load_cells(source, other, first, count, row);
        for (int x = 0; x < count; x++)
            highest[x] = larger(row[x], highest[x]);
    }
    for (int cell = first_cell; cell < last_cell; cell++) {
        const int from = base->first_column[cell], to = base->first_column[cell + 1];
        float largest = -FLT_MAX;
        for (int at = from < to ? grid->columns.near[from] : count; from < to && at <= grid->columns.far[to - 1]; at++)
            largest = larger(highest[at - first], largest);
        out[cell - first_cell] = bound_of(largest);
    }
}

/* Bounds of the heat of the cells in row y of a block: sample_heat's operations, each of them monotone, on bounds. */
static inline Lanes bound_heat_of_cells(HaeSearch *search, int first_cell, int y)
{
    const HaeField *field = search->field;
    const int scales = field->outputs->scales, stages = field->outputs->stages;
    Lanes sum = lanes_all(0.0f);
    for (int scale = 0; scale < scales; scale++) {
        Lanes of_side[2] = {lanes_all(0.0f), lanes_all(0.0f)};
        for (int side = 0; side < field->sides; side++) {
            for (int stage = 0; stage < stages; stage++) {
                float bounds[LANES] = {0.0f};
                const HaeSource source = heat_source(field, scale * stages + stage, side, search->joint);
                bound_around_cells(search, &source, first_cell, y, bounds);
                of_side[side] = lanes_add(of_side[side], lanes_load(bounds));
            }
            if (stages > 1)
                of_side[side] = lanes_div(of_side[side], lanes_all((float)stages));
        }
        const Lanes heat = field->sides == 2 ? lanes_average(of_side[0], of_side[1]) : of_side[0];
        sum = lanes_add(sum, heat);
    }
    return scales > 1 ? lanes_div(sum, lanes_all((float)scales)) : sum;
}

/* Tags with flip, turned by an eighth: where the plain tag changes from one person's to another's the mirrored one does
 * the same, so that a cell's pairs of tags lie along a diagonal. The range of their sums and that of their differences
 * bound them far closer than the two sides' own ranges do.
 *
 * With p and q for the exact differences from the mean, p^2 + q^2 = ((p + q)^2 + (p - q)^2) / 2. Sums and differences
 * of two bilinear surfaces are bilinear, so the corners' have their extremes, but for the rounding of the two tags,
 * 2^-21 of the largest corners, and of the corners' sums. The widening covers both. */
static inline void describe_turned_tags(HaeOpenBlock *open, int row, Lanes farthest)
{
    const Lanes slack = lanes_add(lanes_mul(farthest, lanes_all(0x1p-20f)), lanes_all(0x1p-120f));
    Lanes least[2] = {lanes_all(INFINITY), lanes_all(INFINITY)};
    Lanes most[2] = {lanes_all(-INFINITY), lanes_all(-INFINITY)};
    for (int corner = 0; corner < 4; corner++) {
        const Lanes plain = lanes_load(open->tag[0].at[row + corner / 2] + corner % 2);
        const Lanes mirrored = lanes_load(open->tag[1].at[row + corner / 2] + corner % 2);
        const Lanes turned[2] = {lanes_add(plain, mirrored), lanes_sub(plain, mirrored)};
        for (int i = 0; i < 2; i++) {
            least[i] = lanes_min(turned[i], least[i]);
            most[i] = lanes_max(turned[i], most[i]);
        }
    }
    for (int i = 0; i < 2; i++) {
        lanes_store(open->turned_low[i] + row * BLOCK, lanes_sub(least[i], slack));
        lanes_store(open->turned_high[i] + row * BLOCK, lanes_add(most[i], slack));
    }
}

/* The mean's sum and difference, whatever their rounding. */
static inline void turn_mean(HaeSearch *search)
{
    const float *mean = search->mean;
    const float slack = (fabsf(mean[0]) + fabsf(mean[1])) * 0x1p-20f;
    const float turned[2] = {mean[0] + mean[1], mean[0] - mean[1]};
    for (int i = 0; i < 2; i++) {
        search->turned_low[i] = turned[i] - slack;
        search->turned_high[i] = turned[i] + slack;
    }
}

/* The least sum of squared tag differences by the turned tags. The factor is a little below the root of 1/2, which pays
 * for the roundings of a pixel's sum of squares and of this one. Sums that overflow have infinite slack: 0 here. */
static inline Lanes squares_away_turned(const HaeSearch *search, const HaeOpenBlock *open, int at)
{
    Lanes squares = lanes_all(0.0f);
    for (int i = 0; i < 2; i++) {
        const Lanes away = lanes_away(lanes_load(open->turned_low[i] + at), lanes_load(open->turned_high[i] + at),
                                      search->turned_low[i], search->turned_high[i]);
        const Lanes part = lanes_mul(away, lanes_all(0.70710f));
        squares = lanes_add(squares, lanes_mul(part, part));
    }
    return squares;
}

/* Bounds of the scores of a block's cells. Rows of cells whose heat alone stays below the best score are left out. */
static inline void bound_cells(const HaeSearch *search, const HaeOpenBlock *open, float best_score,
                               float bounds[CELLS])
{
    const HaeField *field = search->field;
    const float *const low[MAX_LENGTH] = {open->low[0], open->low[1]};
    const float *const high[MAX_LENGTH] = {open->high[0], open->high[1]};
    for (int at = 0; at < CELLS; at += LANES) {
        const Lanes heat = lanes_load(open->heat_bound + at);
        if (!lanes_not_below(heat, lanes_all(best_score))) {
            lanes_store(bounds + at, lanes_all(-INFINITY));
            continue;
        }
        Lanes squares = squares_away(search, low, high, at);
        if (field->length == 2)
            squares = lanes_max(squares_away_turned(search, open, at), squares);
        lanes_store(bounds + at, bound_scores(heat, squares, field->settings->mode));
    }
}

/* The ranges of the tags in a row of eight cells. */
static inline void describe_tags(const HaeField *field, HaeOpenBlock *open, int row)
{
    Lanes farthest = lanes_all(0.0f);
    for (int l = 0; l < field->length; l++) {
        const Lanes most = largest_corners(&open->tag[l], row), least = smallest_corners(&open->tag[l], row);
        const Lanes far = lanes_max(lanes_abs(most), lanes_abs(least));
        const Lanes slack = lanes_add(lanes_mul(far, lanes_all(0x1p-21f)), lanes_all(0x1p-120f));
        lanes_store(open->low[l] + row * BLOCK, lanes_sub(least, slack));
        lanes_store(open->high[l] + row * BLOCK, lanes_add(most, slack));
        farthest = lanes_add(farthest, far);
    }
    if (field->length == 2)
        describe_turned_tags(open, row, farthest);
}

/* What bounds the cells of a block, which are finite. With one network map the heat's bound is that of the cell's own
 * corners. Cells outside the map get one too; nobody looks at them. */
static inline void describe_cells(HaeSearch *search, int block, HaeOpenBlock *open)
{
    for (int row = 0; row < BLOCK; row++) {
        const int y = block / search->across * BLOCK + row;
        Lanes heat;
        if (search->one_grid) {
            heat = bound_heat_of_corners(search->field, open, row);
        } else {
            heat = y < search->grid->height ? bound_heat_of_cells(search, block % search->across * BLOCK, y)
                                            : lanes_all(0.0f);
        }
        lanes_store(open->heat_bound + row * BLOCK, heat);
        describe_tags(search->field, open, row);
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

static inline float highest_in(const float *bounds, int count)
{
    Lanes highest = lanes_load(bounds);
    for (int i = LANES; i < count; i += LANES)
        highest = lanes_max(lanes_load(bounds + i), highest);
    return lanes_largest(highest);
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
