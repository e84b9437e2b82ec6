/* Step 7 without image-sized maps: the first maximum of heat - rint(|tag - mean|), by best-first branch and bound.
 *
 * The projected map is cut into the pixels of 8 x 8 cells of the tag map. A block's score is at most that of its heat
 * bound (bounds.h) at its smallest tag distance, which is that of the mean from the range of the tags in its cells: an
 * interpolated tag lies in this range but for rounding, by which the range is widened, and all operations of the score
 * are monotone. The same holds for a single cell with its four corners. The block of the highest bound is opened first;
 * of its cells those whose bound is not below the best score are looked at, every pixel with the exact formula. Nothing
 * that is left can win as soon as its bound is below the best score, or equal to it where all its pixels come later in
 * row-major order. The range of a block's tags is found when its heat alone does not rule it out.
 */
#ifndef HRNETAE_SEARCH_H
#define HRNETAE_SEARCH_H

#include "peaks.h"
#include "refine.h"

enum { MAX_LENGTH = 2 };

enum { CORNERS = BLOCK + 1, CELLS = BLOCK * BLOCK, OPEN_BLOCKS = 256 };

/* The cells of a block and the next ones to the right and below; beyond the map its edge is repeated. */
typedef struct {
    float at[CORNERS][BLOCK + LANES];
} HaeCorners;

/* An opened block: its maps' corners, and for each of its cells what bounds the score of the cell's pixels. */
typedef struct {
    int joint, block; /* whose it is */
    HaeCorners heat[2], tag[MAX_LENGTH]; /* sides */
    float heat_bound[CELLS], low[MAX_LENGTH][CELLS], high[MAX_LENGTH][CELLS];
} HaeOpenBlock;

/* The search for one joint. Persons that lack it come one after the other and share what is known of its blocks. */
typedef struct {
    const HaeField *field;
    const HaeGrid *grid; /* of the tag map */
    int across, down;    /* blocks; arrays of blocks are padded to a multiple of LANES */
    int has_empty_blocks; /* the projection skips some */
    int one_grid;        /* heat and tags are on the cells of one map size, not projected from several */
    HaeScratch *scratch;
    float *heat_bound;   /* [block]; -infinity where a block has no pixels */
    float *low[MAX_LENGTH], *high[MAX_LENGTH]; /* [block]: the range of the tags, infinite where one is not finite */
    float *score_bound;  /* [block] */
    HaeOpenBlock *opened; /* [OPEN_BLOCKS]: block b is kept at b % OPEN_BLOCKS until another one needs the place */

    int joint, values_are_plain; /* plain: the joint's heat is finite everywhere */
    const HaeBounds *bounds;     /* of the joint */
    const float *mean;           /* of the person */
    float heat[RECT_WIDTH * RECT_HEIGHT], tag[MAX_LENGTH][RECT_WIDTH * RECT_HEIGHT];
} HaeSearch;

typedef struct {
    float score;
    int64_t index; /* -1: nothing found */
} HaeBest;

static inline int is_empty(HaeRect rect)
{
    return rect.left >= rect.right || rect.top >= rect.bottom;
}

/* The range of one side's tags over the cells of a block and those next to it. */
static inline void find_range(const HaeSource *source, float *cells, int across, int down, float *low, float *high)
{
    const HaeGrid *grid = source->grid;
    const int left = across * BLOCK, top = down * BLOCK;
    const int right = left + BLOCK < grid->width ? left + BLOCK : grid->width - 1;
    const int bottom = top + BLOCK < grid->height ? top + BLOCK : grid->height - 1;
    float least = INFINITY, most = -INFINITY, finite = 0.0f;
    for (int y = top; y <= bottom; y++) {
        load_cells(source, y, left, right - left + 1, cells);
        for (int x = 0; x <= right - left; x++) {
            const float tag = cells[x];
            least = tag < least ? tag : least;
            most = tag > most ? tag : most;
            finite += tag - tag; /* 0, or NaN where the tag is not finite */
        }
    }
    set_range(least, most, finite == 0.0f, low, high);
}

