/* Where the peaks of one network map can be that is enlarged at least twofold: around some of its nodes.
 *
 * Let f be a joint's projected heat before rounding. On the cells of one network map (with flip: of two maps of one
 * size) f is bilinear. Write A for its values at the cells' corners ("nodes"), s and t for the distance of
 * neighbouring pixels in cells across and down, both at most 1/2 here, and delta for the largest rounding error of a
 * computed pixel: six roundings of numbers no larger than the largest cell, taken as 2^-20 of it. A peak p is at
 * least as high as its neighbours, so f(p) >= f(q) - 2 delta for each neighbour q.
 *
 * Across. Along p's row f is linear between node columns. Either some node column n lies between p's left and right
 * neighbour (p is near column n), or all three lie in one cell and its slope along that row is at most 2 delta / s.
 * If p is near column n, f on that row is at column n no lower than at columns n - 1 and n + 1, but for tau = 8 delta
 * / s: the neighbours of p that lie in those cells say so, or else the slope between p and n is that small, which is
 * the other case. (In the half cell outside the first and the last node column f is constant; there nothing follows.)
 * Down: the same.
 *
 * The row of p is at most t away from a node row m. On it, column n has (1 - d) A[m][n] + d A[m +- 1][n] with d <= t,
 * so with h[m] = A[m][n] - A[m][n + 1] a peak near column n needs h[m] + t/(1-t) max(0, h[m-1], h[m+1]) >= -2 tau,
 * likewise to the left, up and down. Four kinds of places remain, and only they are looked at:
 *   near a column and a row:   the pixels around a node that passes these four tests;
 *   near a row only:           |h[m]| <= t/(1-t) max(|h[m-1]|, |h[m+1]|) + 4 tau: the pixels along that edge;
 *   near a column only:        the same, down;
 *   near neither:              then both slopes are at most 4 delta / s and 4 delta / t, the cell's twist is at most
 *                              10 delta / (s t), for the four diagonal neighbours are no higher either, and its
 *                              corners differ by at most 14 delta / (s t): all its pixels.
 * A peak near a node is no higher than the node column and the node row on its own row and column, but for tau, and
 * those are means of the node and the nodes next to it: where neither the node nor one of those four is above the
 * threshold, less 8 tau, it is passed over. All pixels that are looked at are computed and compared exactly, with
 * their whole window.
 */
#ifndef HRNETAE_PEAKS_AT_NODES_H
#define HRNETAE_PEAKS_AT_NODES_H

#include "peak_pixels.h"

enum {
    RING = 2, /* nodes around a block that its tests read */
    SPAN = BLOCK + 2 * RING,
    STRIDE = TILE_STRIDE,
};

#define LOOSE 1e30f

/* The constants of the tests, for one joint. */
typedef struct {
    float threshold;          /* nodes at or below it count as low */
    float lean_across, lean_down; /* t / (1 - t), s / (1 - s) */
    float tolerance;          /* 2 tau; along edges twice that */
    float level;              /* corners of a level cell differ by no more */
} HaeNodeTests;

static inline HaeNodeTests node_tests(const HaePeakFinder *finder, const HaeGrid *grid)
{
    const int align_corners = finder->field->settings->align_corners;
    const float s = spacing(grid->width, finder->field->width, align_corners);
    const float t = spacing(grid->height, finder->field->height, align_corners);
    /* A hundredth more, for the rounding of positions in float32. */
    const float lean_across = 1.01f * t / (1.0f - 1.01f * t), lean_down = 1.01f * s / (1.0f - 1.01f * s);
    float largest = finder->bounds[0].largest;
    if (finder->field->sides == 2 && finder->bounds[1].largest > largest)
        largest = finder->bounds[1].largest;
    const float delta = largest * 0x1p-20f + 0x1p-120f;
    const float finer = s < t ? s : t;
    const float tau = 10.0f * delta / finer;
    return (HaeNodeTests){finder->threshold - 8.0f * tau, lean_across, lean_down, 2.0f * tau,
                          24.0f * delta / (s * t)};
}

/* Averaged nodes of a block and its ring; beyond the map its edge is repeated. */
static inline void load_nodes(const HaePeakFinder *finder, int across, int down, float nodes[SPAN][STRIDE])
{
    const int left = across * BLOCK - RING, top = down * BLOCK - RING;
    const HaeSource plain = heat_source(finder->field, 0, 0, finder->joint);
    float mirrored[SPAN][STRIDE];
    load_tile(&plain, left, top, SPAN, SPAN, nodes[0]);
    if (finder->field->sides == 1)
        return;
    const HaeSource source = heat_source(finder->field, 0, 1, finder->joint);
    load_tile(&source, left, top, SPAN, SPAN, mirrored[0]);
    for (int row = 0; row < SPAN; row++)
        for (int x = 0; x < STRIDE; x += LANES)
            lanes_store(nodes[row] + x, lanes_average(lanes_load(nodes[row] + x), lanes_load(mirrored[row] + x)));
}

