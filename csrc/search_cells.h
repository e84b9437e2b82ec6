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

/* What is largest and farthest from 0 in a row of corners, for each cell its left and its right one. With flip it is
 * the corners' mean that is largest: the mean of two bilinear surfaces is one, and its rounding errors are those of
 * numbers no larger than the corners'. */
typedef struct {
    Lanes largest, farthest;
} HaeHeatOfRow;

static inline HaeHeatOfRow heat_of_row(const HaeField *field, const HaeOpenBlock *open, int row)
{
    Lanes left = lanes_load(open->heat[0].at[row]), right = lanes_load(open->heat[0].at[row] + 1);
    Lanes farthest = lanes_max(lanes_abs(left), lanes_abs(right));
    if (field->sides == 2) {
        const Lanes other_left = lanes_load(open->heat[1].at[row]), other_right = lanes_load(open->heat[1].at[row] + 1);
        farthest = lanes_max(lanes_max(lanes_abs(other_left), lanes_abs(other_right)), farthest);
        left = lanes_average(left, other_left);
        right = lanes_average(right, other_right);
    }
    return (HaeHeatOfRow){lanes_max(left, right), farthest};
}

/* Bounds of the heat in every cell, from its corners. */
static inline void describe_heat(const HaeField *field, HaeOpenBlock *open)
{
    HaeHeatOfRow above = heat_of_row(field, open, 0);
    for (int row = 0; row < BLOCK; row++) {
        const HaeHeatOfRow below = heat_of_row(field, open, row + 1);
        const Lanes farthest = lanes_max(above.farthest, below.farthest);
        const Lanes slack = lanes_add(lanes_mul(farthest, lanes_all(0x1p-19f)), lanes_all(0x1p-120f));
        lanes_store(open->heat_bound + row * BLOCK, lanes_add(lanes_max(above.largest, below.largest),
                                                              lanes_where_positive(farthest, slack)));
        above = below;
    }
}

/* Eight ranges. */
typedef struct {
    Lanes least, most;
} HaeTagRanges;

static inline HaeTagRanges ranges_of(Lanes a, Lanes b)
{
    return (HaeTagRanges){lanes_min(a, b), lanes_max(a, b)};
}

static inline HaeTagRanges join_ranges(HaeTagRanges a, HaeTagRanges b)
{
    return (HaeTagRanges){lanes_min(a.least, b.least), lanes_max(a.most, b.most)};
}

static inline Lanes farthest_of(HaeTagRanges ranges)
{
    return lanes_max(lanes_abs(ranges.least), lanes_abs(ranges.most));
}

static inline void store_widened(HaeTagRanges ranges, Lanes slack, float *low, float *high)
{
    lanes_store(low, lanes_sub(ranges.least, slack));
    lanes_store(high, lanes_add(ranges.most, slack));
}

/* The range of each tag in a row of corners, for each cell over its left and its right one. */
static inline HaeTagRanges tags_of_row(const HaeCorners *tag, int row)
{
    return ranges_of(lanes_load(tag->at[row]), lanes_load(tag->at[row] + 1));
}

/* The ranges of one side's tags in every cell. */
static inline void describe_tags(const HaeCorners *tag, float *low, float *high)
{
    HaeTagRanges above = tags_of_row(tag, 0);
    for (int row = 0; row < BLOCK; row++) {
        const HaeTagRanges below = tags_of_row(tag, row + 1), cells = join_ranges(above, below);
        const Lanes slack = lanes_add(lanes_mul(farthest_of(cells), lanes_all(0x1p-21f)), lanes_all(0x1p-120f));
        store_widened(cells, slack, low + row * BLOCK, high + row * BLOCK);
        above = below;
    }
}

typedef struct {
    HaeTagRanges sum, difference;
    Lanes farthest; /* the two sides' farthest tags, added up */
} HaeTurnedTags;

