/* What step 7's search (search.h) knows of a joint's blocks: bounds of the heat, ranges of the tags, bounds of
 * scores; and the exact scores of pixels.
 */
#ifndef HRNETAE_SEARCH_BLOCKS_H
#define HRNETAE_SEARCH_BLOCKS_H

#include "cell_heat.h"
#include "peaks.h"
#include "refine.h"

enum { MAX_LENGTH = 2 };

enum { CORNERS = BLOCK + 1, CELLS = BLOCK * BLOCK, OPEN_BLOCKS = 256, LINES_A_STEP = 16 };
enum { EFFORT_A_BLOCK = 64, EFFORT_A_CELL = 16 }; /* beside its pixels */

/* The cells of a block and the next ones to the right and below; beyond the map its edge is repeated. */
typedef struct {
    float at[CORNERS][TILE_STRIDE];
} HaeCorners;

/* An opened block: its maps' corners, and for each of its cells what bounds the score of the cell's pixels. */
typedef struct {
    int joint, block; /* whose it is */
    int left, top;    /* its first cell */
    HaeCorners heat[2], tag[MAX_LENGTH]; /* sides */
    float heat_bound[CELLS], low[MAX_LENGTH][CELLS], high[MAX_LENGTH][CELLS];
    float turned_low[2][CELLS], turned_high[2][CELLS]; /* with flip: of the sum of the two tags, and their difference */
} HaeOpenBlock;

