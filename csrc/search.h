/* Step 7 without image-sized maps: the first maximum of heat - rint(|tag - mean|), by best-first branch and bound.
 *
 * The projected map is cut into the pixels of 8 x 8 cells of the tag map. A block's score is at most that of its heat
 * bound (bounds.h) at its smallest tag distance, which is that of the mean from the range of the tags in its cells: an
 * interpolated tag lies in this range but for rounding, by which the range is widened, and all operations of the score
 * are monotone. The same holds for a single cell with its four corners. The block of the highest bound is opened first;
 * of its cells those whose bound is not below the best score are looked at, every pixel with the exact formula. Nothing
 * that is left can win as soon as its bound is below the best score, or equal to it where all its pixels come later in
 * row-major order.
 */
#ifndef HRNETAE_SEARCH_H
#define HRNETAE_SEARCH_H

#include "search_cells.h"

static inline int cells_have_bounds(const HaeSearch *search, int block)
{
    return search->values_are_plain && search->low[0][block] > -INFINITY
        && search->low[search->field->length - 1][block] > -INFINITY;
}

/* Looks at the most promising cell of a block, keeping the bounds of all; returns a bound of what the others have,
 * -infinity if nothing is left. */
static inline float search_top_cell(HaeSearch *search, int block, float *bounds, HaeBest *best)
{
    search->effort += EFFORT_A_BLOCK;
    if (!cells_have_bounds(search, block)) {
        search_rect(search, rect_of_block(search, block), best);
        return -INFINITY;
    }
    const HaeOpenBlock *open = open_block(search, block);
    const float highest = bound_cells(search, open, best->score, bounds);
    if (!(highest >= larger(best->score, -FLT_MAX)))
        return -INFINITY;
    const int first = first_at(bounds, CELLS, highest);
    search_cell_of_block(search, open, first, highest, best);
    bounds[first] = -INFINITY;
    return highest_in(bounds, CELLS);
}

/* Looks at every cell of an opened block that may hold the best. */
static inline void search_cells(HaeSearch *search, int block, const float *bounds, HaeBest *best)
{
    const HaeOpenBlock *open = open_block(search, block);
    for (int row = 0; row < CELLS; row += LANES)
        for (int bits = lanes_not_below(lanes_load(bounds + row), lanes_all(larger(best->score, -FLT_MAX))); bits;
             bits &= bits - 1) {
            const int cell = row + first_lane(bits);
            search_cell_of_block(search, open, cell, bounds[cell], best);
        }
}

/* Lists the blocks that may still win, and their bounds; returns how many, with the padding. */
static inline int list_blocks(HaeSearch *search, int blocks, float best_score)
{
    int count = 0;
    for (int at = 0; at < blocks; at += LANES) {
        float bound[LANES];
        const Lanes bounds = lanes_load(search->block_bound + at);
        lanes_store(bound, bounds);
        for (int bits = lanes_not_below(bounds, lanes_all(larger(best_score, -FLT_MAX))); bits; bits &= bits - 1) {
            const int lane = first_lane(bits);
            search->waiting[count] = at + lane;
            search->waiting_bound[count++] = bound[lane];
        }
    }
    while (count % LANES)
        search->waiting_bound[count++] = -INFINITY;
    return count;
}

/* Opens a block for its top cell, and keeps the bound of what the others have. */
static inline void open_block_for_top(HaeSearch *search, int block, HaeBest *best)
{
    float *bounds = search->opened_bounds + (size_t)search->opened_count * CELLS;
    const float rest = search_top_cell(search, block, bounds, best);
    search->opened_block[search->opened_count] = block;
    search->opened_rest[search->opened_count++] = rest;
}

/* Looks at the cells that the opened blocks have left and that may still hold the best. */
static inline void search_rest(HaeSearch *search, HaeBest *best)
{
    for (int i = 0; i < search->opened_count; i++) {
        const int block = search->opened_block[i];
        const float rest = search->opened_rest[i];
        if (rest > -INFINITY && may_hold_best(rest, rect_of_block(search, block), search->field->width, best))
            search_cells(search, block, search->opened_bounds + (size_t)i * CELLS, best);
    }
}

/* The pixel where a person of this mean tag is filled in, and its score. best: what is known already.
 *
 * Blocks are opened for their top cells at first, the most promising block first. Most of the other cells are settled
 * by other blocks' top cells then. */
static inline HaeBest search_joint(HaeSearch *search, const float *mean, HaeBest best)
{
    const int blocks = padded(block_count(search));
    search->mean = mean;
    if (search->field->length == 2)
        turn_mean(search);
    search->opened_count = 0;
    bound_blocks(search, blocks);
    const int first = highest_of(search->block_bound, blocks);
    if (search->block_bound[first] == -INFINITY)
        return best;
    open_block_for_top(search, first, &best);
    search->block_bound[first] = -INFINITY;
    for (int count = list_blocks(search, blocks, best.score); count > 0;) {
        const int at = highest_of(search->waiting_bound, count);
        const float bound = search->waiting_bound[at];
        ask_ahead(&search->ahead, LINES_A_STEP);
        /* Of equal bounds the first block's is taken first: if its pixels come too late, so do all others'. */
        if (bound == -INFINITY || !may_hold_best(bound, rect_of_block(search, search->waiting[at]),
                                                 search->field->width, &best))
            break;
        search->waiting_bound[at] = -INFINITY;
        open_block_for_top(search, search->waiting[at], &best);
    }
    search_rest(search, &best);
    return best;
}

#endif
