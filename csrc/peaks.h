/* Steps 3 and 4 without image-sized maps: the M best peaks above the threshold, found where peaks can be.
 *
 * Let f be a joint's projected heat before rounding. On the cells of one network map (with flip: of two maps of one
 * size) f is bilinear. Write A for its values at the cells' corners ("nodes"), s and t for the distance of neighbouring pixels
 * in cells across and down, both at most 1/2 here, and delta for the largest rounding error of a computed pixel:
 * six roundings of numbers no larger than the largest cell, taken as 2^-20 of it. A peak p is at least as high as its
 * neighbours, so f(p) >= f(q) - 2 delta for each neighbour q.
 *
 * Across. Along p's row f is linear between node columns. Either some node column n lies between p's left and right
 * neighbour (p is near column n), or all three lie in one cell and its slope along that row is at most 2 delta / s. If p is
 * near column n, f on that row is at column n no lower than at columns n - 1 and n + 1, but for tau = 8 delta / s: the
 * neighbours of p that lie in those cells say so, or else the slope between p and n is that small, which is the other
 * case. (In the half cell outside the first and the last node column f is constant; there nothing follows.) Down: the same.
 *
 * The row of p is at most t away from a node row m. On it, column n has (1 - d) A[m][n] + d A[m +- 1][n] with d <= t, so with
 * h[m] = A[m][n] - A[m][n + 1] a peak near column n needs h[m] + t/(1-t) max(0, h[m-1], h[m+1]) >= -2 tau, likewise to the
 * left, up and down. Four kinds of places remain, and only they are looked at:
 *   near a column and a row:   the pixels around a node that passes these four tests;
 *   near a row only:           |h[m]| <= t/(1-t) max(|h[m-1]|, |h[m+1]|) + 4 tau: the pixels along that edge;
 *   near a column only:        the same, down;
 *   near neither:              then the cell's twist is at most 6 delta / (s t) too, and its corners differ by at most
 *                              16 delta / (s t): all its pixels.
 * A pixel near a node is no higher than the highest of its nine nodes, so nodes without one above the threshold are
 * passed over. All pixels that are looked at are computed and compared exactly, with their whole window.
 *
 * Where the reasoning does not hold (other grids: two stages, several scales; maps that are not enlarged at least
 * twofold; windows of 1 x 1; values that are not finite) the blocks whose bound is above the threshold are looked at
 * pixel by pixel. That is also done where it is cheaper, on plateaus.
 */
#ifndef HRNETAE_PEAKS_H
#define HRNETAE_PEAKS_H

#include "bounds.h"
#include "top_k.h"

static inline float larger(float a, float b)
{
    return a > b ? a : b;
}

typedef struct {
    const HaeField *field;
    int joint, reach; /* of the NMS window, each way */
    float threshold;  /* a float32 is above the threshold if it is larger than this */
    const HaeBounds *bounds; /* [map * sides + side] of this joint */
    HaeSelection selection;
    HaeScratch *scratch;
    float heat[RECT_WIDTH * RECT_HEIGHT];
} HaePeakFinder;

enum { MAX_REACH = 8 };

/* A place may be looked at twice; a peak is kept once. */
static inline void keep_peak(HaePeakFinder *finder, float value, int x, int y)
{
    HaeSelection *selection = &finder->selection;
    const HaeRanked candidate = {value, (int64_t)y * finder->field->width + x};
    if (selection->count == selection->capacity && !hae_ranks_before(candidate, selection->entries[0]))
        return;
    for (int i = 0; i < selection->count; i++)
        if (selection->entries[i].index == candidate.index)
            return;
    hae_select(selection, candidate);
}

static inline int is_window_maximum(const float *at, HaeRect window)
{
    const float value = *at;
    for (int dy = window.top; dy < window.bottom; dy++)
        for (int dx = window.left; dx < window.right; dx++)
            if (at[dy * RECT_WIDTH + dx] > value)
                return 0;
    return 1;
}