/* h[m] + lean * max(0, h[m-1], h[m+1]) for the differences towards one neighbour. */
static inline Lanes leaning(Lanes before, Lanes at, Lanes after, Lanes lean)
{
    return lanes_add(at, lanes_mul(lean, lanes_max(lanes_all(0.0f), lanes_max(before, after))));
}

/* Which of eight edges are level, from the absolute differences along them and along those on either side. */
static inline int level_edges(Lanes before, Lanes at, Lanes after, Lanes lean, Lanes tolerance)
{
    const Lanes most = lanes_add(lanes_mul(lean, lanes_max(lanes_abs(before), lanes_abs(after))), tolerance);
    return lanes_not_below(most, lanes_abs(at));
}

/* Where a block lies in the map. loose: added to tests across at the map's first and last column, down at its first and
 * last row, where f is constant outside and nothing follows. */
typedef struct {
    float loose_across[LANES];
    int has_right; /* a bit for each node */
} HaeColumnPlace;

static inline HaeColumnPlace column_place(const HaeGrid *grid, int left)
{
    HaeColumnPlace place = {{0.0f}, bits_of(BLOCK)};
    if (left > 0 && left + BLOCK < grid->width)
        return place;
    place.has_right = 0;
    for (int x = 0; x < BLOCK; x++) {
        place.loose_across[x] = left + x == 0 || left + x >= grid->width - 1 ? LOOSE : 0.0f;
        place.has_right |= (left + x < grid->width - 1) << x;
    }
    return place;
}

/* What has to be looked at around the nodes of a row of a block, a bit for each: the node, the edges to its right and
 * down, the cell between them. */
typedef struct {
    int node, row, column, cell;
} HaePlaces;

/* nodes: at the row's first node, rows STRIDE apart. */
static inline HaePlaces test_row(const float *nodes, const HaeNodeTests *tests, const HaeColumnPlace *place, int row,
                                 int height)
{
    const Lanes lean_across = lanes_all(tests->lean_across), lean_down = lanes_all(tests->lean_down);
    const Lanes limit = lanes_all(-tests->tolerance), edge_tolerance = lanes_all(2.0f * tests->tolerance);
    const Lanes threshold = lanes_all(tests->threshold);
    const Lanes free_across = lanes_load(place->loose_across);
    const Lanes free_down = lanes_all(row == 0 || row == height - 1 ? LOOSE : 0.0f);
    const int has_below = row < height - 1 ? bits_of(BLOCK) : 0;
    const Lanes up_left = lanes_load(nodes - STRIDE - 1), up = lanes_load(nodes - STRIDE);
    const Lanes up_right = lanes_load(nodes - STRIDE + 1), left = lanes_load(nodes - 1), at = lanes_load(nodes);
    const Lanes right = lanes_load(nodes + 1), low_left = lanes_load(nodes + STRIDE - 1);
    const Lanes low = lanes_load(nodes + STRIDE), low_right = lanes_load(nodes + STRIDE + 1);

    /* Differences from each node towards a neighbour, on its own line and on those beside it. */
    const Lanes to_right = lanes_sub(at, right), to_left = lanes_sub(at, left);
    const Lanes to_up = lanes_sub(at, up), to_low = lanes_sub(at, low);
    const Lanes up_to_right = lanes_sub(up, up_right), low_to_right = lanes_sub(low, low_right);
    const Lanes left_to_low = lanes_sub(left, low_left), right_to_low = lanes_sub(right, low_right);
    const Lanes right_to_up = lanes_sub(right, up_right), low_to_left = lanes_sub(low, low_left);

    const Lanes highest = lanes_max(lanes_max(lanes_max(up, low), lanes_max(left, right)), at);
    const Lanes across = lanes_min(leaning(up_to_right, to_right, low_to_right, lean_across),
                                   leaning(lanes_sub(up, up_left), to_left, low_to_left, lean_across));
    const Lanes down = lanes_min(leaning(lanes_sub(left, up_left), to_up, right_to_up, lean_down),
                                 leaning(left_to_low, to_low, right_to_low, lean_down));
    HaePlaces places;
    places.node = lanes_above(highest, threshold) & lanes_not_below(lanes_add(across, free_across), limit)
                & lanes_not_below(lanes_add(down, free_down), limit);

    /* An edge's two ends bound the heat along it; it must be level, and a ridge. */
    const Lanes row_ridge = lanes_min(lanes_max(to_up, right_to_up), lanes_max(to_low, right_to_low));
    places.row = place->has_right & lanes_above(lanes_max(at, right), threshold)
               & level_edges(up_to_right, to_right, low_to_right, lean_across, edge_tolerance)
               & lanes_not_below(lanes_add(row_ridge, free_down), limit);
    const Lanes column_ridge = lanes_min(lanes_max(to_left, low_to_left), lanes_max(to_right, low_to_right));
    places.column = has_below & lanes_above(lanes_max(at, low), threshold)
                  & level_edges(left_to_low, to_low, right_to_low, lean_down, edge_tolerance)
                  & lanes_not_below(lanes_add(column_ridge, free_across), limit);

    const Lanes spread = lanes_max(lanes_max(lanes_abs(to_right), lanes_abs(low_to_right)),
                                   lanes_max(lanes_abs(to_low), lanes_abs(right_to_low)));
    places.cell = place->has_right & has_below & lanes_not_below(lanes_all(tests->level), spread)
                & lanes_above(lanes_max(lanes_max(at, right), lanes_max(low, low_right)), threshold);
    return places;
}

