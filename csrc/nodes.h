/* Which nodes of each map lie around the pixels of a grid's cells: a node is a number of the map, and stands at the
 * corners of its own cells.
 */
#ifndef HRNETAE_NODES_H
#define HRNETAE_NODES_H

#include "bounds.h"

/* For each cell a range of slopes or nodes, counted from the first node of the cell's block. */
typedef struct {
    int32_t *first, *last; /* [cell] */
    int longest;
    int32_t *other; /* [cell]: where a second run of numbers begins that, with the one at `first`, covers the range */
    int run;        /* how long they are */
} HaeRanges;

/* Slopes or nodes side by side. */
enum { WIDE = 40, LINES = WIDE / LANES, LONGEST_PICKED = 2 * LANES };

typedef struct {
    Lanes at[LINES + 1];
} HaeLine;

/* What the pixels of each column (or row) of a grid, its cells, touch of one map. */
typedef struct {
    int32_t *start;   /* [block]: the first node of the block's tile */
    HaeRanges slopes; /* between the pixels and their neighbours */
    HaeRanges nodes;  /* around the pixels */
    int count;        /* nodes of a tile */
    float factor;     /* a slope's share in the difference of two pixels */
} HaeTouched;

static inline int count_maps(const HaeField *field)
{
    return field->outputs->scales * field->outputs->stages;
}

static inline int within(int at, int count)
{
    return at < 0 ? 0 : at < count ? at : count - 1;
}

/* The size of what touch_axis fills. */
static inline size_t touched_numbers(int cells)
{
    return 7 * (size_t)blocks_of(cells) * BLOCK;
}

/* The distance of neighbouring pixels in cells. */
static inline float spacing(int cells, int pixels, int align_corners)
{
    if (!align_corners)
        return (float)cells / (float)pixels;
    return pixels > 1 ? (float)(cells - 1) / (float)(pixels - 1) : 0.0f;
}

static inline void set_range_of_cell(HaeRanges *ranges, int cell, int first, int last)
{
    ranges->first[cell] = first;
    ranges->last[cell] = last;
    ranges->longest = last - first + 1 > ranges->longest ? last - first + 1 : ranges->longest;
}

/* Runs of a power of two that, two of them, cover the longest range. */
static inline void find_runs(HaeRanges *ranges, int cells)
{
    while (2 * ranges->run < ranges->longest)
        ranges->run *= 2;
    for (int cell = 0; cell < cells; cell++) {
        const int other = ranges->last[cell] + 1 - ranges->run;
        ranges->other[cell] = other > ranges->first[cell] ? other : ranges->first[cell];
    }
}

/* first: the first pixel of each cell (HaeGrid). Cells beyond the last one are like it. */
static inline HaeTouched touch_axis(const HaeAxis *axis, const int32_t *first, int cells, int maps, float spacing,
                                    int32_t *memory)
{
    const int all = blocks_of(cells) * BLOCK, pixels = axis->out;
    HaeTouched touched = {memory, {memory + all, memory + 2 * all, 0, memory + 3 * all, 1},
                          {memory + 4 * all, memory + 5 * all, 0, memory + 6 * all, 1}, 0, spacing / (float)maps};
    for (int cell = 0; cell < all; cell++) {
        const int own = cell < cells ? cell : cells - 1, begin = first[own], end = first[own + 1];
        const int lowest = axis->near[within(begin - 1, pixels)], highest = axis->near[within(end, pixels)];
        if (cell % BLOCK == 0)
            touched.start[cell / BLOCK] = lowest;
        const int start = touched.start[cell / BLOCK];
        set_range_of_cell(&touched.slopes, cell, lowest - start, highest - start);
        set_range_of_cell(&touched.nodes, cell, axis->near[within(begin, pixels)] - start,
                          axis->far[within(end - 1, pixels)] - start);
        /* A slope needs two nodes, and a pair of slopes three. */
        const int count = highest + 3 - start;
        touched.count = count > touched.count ? count : touched.count;
    }
    find_runs(&touched.slopes, all);
    find_runs(&touched.nodes, all);
    return touched;
}

static inline int lines_of(int numbers)
{
    return (numbers + LANES - 1) / LANES;
}

/* The largest number of each of eight cells' ranges, or of more: of the runs that cover them, LONGEST_PICKED at most. A
 * number is replaced by the largest of the run that begins there, whose length doubles with each turn; a turn sees the
 * next Lanes beside each, no more. line has one Lanes more than `lines`, which may hold any finite numbers. */
static inline Lanes pick_largest(HaeLine *line, int lines, const HaeRanges *ranges, int cell)
{
    for (int run = 1; run < ranges->run; run *= 2)
        for (int i = 0; i < lines; i++) {
            Lanes later = lanes_next(line->at[i], line->at[i + 1]), after = line->at[i + 1];
            for (int step = 1; step < run; step++) {
                after = lanes_next(after, after);
                later = lanes_next(later, after);
            }
            line->at[i] = lanes_max(line->at[i], later);
        }
    return lanes_max(lanes_pick(line->at, lines, ranges->first + cell),
                     lanes_pick(line->at, lines, ranges->other + cell));
}

/* Nodes of a map, sides averaged, in `down` rows of as many lines from (left, top); beyond the map its edge is
 * repeated. farthest, unless it is NULL: of each row, the largest distance of a side's node from 0. */
static inline void load_map_nodes(const HaeField *field, int map, int joint, int left, int top, int lines, int down,
                                  float *tile, int stride, float *farthest)
{
    const int both = field->sides == 2, height = field->grids[map].height;
    const HaeSource plain = heat_source(field, map, 0, joint), mirrored = heat_source(field, map, both, joint);
    for (int row = 0; row < down; row++, tile += stride) {
        const int y = within(top + row, height);
        Lanes far = lanes_all(0.0f);
        for (int i = 0; i < lines; i++) {
            Lanes node = load_eight(&plain, left + i * LANES, y);
            far = lanes_max(lanes_abs(node), far);
            if (both) {
                const Lanes other = load_eight(&mirrored, left + i * LANES, y);
                far = lanes_max(lanes_abs(other), far);
                node = lanes_average(node, other);
            }
            lanes_store(tile + i * LANES, node);
        }
        if (farthest)
            farthest[row] = lanes_largest(far);
    }
}

/* Asks for what load_map_nodes will read; far fewer lines would be under way if each waited for the loop to come by. */
static inline void ask_for_map_nodes(const HaeField *field, int map, int joint, int left, int top, int lines, int down)
{
#ifdef __GNUC__
    const HaeMaps *maps = &field->outputs->plain[map];
    const size_t cell = maps->is_half ? sizeof(uint16_t) : sizeof(float);
    const int right = within(left + lines * LANES - 1, maps->width), bottom = within(top + down - 1, maps->height);
    for (int side = 0; side < field->sides; side++) {
        const HaeSource source = heat_source(field, map, side, joint);
        const int from = side ? hae_flip_column(right, maps->width) : left;
        const int to = side ? hae_flip_column(left, maps->width) : right;
        for (int y = top; y <= bottom; y++) {
            const char *row = (const char *)source.maps->data + row_start(&source, y) * cell;
            __builtin_prefetch(row + (size_t)from * cell);
            __builtin_prefetch(row + (size_t)to * cell);
        }
    }
#else
    (void)field, (void)map, (void)joint, (void)left, (void)top, (void)lines, (void)down;
#endif
}

#endif