/* Looks at every pixel of a rectangle of at most RECT_WIDTH - 16 x RECT_HEIGHT - 16 pixels. */
static inline void look_at(HaePeakFinder *finder, HaeRect rect)
{
    const HaeField *field = finder->field;
    const int reach = finder->reach;
    const HaeRect seen = clip_rect(
        field, (HaeRect){rect.left - reach, rect.top - reach, rect.right + reach, rect.bottom + reach});
    sample_heat(field, finder->joint, seen, finder->scratch, finder->heat);
    for (int y = rect.top; y < rect.bottom; y++)
        for (int x = rect.left; x < rect.right; x++) {
            const float *at = finder->heat + (y - seen.top) * RECT_WIDTH + (x - seen.left);
            if (!(*at > finder->threshold))
                continue;
            const HaeRect around = clip_rect(field, (HaeRect){x - reach, y - reach, x + reach + 1, y + reach + 1});
            if (is_window_maximum(at, (HaeRect){around.left - x, around.top - y, around.right - x, around.bottom - y}))
                keep_peak(finder, *at, x, y);
        }
}

static inline void look_at_any(HaePeakFinder *finder, HaeRect rect)
{
    enum { ACROSS = RECT_WIDTH - 2 * MAX_REACH, DOWN = RECT_HEIGHT - 2 * MAX_REACH };
    rect = clip_rect(finder->field, rect);
    for (int top = rect.top; top < rect.bottom; top += DOWN)
        for (int left = rect.left; left < rect.right; left += ACROSS) {
            const HaeRect part = {left, top, left + ACROSS < rect.right ? left + ACROSS : rect.right,
                                  top + DOWN < rect.bottom ? top + DOWN : rect.bottom};
            look_at(finder, part);
        }
}

/* ------------------------------------------------------------------ block by block */

/* The largest bound of the blocks that a range of pixels touches. */
static inline float bound_of_rect(const HaeBounds *bounds, const HaeGrid *grid, HaeRect rect)
{
    const int left = grid->columns.near[rect.left] / BLOCK, right = grid->columns.near[rect.right - 1] / BLOCK;
    const int top = grid->rows.near[rect.top] / BLOCK, bottom = grid->rows.near[rect.bottom - 1] / BLOCK;
    float largest = 0.0f;
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            const float bound = bounds->bound[(size_t)y * bounds->across + x];
            largest = bound > largest ? bound : largest;
        }
    return largest;
}

/* No pixel of the rectangle has more heat: sample_heat's operations, each of them monotone, on bounds. */
static inline float heat_bound(const HaeField *field, const HaeBounds *bounds, HaeRect rect)
{
    const int scales = field->outputs->scales, stages = field->outputs->stages, sides = field->sides;
    float sum = 0.0f;
    for (int scale = 0; scale < scales; scale++) {
        float of_side[2];
        for (int side = 0; side < sides; side++) {
            float of_stages = 0.0f;
            for (int map = scale * stages; map < (scale + 1) * stages; map++)
                of_stages += bound_of_rect(&bounds[map * sides + side], &field->grids[map], rect);
            of_side[side] = of_stages / (float)stages;
        }
        sum += sides == 2 ? hae_flip_average(of_side[0], of_side[1]) : of_side[0];
    }
    return sum / (float)scales;
}

/* The pixels of a block of a grid. Empty where a coarse projection skips it. */
static inline HaeRect block_rect(const HaeGrid *grid, int across, int down)
{
    const int right = (across + 1) * BLOCK, bottom = (down + 1) * BLOCK;
    return (HaeRect){grid->first_column[across * BLOCK], grid->first_row[down * BLOCK],
                     grid->first_column[right < grid->width ? right : grid->width],
                     grid->first_row[bottom < grid->height ? bottom : grid->height]};
}

static inline void look_at_blocks(HaePeakFinder *finder)
{
    const HaeField *field = finder->field;
    const int maps = field->outputs->scales * field->outputs->stages;
    int finest = 0; /* of the smallest blocks */
    for (int map = 1; map < maps; map++)
        if (field->grids[map].width > field->grids[finest].width)
            finest = map;
    const HaeGrid *grid = &field->grids[finest];
    for (int down = 0; down < blocks_of(grid->height); down++)
        for (int across = 0; across < blocks_of(grid->width); across++) {
            const HaeRect rect = block_rect(grid, across, down);
            if (rect.left < rect.right && rect.top < rect.bottom
                && heat_bound(field, finder->bounds, rect) > finder->threshold)
                look_at_any(finder, rect);
        }
}

static inline void look_everywhere(HaePeakFinder *finder)
{
    look_at_any(finder, (HaeRect){0, 0, finder->field->width, finder->field->height});
}