/* The places found in a block, as rectangles of pixels. */
typedef struct {
    HaeRect rects[BLOCK * BLOCK * 4];
    int count;
} HaeFound;

/* What test_row found around node (x, y), a bit for each kind. */
static inline void list_places(const HaeGrid *grid, int x, int y, const HaePlaces *places, int bit, HaeFound *found)
{
    const HaeRect near = {grid->near_left[x], grid->near_top[y], grid->near_right[x], grid->near_bottom[y]};
    if (places->node & bit)
        found->rects[found->count++] = near;
    if (places->row & bit)
        found->rects[found->count++] =
            (HaeRect){grid->first_column[x], near.top, grid->first_column[x + 1], near.bottom};
    if (places->column & bit)
        found->rects[found->count++] = (HaeRect){near.left, grid->first_row[y], near.right, grid->first_row[y + 1]};
    if (places->cell & bit)
        found->rects[found->count++] =
            (HaeRect){grid->first_column[x], grid->first_row[y], grid->first_column[x + 1], grid->first_row[y + 1]};
}

static inline void find_places(HaePeakFinder *finder, const HaeNodeTests *tests, int across, int down, HaeFound *found)
{
    const HaeGrid *grid = &finder->field->grids[0];
    const int left = across * BLOCK, top = down * BLOCK;
    const HaeColumnPlace place = column_place(grid, left);
    const Lanes threshold = lanes_all(tests->threshold);
    float nodes[SPAN][STRIDE];
    int high[SPAN];
    found->count = 0;
    load_nodes(finder, across, down, nodes);
    for (int row = 0; row < SPAN; row++)
        high[row] = lanes_above(lanes_load(nodes[row]), threshold)
                  | lanes_above(lanes_load(nodes[row] + SPAN - LANES), threshold);
    for (int row = 0; row < BLOCK && top + row < grid->height; row++) {
        const int at = row + RING;
        if (!(high[at - 1] | high[at] | high[at + 1]))
            continue;
        const HaePlaces places = test_row(&nodes[at][RING], tests, &place, top + row, grid->height);
        for (int bits = places.node | places.row | places.column | places.cell; bits; bits &= bits - 1) {
            const int x = first_lane(bits);
            if (left + x < grid->width)
                list_places(grid, left + x, top + row, &places, 1 << x, found);
        }
    }
}

/* Looks at all places of a block, together where they are many; returns the number of pixels. */
static inline int64_t look_at_places(HaePeakFinder *finder, const HaeFound *found)
{
    enum { MANY = 8 };
    int64_t area = 0;
    HaeRect all = found->rects[0];
    for (int i = 0; i < found->count; i++) {
        const HaeRect rect = found->rects[i];
        all.left = rect.left < all.left ? rect.left : all.left;
        all.top = rect.top < all.top ? rect.top : all.top;
        all.right = rect.right > all.right ? rect.right : all.right;
        all.bottom = rect.bottom > all.bottom ? rect.bottom : all.bottom;
        area += (int64_t)(rect.right - rect.left) * (rect.bottom - rect.top);
    }
    const int64_t extent = (int64_t)(all.right - all.left) * (all.bottom - all.top);
    if (found->count > MANY && extent < MANY * area + 200 * found->count) {
        look_at_any(finder, all);
        return extent;
    }
    for (int i = 0; i < found->count; i++)
        look_at_any(finder, found->rects[i]);
    return area;
}

/* Bounds of the averaged nodes of eight blocks and of those next to them. */
static inline Lanes bounds_of_eight(const HaePeakFinder *finder, int block)
{
    const Lanes plain = lanes_load(finder->bounds[0].bound + block);
    return finder->field->sides == 2 ? lanes_average(plain, lanes_load(finder->bounds[1].bound + block)) : plain;
}

/* Returns 0 where it gave up, because looking everywhere is cheaper. */
static inline int look_at_nodes(HaePeakFinder *finder)
{
    const HaeField *field = finder->field;
    const HaeBounds *bounds = finder->bounds;
    const HaeNodeTests tests = node_tests(finder, &field->grids[0]);
    const Lanes threshold = lanes_all(tests.threshold);
    const int64_t most = (int64_t)field->width * field->height / 2;
    const int blocks = bounds->across * bounds->down;
    int64_t area = 0;
    HaeFound found;
    for (int first = 0; first < blocks; first += LANES) {
        int bits = lanes_above(bounds_of_eight(finder, first), threshold) & bits_of(blocks - first);
        ask_ahead(&finder->ahead, LANES * LINES_A_BLOCK);
        for (; bits; bits &= bits - 1) {
            const int block = first + first_lane(bits);
            find_places(finder, &tests, block % bounds->across, block / bounds->across, &found);
            if (found.count)
                area += look_at_places(finder, &found);
            if (area > most)
                return 0;
        }
    }
    return 1;
}

#endif