static inline void find_ranges(const HaeSource *source, const HaeSearch *search, float *low, float *high)
{
#ifdef __AVX2__
    if (chunks_fit(source->maps)) {
        find_ranges_avx2(source, search->across, low, high);
        return;
    }
#endif
    for (int down = 0; down < search->down; down++)
        for (int across = 0; across < search->across; across++) {
            const int at = down * search->across + across;
            find_range(source, search->scratch->cells, across, down, &low[at], &high[at]);
        }
}

static inline int block_count(const HaeSearch *search)
{
    return search->across * search->down;
}

static inline HaeRect rect_of_block(const HaeSearch *search, int block)
{
    return block_rect(search->grid, block % search->across, block / search->across);
}

static inline void bound_heat(HaeSearch *search)
{
    const HaeField *field = search->field;
    const int count = block_count(search), direct = search->one_grid && !search->has_empty_blocks;
    for (int at = 0; direct && at < count; at += LANES) {
        const Lanes plain = lanes_load(search->bounds[0].bound + at);
        lanes_store(search->heat_bound + at,
                    field->sides == 2 ? lanes_average(plain, lanes_load(search->bounds[1].bound + at)) : plain);
    }
    for (int block = 0; !direct && block < count; block++) {
        const HaeRect rect = rect_of_block(search, block);
        search->heat_bound[block] = is_empty(rect) ? -INFINITY : heat_bound(field, search->bounds, rect);
    }
    for (int at = count; at < padded(count); at++)
        search->heat_bound[at] = -INFINITY;
}

/* Turns to another joint. */
static inline void begin_joint(HaeSearch *search, int joint, const HaeBounds *bounds)
{
    const HaeField *field = search->field;
    search->joint = joint;
    search->bounds = bounds;
    search->values_are_plain = bounds_are_plain(field, bounds);
    bound_heat(search);
    for (int side = 0; side < field->length; side++) {
        const HaeSource source = tag_source(field, side, joint);
        find_ranges(&source, search, search->low[side], search->high[side]);
    }
}

/* hae_refine_score of eight pixels. */
static inline Lanes lanes_score(Lanes heat, Lanes squares, int mode)
{
    const Lanes distance = lanes_rint_positive(lanes_sqrt(squares));
    if (mode == HAE_MMPOSE1)
        return lanes_sub(lanes_all(0.0f), lanes_sub(lanes_mul(distance, lanes_all(100.0f)), heat));
    return lanes_sub(heat, distance);
}

/* Bounds of scores, from bounds of the heat and the least sums of squared tag differences. At least -FLT_MAX, also where
 * the distance overflows; -infinity stays with blocks that have no pixels. */
static inline Lanes bound_scores(Lanes heat, Lanes squares, int mode)
{
    const Lanes lowest = lanes_all(-FLT_MAX), highest = lanes_all(FLT_MAX);
    const Lanes bound = lanes_max(lowest, lanes_score(lanes_min(heat, highest), squares, mode));
    return lanes_replace(bound, -FLT_MAX, lanes_min(heat, lowest));
}

/* How far a mean tag is from a range, at least. */
static inline Lanes lanes_away(Lanes low, Lanes high, Lanes mean)
{
    return lanes_max(lanes_max(lanes_sub(low, mean), lanes_sub(mean, high)), lanes_all(0.0f));
}