/* ------------------------------------------------------------------ node by node */

enum {
    RING = 2, /* nodes around a block that its tests read */
    SPAN = BLOCK + 2 * RING,
    STRIDE = 16,
};

/* The constants of the tests, for one joint. */
typedef struct {
    float threshold;          /* nodes at or below it count as low */
    float lean_across, lean_down; /* t / (1 - t), s / (1 - s) */
    float tolerance;          /* 2 tau; along edges twice that */
    float level;              /* corners of a level cell differ by no more */
} HaeNodeTests;

static inline HaeNodeTests node_tests(const HaePeakFinder *finder, const HaeGrid *grid)
{
    const float s = 1.01f * (float)grid->width / (float)finder->field->width;
    const float t = 1.01f * (float)grid->height / (float)finder->field->height;
    float largest = finder->bounds[0].largest;
    if (finder->field->sides == 2 && finder->bounds[1].largest > largest)
        largest = finder->bounds[1].largest;
    const float delta = largest * 0x1p-20f + 0x1p-120f;
    const float finer = s < t ? s : t;
    const float tau = 10.0f * delta / finer;
    return (HaeNodeTests){finder->threshold - 8.0f * tau, t / (1.0f - t), s / (1.0f - s), 2.0f * tau,
                          20.0f * delta / (s * t)};
}

