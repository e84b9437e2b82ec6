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

enum { CORNERS = BLOCK + 1, CELLS = BLOCK * BLOCK, OPEN_BLOCKS = 256, TOP_DONE = 1 << 30, LINES_A_STEP = 16 };

/* The cells of a block and the next ones to the right and below; beyond the map its edge is repeated. */
typedef struct {
    float at[CORNERS][TILE_STRIDE];
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
    const HaeBlocks *blocks;
    int across, down;    /* blocks; arrays of blocks are padded to a multiple of LANES */
    int has_empty_blocks; /* the projection skips some */
    int one_grid;        /* heat and tags are on the cells of one map size, not projected from several */
    HaeScratch *scratch;
    float *heat_bound;   /* [block]; -infinity where a block has no pixels */
    float *low[MAX_LENGTH], *high[MAX_LENGTH]; /* [block]: the range of the tags, infinite where one is not finite */
    float *block_bound;   /* [block]: of the person's scores */
    float *waiting_bound; /* [block]: of the blocks in `waiting` */
    int32_t *waiting;     /* [block]: blocks to look at, with TOP_DONE where the top cell has been */
    HaeOpenBlock *opened; /* [OPEN_BLOCKS]: block b is kept at b % OPEN_BLOCKS until another one needs the place */

    HaeAhead ahead; /* the next joint's tag maps */
    int joint, values_are_plain; /* plain: the joint's heat is finite everywhere */
    const HaeBounds *bounds;     /* of the joint */
    const float *mean;           /* of the person */
    float *row;                  /* scratch: as wide as the widest map */
    float heat[RECT_WIDTH * RECT_HEIGHT], tag[MAX_LENGTH][RECT_WIDTH * RECT_HEIGHT];
} HaeSearch;

typedef struct {
    float score;
    int64_t index; /* -1: nothing found */
} HaeBest;

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
    const int count = block_count(search), direct = search->one_grid;
    for (int at = 0; direct && at < count; at += LANES) {
        const Lanes plain = lanes_load(search->bounds[0].bound + at);
        lanes_store(search->heat_bound + at,
                    field->sides == 2 ? lanes_average(plain, lanes_load(search->bounds[1].bound + at)) : plain);
    }
    for (int down = 0; !direct && down < search->down; down++)
        bound_heat_of_row(field, search->bounds, search->blocks, down, search->heat_bound + down * search->across);
    for (int block = 0; search->has_empty_blocks && block < count; block++)
        if (is_empty(rect_of_block(search, block)))
            search->heat_bound[block] = -INFINITY;
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

/* A bound of the scores of eight blocks or cells for the person's mean tag. */
static inline Lanes bound_eight(const HaeSearch *search, Lanes heat, const float *const low[MAX_LENGTH],
                                const float *const high[MAX_LENGTH], int at)
{
    Lanes squares = lanes_all(0.0f);
    for (int l = 0; l < search->field->length; l++) {
        const Lanes away = lanes_away(lanes_load(low[l] + at), lanes_load(high[l] + at), lanes_all(search->mean[l]));
        squares = lanes_add(squares, lanes_mul(away, away));
    }
    return bound_scores(heat, squares, search->field->settings->mode);
}

static inline void bound_blocks(const HaeSearch *search, int count)
{
    const float *const low[MAX_LENGTH] = {search->low[0], search->low[1]};
    const float *const high[MAX_LENGTH] = {search->high[0], search->high[1]};
    for (int at = 0; at < count; at += LANES)
        lanes_store(search->block_bound + at, bound_eight(search, lanes_load(search->heat_bound + at), low, high, at));
}