/* Bounds of the scores of `count` blocks or cells for the person's mean tag. */
static inline void bound_all(const HaeSearch *search, const float *heat, float *const low[MAX_LENGTH],
                             float *const high[MAX_LENGTH], int count, float *bounds)
{
    const int mode = search->field->settings->mode, length = search->field->length;
    for (int at = 0; at < count; at += LANES) {
        Lanes squares = lanes_all(0.0f);
        for (int l = 0; l < length; l++) {
            const Lanes away = lanes_away(lanes_load(low[l] + at), lanes_load(high[l] + at), lanes_all(search->mean[l]));
            squares = lanes_add(squares, lanes_mul(away, away));
        }
        lanes_store(bounds + at, bound_scores(lanes_load(heat + at), squares, mode));
    }
}

static inline int bits_of(int count)
{
    return count < LANES ? (1 << count) - 1 : (1 << LANES) - 1;
}

/* The best of the pixels left + [lanes of bits] of row y. */
static inline void take_lanes(const HaeSearch *search, Lanes scores, int bits, int y, int left, HaeBest *best)
{
    float score[LANES];
    lanes_store(score, scores);
    for (; bits; bits &= bits - 1) {
        const int lane = first_lane(bits);
        const int64_t index = (int64_t)y * search->field->width + left + lane;
        if (score[lane] > best->score || (score[lane] == best->score && (best->index < 0 || index < best->index)))
            *best = (HaeBest){score[lane], index};
    }
}

/* The exact scores of a row of pixels, from their heat and tags. A heat or tag that is not finite makes the score NaN,
 * which never wins. */
static inline void take_row(const HaeSearch *search, const float *heat, const float *const tags[MAX_LENGTH], int y,
                            int left, int count, HaeBest *best)
{
    const HaeField *field = search->field;
    for (int x = 0; x < count; x += LANES) {
        Lanes squares = lanes_all(0.0f), finite = lanes_unless_finite(lanes_load(heat + x));
        for (int l = 0; l < field->length; l++) {
            const Lanes tag = lanes_load(tags[l] + x), difference = lanes_sub(tag, lanes_all(search->mean[l]));
            squares = lanes_add(squares, lanes_mul(difference, difference));
            finite = lanes_add(finite, lanes_unless_finite(tag));
        }
        const Lanes score = lanes_add(lanes_score(lanes_load(heat + x), squares, field->settings->mode), finite);
        const int bits = lanes_not_below(score, lanes_all(best->score)) & bits_of(count - x);
        if (bits)
            take_lanes(search, score, bits, y, left + x, best);
    }
}

/* Every pixel of a rectangle. */
static inline void search_rect(HaeSearch *search, HaeRect rect, HaeBest *best)
{
    const HaeField *field = search->field;
    for (int top = rect.top; top < rect.bottom; top += RECT_HEIGHT)
        for (int left = rect.left; left < rect.right; left += RECT_WIDTH) {
            const HaeRect part = {left, top, left + RECT_WIDTH < rect.right ? left + RECT_WIDTH : rect.right,
                                  top + RECT_HEIGHT < rect.bottom ? top + RECT_HEIGHT : rect.bottom};
            sample_heat(field, search->joint, part, search->scratch, search->heat);
            for (int side = 0; side < field->length; side++) {
                const HaeSource source = tag_source(field, side, search->joint);
                sample_map(&source, part, search->scratch->cells, search->tag[side]);
            }
            for (int y = part.top; y < part.bottom; y++) {
                const size_t start = (size_t)(y - part.top) * RECT_WIDTH;
                const float *tags[MAX_LENGTH] = {search->tag[0] + start, search->tag[1] + start};
                take_row(search, search->heat + start, tags, y, part.left, part.right - part.left, best);
            }
        }
}

/* ------------------------------------------------------------------ cell by cell */

static inline void load_corners(const HaeSource *source, int across, int down, HaeCorners *corners)
{
    const HaeGrid *grid = source->grid;
    const int left = across * BLOCK, top = down * BLOCK;
    const int count = left + CORNERS < grid->width ? CORNERS : grid->width - left;
    for (int row = 0; row < CORNERS; row++) {
        const int y = top + row < grid->height ? top + row : grid->height - 1;
        load_cells(source, y, left, count, corners->at[row]);
        for (int x = count; x < CORNERS; x++)
            corners->at[row][x] = corners->at[row][count - 1];
    }
}