static inline HaeTurnedTags turned_tags_of_row(const HaeOpenBlock *open, int row)
{
    const float *plain = open->tag[0].at[row], *mirrored = open->tag[1].at[row];
    const Lanes plain_left = lanes_load(plain), plain_right = lanes_load(plain + 1);
    const Lanes mirrored_left = lanes_load(mirrored), mirrored_right = lanes_load(mirrored + 1);
    return (HaeTurnedTags){
        ranges_of(lanes_add(plain_left, mirrored_left), lanes_add(plain_right, mirrored_right)),
        ranges_of(lanes_sub(plain_left, mirrored_left), lanes_sub(plain_right, mirrored_right)),
        lanes_add(lanes_max(lanes_abs(plain_left), lanes_abs(plain_right)),
                  lanes_max(lanes_abs(mirrored_left), lanes_abs(mirrored_right))),
    };
}

/* Tags with flip, turned by an eighth: where the plain tag changes from one person's to another's the mirrored one does
 * the same, so that a cell's pairs of tags lie along a diagonal. The range of their sums and that of their differences
 * bound them far closer than the two sides' own ranges do.
 *
 * With p and q for the exact differences from the mean, p^2 + q^2 = ((p + q)^2 + (p - q)^2) / 2. Sums and differences
 * of two bilinear surfaces are bilinear, so the corners' have their extremes, but for the rounding of the two tags,
 * 2^-21 of the largest corners, and of the corners' sums. The widening covers both: the farthest tags of the two sides,
 * added up, are at most twice what the upper or the lower row of corners has for it. */