/* Averaged nodes of a block and its ring; beyond the map its edge is repeated. */
static inline void load_nodes(const HaePeakFinder *finder, int across, int down, float nodes[SPAN][STRIDE])
{
    const HaeField *field = finder->field;
    const HaeGrid *grid = &field->grids[0];
    const int left = across * BLOCK - RING, top = down * BLOCK - RING;
    const int first = left < 0 ? 0 : left, last = left + SPAN < grid->width ? left + SPAN : grid->width;
    float cells[2][STRIDE + LANES];
    for (int row = 0; row < SPAN; row++) {
        int y = top + row;
        y = y < 0 ? 0 : y < grid->height ? y : grid->height - 1;
        for (int side = 0; side < field->sides; side++) {
            const HaeSource source = heat_source(field, 0, side, finder->joint);
            load_cells(&source, y, first, last - first, cells[side] + (first - left));
        }
        if (field->sides == 2)
            for (int x = 0; x < STRIDE; x++)
                nodes[row][x] = hae_flip_average(cells[0][x], cells[1][x]);
        else
            memcpy(nodes[row], cells[0], sizeof nodes[row]);
        for (int x = left; x < first; x++)
            nodes[row][x - left] = nodes[row][first - left];
        for (int x = last; x < left + SPAN; x++)
            nodes[row][x - left] = nodes[row][last - 1 - left];
    }
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

/* Where a row of a block lies in the map. loose: added to tests across at the map's first and last column, down at its
 * first and last row, where f is constant outside and nothing follows. */
typedef struct {
    float loose_across[LANES], loose_down;
    int has_right, has_below; /* a bit for each node */
} HaeRowPlace;

static inline HaeRowPlace row_place(const HaeGrid *grid, int left, int row)
{
    const float loose = 1e30f;
    HaeRowPlace place = {{0.0f}, row == 0 || row == grid->height - 1 ? loose : 0.0f, 0,
                         row < grid->height - 1 ? (1 << BLOCK) - 1 : 0};
    for (int x = 0; x < BLOCK; x++) {
        place.loose_across[x] = left + x == 0 || left + x >= grid->width - 1 ? loose : 0.0f;
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
static inline HaePlaces test_row(const float *nodes, const HaeNodeTests *tests, const HaeRowPlace *place)
{
    const Lanes lean_across = lanes_all(tests->lean_across), lean_down = lanes_all(tests->lean_down);
    const Lanes limit = lanes_all(-tests->tolerance), edge_tolerance = lanes_all(2.0f * tests->tolerance);
    const Lanes threshold = lanes_all(tests->threshold);
    const Lanes free_across = lanes_load(place->loose_across), free_down = lanes_all(place->loose_down);
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
    places.column = place->has_below & lanes_above(lanes_max(at, low), threshold)
                  & level_edges(left_to_low, to_low, right_to_low, lean_down, edge_tolerance)
                  & lanes_not_below(lanes_add(column_ridge, free_across), limit);

    const Lanes spread = lanes_max(lanes_max(lanes_abs(to_right), lanes_abs(low_to_right)),
                                   lanes_max(lanes_abs(to_low), lanes_abs(right_to_low)));
    places.cell = place->has_right & place->has_below & lanes_not_below(lanes_all(tests->level), spread)
                & lanes_above(lanes_max(lanes_max(at, right), lanes_max(low, low_right)), threshold);
    return places;
}

/* Looks at what test_row found around node (x, y), a bit for each kind; returns the number of pixels. */
static inline int64_t look_around_node(HaePeakFinder *finder, const HaeGrid *grid, int x, int y,
                                       const HaePlaces *places, int bit)
{
    const HaeRect near = {grid->near_left[x], grid->near_top[y], grid->near_right[x], grid->near_bottom[y]};
    HaeRect rects[4];
    int count = 0;
    int64_t area = 0;
    if (places->node & bit)
        rects[count++] = near;
    if (places->row & bit)
        rects[count++] = (HaeRect){grid->first_column[x], near.top, grid->first_column[x + 1], near.bottom};
    if (places->column & bit)
        rects[count++] = (HaeRect){near.left, grid->first_row[y], near.right, grid->first_row[y + 1]};
    if (places->cell & bit)
        rects[count++] =
            (HaeRect){grid->first_column[x], grid->first_row[y], grid->first_column[x + 1], grid->first_row[y + 1]};
    for (int i = 0; i < count; i++) {
        area += (int64_t)(rects[i].right - rects[i].left) * (rects[i].bottom - rects[i].top);
        look_at_any(finder, rects[i]);
    }
    return area;
}

/* The largest of the nodes of a block's row and its ring. */
static inline float largest_node(const float nodes[STRIDE])
{
    return lanes_largest(lanes_max(lanes_load(nodes), lanes_load(nodes + SPAN - LANES)));
}

static inline int64_t look_at_nodes_of_block(HaePeakFinder *finder, const HaeNodeTests *tests, int across, int down)
{
    const HaeGrid *grid = &finder->field->grids[0];
    const int left = across * BLOCK, top = down * BLOCK;
    float nodes[SPAN][STRIDE], highest[SPAN];
    int64_t area = 0;
    load_nodes(finder, across, down, nodes);
    for (int row = 0; row < SPAN; row++)
        highest[row] = largest_node(nodes[row]);
    for (int row = 0; row < BLOCK && top + row < grid->height; row++) {
        const int at = row + RING;
        if (!(highest[at - 1] > tests->threshold || highest[at] > tests->threshold
              || highest[at + 1] > tests->threshold))
            continue;
        const HaeRowPlace place = row_place(grid, left, top + row);
        const HaePlaces places = test_row(&nodes[at][RING], tests, &place);
        for (int bits = places.node | places.row | places.column | places.cell; bits; bits &= bits - 1) {
            const int x = first_lane(bits);
            if (left + x < grid->width)
                area += look_around_node(finder, grid, left + x, top + row, &places, 1 << x);
        }
    }
    return area;
}

/* Returns 0 where it gave up, because looking everywhere is cheaper. */
static inline int look_at_nodes(HaePeakFinder *finder)
{
    const HaeField *field = finder->field;
    const HaeBounds *bounds = finder->bounds;
    const HaeNodeTests tests = node_tests(finder, &field->grids[0]);
    const int64_t most = (int64_t)field->width * field->height / 2;
    int64_t area = 0;
    for (int down = 0; down < bounds->down; down++)
        for (int across = 0; across < bounds->across; across++) {
            const size_t at = (size_t)down * bounds->across + across;
            const float bound =
                field->sides == 2 ? hae_flip_average(bounds[0].bound[at], bounds[1].bound[at]) : bounds[0].bound[at];
            if (!(bound > tests.threshold))
                continue;
            area += look_at_nodes_of_block(finder, &tests, across, down);
            if (area > most)
                return 0;
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
    if (!bounds_are_plain(finder->field, finder->bounds)) {
        look_everywhere(finder);
    } else if (!nodes_suffice(finder)) {
        look_at_blocks(finder);
    } else if (!look_at_nodes(finder)) {
        finder->selection.count = 0;
        look_everywhere(finder);
    }
}

#endif
