/* Steps 3 and 4 without image-sized maps: the M best peaks above the threshold, found where peaks can be.
 *
 * In one network map that is enlarged at least twofold they lie around some of its nodes (peaks_at_nodes.h).
 * Other grids (two stages, several scales; maps that are not enlarged at least twofold) are searched where slopes.h
 * cannot exclude a peak. Where its reasoning does not hold either (windows of 1 x 1; a map of much more cells than the
 * projection has pixels) the blocks whose bound is above the threshold are looked at pixel by pixel, and all pixels
 * where values are not finite. That is also done where it is cheaper, on plateaus.
 */
#ifndef HRNETAE_PEAKS_H
#define HRNETAE_PEAKS_H

#include "peaks_at_nodes.h"

/* ------------------------------------------------------------------ block by block */

/* Blocks side by side are looked at together: their margins overlap. */
static inline void look_at_blocks(HaePeakFinder *finder)
{
    const HaeField *field = finder->field;
    const HaeBlocks *blocks = finder->blocks;
    float *bound = blocks->line + 3 * (size_t)blocks->across;
    for (int down = 0; down < blocks->down; down++) {
        HaeRect run = {0, 0, 0, 0};
        bound_heat_of_row(field, finder->bounds, blocks, down, bound);
        for (int across = 0; across < blocks->across; across++) {
            const HaeRect rect = block_rect(blocks->base, across, down);
            if (is_empty(rect) || !(bound[across] > finder->threshold))
                continue;
            if (!is_empty(run) && run.right == rect.left) {
                run.right = rect.right;
            } else {
                look_at_any(finder, run);
                run = rect;
            }
        }
        look_at_any(finder, run);
    }
}

/* ------------------------------------------------------------------ where slopes turn */

/* The places of a block, or the whole block where that is less. */
static inline int64_t look_at_turns(HaePeakFinder *finder, const HaeTurns *turns, HaeRect block)
{
    const int margin = 2 * finder->reach;
    const int64_t all = (int64_t)(block.right - block.left + margin + LANES) * (block.bottom - block.top + margin);
    int64_t area = 0;
    for (int i = 0; i < turns->count; i++) {
        const HaeRect rect = turns->rects[i];
        area += (int64_t)(rect.right - rect.left + margin + LANES) * (rect.bottom - rect.top + margin);
    }
    if (area > all) {
        look_at_any(finder, block);
        return all;
    }
    for (int i = 0; i < turns->count; i++)
        look_at_any(finder, turns->rects[i]);
    return area;
}

/* Returns 0 where it gave up, because looking at whole blocks is cheaper. */
static inline int look_at_slopes(HaePeakFinder *finder)
{
    const HaeField *field = finder->field;
    const HaeBlocks *blocks = finder->blocks;
    const float tolerance = slope_tolerance(&finder->slopes, finder->bounds);
    const int64_t most = (int64_t)field->width * field->height;
    float *bound = blocks->line + 3 * (size_t)blocks->across;
    int64_t area = 0;
    HaeTurns turns;
    for (int down = 0; down < blocks->down; down++) {
        bound_heat_of_row(field, finder->bounds, blocks, down, bound);
        for (int across = 0; across < blocks->across; across++) {
            const HaeRect rect = block_rect(blocks->base, across, down);
            if (is_empty(rect) || !(bound[across] > finder->threshold))
                continue;
            find_turns(&finder->slopes, finder->bounds, finder->joint, finder->threshold, tolerance, across, down,
                       &turns);
            area += look_at_turns(finder, &turns, rect);
            if (area > most)
                return 0;
        }
    }
    return 1;
}

/* ------------------------------------------------------------------ which way */

static inline int nodes_suffice(const HaePeakFinder *finder)
{
    const HaeField *field = finder->field;
    const HaeGrid *grid = &field->grids[0];
    return field->outputs->scales == 1 && field->outputs->stages == 1 && finder->reach >= 1
        && field->width >= 2 * grid->width && field->height >= 2 * grid->height && grid->width > 1 && grid->height > 1;
}

static inline void find_peaks(HaePeakFinder *finder)
{
    finder->repeats = 0;
    if (!bounds_are_plain(finder->field, finder->bounds)) {
        look_everywhere(finder);
        return;
    }
    const int by_nodes = nodes_suffice(finder);
    if (!by_nodes && !finder->slopes.usable) {
        look_at_blocks(finder);
        return;
    }
    finder->repeats = 1;
    if (by_nodes ? look_at_nodes(finder) : look_at_slopes(finder))
        return;
    finder->repeats = 0;
    finder->selection.count = 0;
    if (by_nodes)
        look_everywhere(finder);
    else
        look_at_blocks(finder);
}

#endif