/* Rows of cells whose heat alone stays below the best score are left out. */
static inline void bound_cells(const HaeSearch *search, const HaeOpenBlock *open, float best_score,
                               float bounds[CELLS])
{
    const float *const low[MAX_LENGTH] = {open->low[0], open->low[1]};
    const float *const high[MAX_LENGTH] = {open->high[0], open->high[1]};
    for (int at = 0; at < CELLS; at += LANES) {
        const Lanes heat = lanes_load(open->heat_bound + at);
        if (!lanes_not_below(heat, lanes_all(best_score)))
            lanes_store(bounds + at, lanes_all(-INFINITY));
        else
            lanes_store(bounds + at, bound_eight(search, heat, low, high, at));
    }
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

/* What bounds the cells of a block, which are finite. With one network map the heat's bound is that of the cell's own
 * corners. Cells outside the map get one too; nobody looks at them. */
static inline void describe_cells(HaeSearch *search, int block, HaeOpenBlock *open)
{
    const HaeField *field = search->field;
    for (int row = 0; row < BLOCK; row++) {
        const int y = block / search->across * BLOCK + row;
        Lanes heat;
        if (search->one_grid) {
            heat = bound_heat_of_corners(field, open, row);
        } else {
            heat = y < search->grid->height ? bound_heat_of_cells(search, block % search->across * BLOCK, y)
                                            : lanes_all(0.0f);
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

/* ------------------------------------------------------------------ best first */

static inline int cells_have_bounds(const HaeSearch *search, int block)
{
    return search->values_are_plain && search->low[0][block] > -INFINITY
        && search->low[search->field->length - 1][block] > -INFINITY;
}

/* Looks at the most promising cell of a block; returns a bound of what the others have, -infinity if nothing is left. */
static inline float search_top_cell(HaeSearch *search, int block, HaeBest *best)
{
    float bounds[CELLS];
    if (!cells_have_bounds(search, block)) {
        search_rect(search, rect_of_block(search, block), best);
        return -INFINITY;
    }
    const HaeOpenBlock *open = open_block(search, block);
    bound_cells(search, open, best->score, bounds);
    const int first = highest_of(bounds, CELLS);
    if (bounds[first] == -INFINITY)
        return -INFINITY;
    search_cell_of_block(search, open, block, first, bounds[first], best);
    bounds[first] = -INFINITY;
    return highest_in(bounds, CELLS);
}

/* Looks at every cell of a block that may hold the best. */
static inline void search_cells(HaeSearch *search, int block, HaeBest *best)
{
    const HaeOpenBlock *open = open_block(search, block);
    float bounds[CELLS];
    bound_cells(search, open, best->score, bounds);
    for (int row = 0; row < CELLS; row += LANES)
        for (int bits = lanes_not_below(lanes_load(bounds + row), lanes_all(larger(best->score, -FLT_MAX))); bits;
             bits &= bits - 1) {
            const int cell = row + first_lane(bits);
            search_cell_of_block(search, open, block, cell, bounds[cell], best);
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

/* The pixel where a person of this mean tag is filled in; -1: there is none.
 *
 * A block is opened for its top cell at first, and waits with the bound of the others; most blocks are settled by other
 * blocks' top cells then. */
static inline int64_t search_joint(HaeSearch *search, const float *mean)
{
    const int blocks = padded(block_count(search));
    HaeBest best = {-INFINITY, -1};
    search->mean = mean;
    bound_blocks(search, blocks);
    const int first = highest_of(search->block_bound, blocks);
    if (search->block_bound[first] == -INFINITY)
        return -1;
    search->block_bound[first] = search_top_cell(search, first, &best);
    for (int count = list_blocks(search, blocks, best.score); count > 0;) {
        const int at = highest_of(search->waiting_bound, count);
        ask_ahead(&search->ahead, LINES_A_STEP);
        const float bound = search->waiting_bound[at];
        if (bound == -INFINITY || bound < best.score)
            break;
        const int item = search->waiting[at], block = item & ~TOP_DONE;
        search->waiting_bound[at] = -INFINITY;
        /* Of equal bounds the first block's is taken first: if its pixels come too late, so do all others'. */
        if (!may_hold_best(bound, rect_of_block(search, block), search->field->width, &best))
            break;
        if (item & TOP_DONE || block == first) {
            search_cells(search, block, &best);
        } else {
            search->waiting_bound[at] = search_top_cell(search, block, &best);
            search->waiting[at] = block | TOP_DONE;
        }
    }
    return best.index;
}

#endif