static inline Lanes lanes_bound_of(Lanes largest)
{
    const Lanes raised = lanes_add(lanes_add(largest, lanes_mul(largest, lanes_all(0x1p-21f))), lanes_all(0x1p-120f));
    return lanes_replace(lanes_max(raised, lanes_all(0.0f)), 0x1p-120f, lanes_all(0.0f));
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

/* What bounds the cells of a block, which are finite. With one network map the heat's bound is that of the cell's own
 * corners. */
static inline void bound_cells(const HaeSearch *search, int block, HaeOpenBlock *open)
{
    const HaeField *field = search->field;
    for (int row = 0; row < BLOCK; row++) {
        Lanes heat = lanes_all(search->heat_bound[block]);
        if (search->one_grid) {
            heat = lanes_bound_of(largest_corners(&open->heat[0], row));
            if (field->sides == 2)
                heat = lanes_average(heat, lanes_bound_of(largest_corners(&open->heat[1], row)));
        }
        lanes_store(open->heat_bound + row * BLOCK, heat);
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
    Lanes highest = lanes_load(bounds);
    for (int i = LANES; i < count; i += LANES)
        highest = lanes_max(lanes_load(bounds + i), highest);
    const Lanes all = lanes_all(lanes_largest(highest));
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
        load_corners(&tag, across, down, &open->tag[side]);
        if (search->one_grid) {
            const HaeSource heat = heat_source(field, 0, side, search->joint);
            load_corners(&heat, across, down, &open->heat[side]);
        }
    }
    bound_cells(search, block, open);
    open->joint = search->joint;
    open->block = block;
    return open;
}

/* The most promising cell first; it settles most of the others. */
static inline void search_cells(HaeSearch *search, int block, HaeBest *best)
{
    const HaeOpenBlock *open = open_block(search, block);
    float *low[MAX_LENGTH] = {(float *)open->low[0], (float *)open->low[1]};
    float *high[MAX_LENGTH] = {(float *)open->high[0], (float *)open->high[1]};
    float bounds[CELLS];
    bound_all(search, open->heat_bound, low, high, CELLS, bounds);
    const int first = highest_of(bounds, CELLS);
    search_cell_of_block(search, open, block, first, bounds[first], best);
    bounds[first] = -INFINITY;
    for (int row = 0; row < CELLS; row += LANES)
        for (int bits = lanes_not_below(lanes_load(bounds + row), lanes_all(best->score)); bits; bits &= bits - 1) {
            const int cell = row + first_lane(bits);
            search_cell_of_block(search, open, block, cell, bounds[cell], best);
        }
}

/* ------------------------------------------------------------------ block by block */

static inline void search_block(HaeSearch *search, int block, HaeBest *best)
{
    const int last = search->field->length - 1;
    const HaeRect rect = rect_of_block(search, block);
    if (!may_hold_best(search->score_bound[block], rect, search->field->width, best))
        return;
    if (search->values_are_plain && search->low[0][block] > -INFINITY && search->low[last][block] > -INFINITY)
        search_cells(search, block, best);
    else
        search_rect(search, rect, best);
}

/* The pixel where a person of this mean tag is filled in; -1: there is none. */
static inline int64_t search_joint(HaeSearch *search, const float *mean)
{
    const int count = padded(block_count(search));
    HaeBest best = {-INFINITY, -1};
    search->mean = mean;
    bound_all(search, search->heat_bound, search->low, search->high, count, search->score_bound);
    for (;;) {
        const int block = highest_of(search->score_bound, count);
        if (search->score_bound[block] == -INFINITY || search->score_bound[block] < best.score)
            return best.index;
        search_block(search, block, &best);
        search->score_bound[block] = -INFINITY; /* done */
    }
}

#endif