static inline void describe_turned_tags(HaeOpenBlock *open)
{
    HaeTurnedTags above = turned_tags_of_row(open, 0);
    for (int row = 0; row < BLOCK; row++) {
        const HaeTurnedTags below = turned_tags_of_row(open, row + 1);
        const Lanes farthest = lanes_max(above.farthest, below.farthest);
        const Lanes slack = lanes_add(lanes_mul(farthest, lanes_all(0x1p-18f)), lanes_all(0x1p-120f));
        store_widened(join_ranges(above.sum, below.sum), slack, open->turned_low[0] + row * BLOCK,
                      open->turned_high[0] + row * BLOCK);
        store_widened(join_ranges(above.difference, below.difference), slack, open->turned_low[1] + row * BLOCK,
                      open->turned_high[1] + row * BLOCK);
        above = below;
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

/* Bounds of the scores of a block's cells; returns the highest. Rows of cells whose heat alone stays below the best
 * score are left out. */
static inline float bound_cells(const HaeSearch *search, const HaeOpenBlock *open, float best_score,
                                float bounds[CELLS])
{
    const HaeField *field = search->field;
    const float *const low[MAX_LENGTH] = {open->low[0], open->low[1]};
    const float *const high[MAX_LENGTH] = {open->high[0], open->high[1]};
    Lanes highest = lanes_all(-INFINITY);
    for (int at = 0; at < CELLS; at += LANES) {
        const Lanes heat = lanes_load(open->heat_bound + at);
        if (!lanes_not_below(heat, lanes_all(best_score))) {
            lanes_store(bounds + at, lanes_all(-INFINITY));
            continue;
        }
        Lanes squares = squares_away(search, low, high, at);
        if (field->length == 2)
            squares = lanes_max(squares_away_turned(search, open, at), squares);
        const Lanes scores = bound_scores(heat, squares, field->settings->mode);
        lanes_store(bounds + at, scores);
        highest = lanes_max(scores, highest);
    }
    return lanes_largest(highest);
}

/* Bounds of the heat of a block's cells, which may also tell more of the block. Cells outside the map get one too;
 * nobody looks at them. */
static inline void bound_heat_inside(HaeSearch *search, int block, HaeOpenBlock *open)
{
    if (search->one_grid) {
        describe_heat(search->field, open);
        return;
    }
    if (!search->cell_heat.usable) {
        for (int at = 0; at < CELLS; at += LANES)
            lanes_store(open->heat_bound + at, lanes_all(search->heat_bound[block]));
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
    for (int l = 0; l < field->length; l++)
        describe_tags(&open->tag[l], open->low[l], open->high[l]);
    if (field->length == 2)
        describe_turned_tags(open);
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

static inline Lanes blend_sides(const HaeCellSides *sides, Lanes near_weight, Lanes far_weight)
{
    return lanes_blend(near_weight, sides->above, far_weight, sides->below);
}

/* search_rect for the pixels of one cell, all finite, where heat and tags are on one grid. No score is above the heat,
 * so rows of low heat need no tags. */
static inline void search_cell(const HaeSearch *search, const HaeOpenBlock *open, int row, int x, HaeRect rect,
                               int sides, HaeBest *best)
{
    const HaeGrid *grid = search->grid;
    const int mode = search->field->settings->mode;
    const Lanes mean = lanes_all(search->mean[0]), other_mean = lanes_all(search->mean[sides - 1]);
    for (int left = rect.left; left < rect.right; left += LANES) {
        const Lanes near_x = lanes_load(grid->columns.near_weight + left);
        const Lanes far_x = lanes_load(grid->columns.far_weight + left);
        const int real = bits_of(rect.right - left);
        const HaeCellSides heat_sides = stretch_cell(&open->heat[0], row, x, near_x, far_x);
        const HaeCellSides other_heat_sides = stretch_cell(&open->heat[sides - 1], row, x, near_x, far_x);
        const HaeCellSides tag_sides = stretch_cell(&open->tag[0], row, x, near_x, far_x);
        const HaeCellSides other_tag_sides = stretch_cell(&open->tag[sides - 1], row, x, near_x, far_x);
        for (int y = rect.top; y < rect.bottom; y++) {
            const Lanes near_y = lanes_all(grid->rows.near_weight[y]), far_y = lanes_all(grid->rows.far_weight[y]);
            Lanes heat = blend_sides(&heat_sides, near_y, far_y);
            if (sides == 2)
                heat = lanes_average(heat, blend_sides(&other_heat_sides, near_y, far_y));
            if (!(lanes_not_below(heat, lanes_all(best->score)) & real))
                continue;
            const Lanes away = lanes_sub(blend_sides(&tag_sides, near_y, far_y), mean);
            Lanes squares = lanes_mul(away, away);
            if (sides == 2) {
                const Lanes other_away = lanes_sub(blend_sides(&other_tag_sides, near_y, far_y), other_mean);
                squares = lanes_add(squares, lanes_mul(other_away, other_away));
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

static inline void search_cell_of_block(HaeSearch *search, const HaeOpenBlock *open, int cell, float bound,
                                        HaeBest *best)
{
    const HaeGrid *grid = search->grid;
    const int row = cell / BLOCK, column = cell % BLOCK, x = open->left + column, y = open->top + row;
    if (x >= grid->width || y >= grid->height)
        return;
    const HaeRect rect = cell_rect(grid, x, y);
    if (is_empty(rect) || !may_hold_best(bound, rect, search->field->width, best))
        return;
    search->effort += EFFORT_A_CELL + (rect.right - rect.left) * (rect.bottom - rect.top);
    if (!search->one_grid)
        search_rect(search, rect, best);
    else if (search->field->sides == 2)
        search_cell(search, open, row, column, rect, 2, best);
    else
        search_cell(search, open, row, column, rect, 1, best);
}

/* The first that is not below a bound; count is a multiple of LANES. */
static inline int first_at(const float *bounds, int count, float bound)
{
    for (int i = 0; i < count; i += LANES) {
        const int bits = lanes_not_below(lanes_load(bounds + i), lanes_all(bound));
        if (bits)
            return i + first_lane(bits);
    }
    return 0;
}

/* The first of the highest. */
static inline int highest_of(const float *bounds, int count)
{
    return first_at(bounds, count, highest_in(bounds, count));
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
    open->left = across * BLOCK;
    open->top = down * BLOCK;
    describe_cells(search, block, open);
    open->joint = search->joint;
    open->block = block;
    return open;
}

#endif