/* The search for one joint. Persons that lack it come one after the other and share what is known of its blocks. */
typedef struct {
    const HaeField *field;
    const HaeGrid *grid; /* of the tag map */
    const HaeBlocks *blocks;
    int across, down;    /* blocks; arrays of blocks are padded to a multiple of LANES */
    int has_empty_blocks; /* the projection skips some */
    int one_grid;        /* heat and tags are on the cells of one map size, not projected from several */
    HaeCellHeat cell_heat; /* where they are projected from several */
    float *cells; /* scratch: the widest map's width + 16 */
    float *heat_bound;   /* [block]; -infinity where a block has no pixels */
    float *low[MAX_LENGTH], *high[MAX_LENGTH]; /* [block]: the range of the tags, infinite where one is not finite */
    float *block_bound;   /* [block]: of the person's scores */
    float *waiting_bound; /* [block]: of the blocks in `waiting` */
    int32_t *waiting;     /* [block]: blocks to open */
    float *opened_rest;   /* [block]: what the opened blocks have left, in the order of opening */
    float *opened_bounds; /* [block][CELLS]: of their cells */
    int32_t *opened_block;
    int opened_count;
    int64_t effort; /* for all persons that lacked the joint so far: about as many nanoseconds */
    HaeOpenBlock *opened; /* [OPEN_BLOCKS]: block b is kept at b % OPEN_BLOCKS until another one needs the place */

    HaeAhead ahead; /* the next joint's tag maps */
    int joint, values_are_plain; /* plain: the joint's heat is finite everywhere */
    const HaeBounds *bounds;     /* of the joint */
    const float *mean;           /* of the person */
    float turned_low[2], turned_high[2]; /* with flip: the mean's sum and difference lie in these ranges */
    float heat[RECT_WIDTH * RECT_HEIGHT], tag[MAX_LENGTH][RECT_WIDTH * RECT_HEIGHT]; /* scratch: of patches */
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
            find_range(source, search->cells, across, down, &low[at], &high[at]);
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
    search->effort = 0;
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

/* Bounds of scores, from bounds of the heat and the least sums of squared tag differences. At least -FLT_MAX, also
 * where the distance overflows; -infinity stays with blocks that have no pixels. */
static inline Lanes bound_scores(Lanes heat, Lanes squares, int mode)
{
    const Lanes lowest = lanes_all(-FLT_MAX), highest = lanes_all(FLT_MAX);
    const Lanes bound = lanes_max(lowest, lanes_score(lanes_min(heat, highest), squares, mode));
    return lanes_replace(bound, -FLT_MAX, lanes_min(heat, lowest));
}

/* How far a number in least..most is from a range, at least; 0 where that is NaN. */
static inline Lanes lanes_away(Lanes low, Lanes high, float least, float most)
{
    const Lanes away = lanes_max(lanes_sub(low, lanes_all(most)), lanes_sub(lanes_all(least), high));
    return lanes_max(away, lanes_all(0.0f));
}

/* The least sum of squared tag differences in the ranges of eight blocks or cells. */
static inline Lanes squares_away(const HaeSearch *search, const float *const low[MAX_LENGTH],
                                 const float *const high[MAX_LENGTH], int at)
{
    Lanes squares = lanes_all(0.0f);
    for (int l = 0; l < search->field->length; l++) {
        const float mean = search->mean[l];
        const Lanes away = lanes_away(lanes_load(low[l] + at), lanes_load(high[l] + at), mean, mean);
        squares = lanes_add(squares, lanes_mul(away, away));
    }
    return squares;
}

static inline void bound_blocks(const HaeSearch *search, int count)
{
    const float *const low[MAX_LENGTH] = {search->low[0], search->low[1]};
    const float *const high[MAX_LENGTH] = {search->high[0], search->high[1]};
    const int mode = search->field->settings->mode;
    for (int at = 0; at < count; at += LANES) {
        const Lanes squares = squares_away(search, low, high, at);
        lanes_store(search->block_bound + at, bound_scores(lanes_load(search->heat_bound + at), squares, mode));
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

/* The exact scores of the pixels left + [lanes of bits] of row y, from their heat and tags. A heat or tag that is not
 * finite makes the score NaN, which never wins. */
static inline void take_eight(const HaeSearch *search, Lanes heat, const Lanes tags[MAX_LENGTH], int y, int left,
                              int bits, HaeBest *best)
{
    const HaeField *field = search->field;
    Lanes squares = lanes_all(0.0f), finite = lanes_unless_finite(heat);
    for (int l = 0; l < field->length; l++) {
        const Lanes difference = lanes_sub(tags[l], lanes_all(search->mean[l]));
        squares = lanes_add(squares, lanes_mul(difference, difference));
        finite = lanes_add(finite, lanes_unless_finite(tags[l]));
    }
    const Lanes score = lanes_add(lanes_score(heat, squares, field->settings->mode), finite);
    bits &= lanes_not_below(score, lanes_all(best->score));
    if (bits)
        take_lanes(search, score, bits, y, left, best);
}

/* What of a rectangle from (left, top) on is sampled at once. */
static inline HaeRect part_of_rect(HaeRect rect, int left, int top)
{
    return (HaeRect){left, top, left + RECT_WIDTH < rect.right ? left + RECT_WIDTH : rect.right,
                     top + RECT_HEIGHT < rect.bottom ? top + RECT_HEIGHT : rect.bottom};
}

/* Fills search->heat and search->tag. */
static inline void sample_part(HaeSearch *search, HaeRect part)
{
    const HaeField *field = search->field;
    Lanes column[RECT_HEIGHT];
    sample_heat(field, search->joint, part, search->heat);
    for (int l = 0; l < field->length; l++) {
        const HaeSource source = tag_source(field, l, search->joint);
        for (int left = part.left; left < part.right; left += LANES) {
            sample_strip(&source, left, part.top, part.bottom, 0, column);
            for (int row = 0; row < part.bottom - part.top; row++)
                lanes_store(search->tag[l] + row * RECT_WIDTH + left - part.left, column[row]);
        }
    }
}

/* Every pixel of a rectangle. */
static inline void search_rect(HaeSearch *search, HaeRect rect, HaeBest *best)
{
    const HaeField *field = search->field;
    Lanes heat[RECT_HEIGHT], tag[RECT_HEIGHT], tags[RECT_HEIGHT][MAX_LENGTH];
    for (int top = rect.top; top < rect.bottom; top += RECT_HEIGHT) {
        const int bottom = top + RECT_HEIGHT < rect.bottom ? top + RECT_HEIGHT : rect.bottom;
        for (int left = rect.left; left < rect.right; left += LANES) {
            sample_heat_strip(field, search->joint, left, top, bottom, heat);
            for (int l = 0; l < field->length; l++) {
                const HaeSource source = tag_source(field, l, search->joint);
                sample_strip(&source, left, top, bottom, 0, tag);
                for (int row = 0; row < bottom - top; row++)
                    tags[row][l] = tag[row];
            }
            for (int y = top; y < bottom; y++)
                take_eight(search, heat[y - top], tags[y - top], y, left, bits_of(rect.right - left), best);
        }
    }
}

#endif
