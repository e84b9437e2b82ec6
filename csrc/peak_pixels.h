/* Steps 3 and 4, the exact part: the pixels of a rectangle are computed and compared with their whole window; of the
 * peaks above the threshold the M best are kept. Which rectangles, peaks.h decides.
 */
#ifndef HRNETAE_PEAK_PIXELS_H
#define HRNETAE_PEAK_PIXELS_H

#include "adjust.h"
#include "ahead.h"
#include "slopes.h"
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
    const HaeBlocks *blocks; /* of the finest map */
    HaeSlopes slopes;        /* where there are several maps, or one that is enlarged less than twofold */
    HaeSelection selection;
    int repeats;    /* a pixel may be looked at more than once */
    HaeAhead ahead; /* the next joint's heatmaps */
    float heat[RECT_WIDTH * RECT_HEIGHT];
} HaePeakFinder;

enum {
    MAX_REACH = 8,
    LINES_A_BLOCK = BLOCK * BLOCK * sizeof(uint16_t) / 64, /* of float16 */
};

static inline HaeRanked ranked(const HaePeakFinder *finder, float value, int x, int y)
{
    return (HaeRanked){value, 0, 0, (int64_t)y * finder->field->width + x};
}

/* Whether a pixel would be kept if it were a peak. */
static inline int is_wanted(const HaePeakFinder *finder, HaeRanked candidate)
{
    const HaeSelection *selection = &finder->selection;
    return selection->count < selection->capacity || hae_ranks_before(candidate, selection->entries[0]);
}

/* A place may be looked at twice, where nodes are; a peak is kept once. */
static inline void keep_peak(HaePeakFinder *finder, HaeRanked candidate)
{
    HaeSelection *selection = &finder->selection;
    for (int i = 0; finder->repeats && i < selection->count; i++)
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

/* Of eight pixels those that are above the threshold and no lower than the pixels next to them. */
static inline int promising(const HaePeakFinder *finder, const float *at)
{
    const Lanes values = lanes_load(at);
    const Lanes beside = lanes_max(lanes_load(at - 1), lanes_load(at + 1));
    const Lanes around = lanes_max(beside, lanes_max(lanes_load(at - RECT_WIDTH), lanes_load(at + RECT_WIDTH)));
    return lanes_above(values, lanes_all(finder->threshold)) & lanes_not_below(values, around);
}

/* What step 6 will ask for, while the neighbours are at hand. */
static inline void note_rise(HaeRanked *candidate, const float *heat, HaeRect seen, const HaeField *field, int x,
                               int y)
{
    const HaePatch patch = {heat, seen.left, seen.top, RECT_WIDTH, field->width, field->height};
    const HaeRise rise = hae_rise_at(&patch, x, y);
    candidate->across = (int8_t)rise.across;
    candidate->down = (int8_t)rise.down;
}

static inline void look_at_pixel(HaePeakFinder *finder, HaeRect seen, int x, int y)
{
    const HaeField *field = finder->field;
    const int reach = finder->reach;
    const float *at = finder->heat + (y - seen.top) * RECT_WIDTH + (x - seen.left);
    HaeRanked candidate = ranked(finder, *at, x, y);
    if (!(*at > finder->threshold) || !is_wanted(finder, candidate))
        return;
    const HaeRect around = clip_rect(field, (HaeRect){x - reach, y - reach, x + reach + 1, y + reach + 1});
    if (!is_window_maximum(at, (HaeRect){around.left - x, around.top - y, around.right - x, around.bottom - y}))
        return;
    note_rise(&candidate, finder->heat, seen, field, x, y);
    keep_peak(finder, candidate);
}

/* Looks at every pixel of a rectangle of at most RECT_WIDTH - 16 x RECT_HEIGHT - 16 pixels. */
static inline void look_at(HaePeakFinder *finder, HaeRect rect)
{
    const int reach = finder->reach > 1 ? finder->reach : 1; /* a pixel's slopes need its neighbours in any case */
    const HaeRect seen = clip_rect(
        finder->field, (HaeRect){rect.left - reach, rect.top - reach, rect.right + reach, rect.bottom + reach});
    /* Where every pixel has its neighbours in sight, eight are judged at once. */
    const int has_margin = finder->reach > 0 && seen.left < rect.left && seen.top < rect.top
                        && seen.right > rect.right && seen.bottom > rect.bottom;
    sample_heat(finder->field, finder->joint, seen, finder->heat);
    for (int y = rect.top; y < rect.bottom; y++) {
        const float *row = finder->heat + (y - seen.top) * RECT_WIDTH - seen.left;
        for (int left = rect.left; left < rect.right; left += LANES) {
            int bits = bits_of(rect.right - left);
            if (has_margin)
                bits &= promising(finder, row + left);
            for (; bits; bits &= bits - 1)
                look_at_pixel(finder, seen, left + first_lane(bits), y);
        }
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

static inline void look_everywhere(HaePeakFinder *finder)
{
    look_at_any(finder, (HaeRect){0, 0, finder->field->width, finder->field->height});
}

#endif
