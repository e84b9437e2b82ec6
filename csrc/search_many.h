/* Step 7's search (search.h) for many persons at once, where searching for each takes long: heat and tags are noise,
 * and bounds settle little.
 *
 * Every pixel is computed once and offered to the persons whose mean tag is near its tags. The tags' plane is cut into
 * bins, half a unit wide and repeated every BINS, and each person is listed in the bins within 0.51 of its mean. A
 * pixel with a distance that rounds to 0 is at most 0.5002 away in each tag, and the bins follow the order of tags:
 * it meets the person in its own bin. All other pixels have a distance of at least 1. So the best that a person was
 * offered is the best of all if its score is above that of the joint's highest heat at distance 1. Who was not offered
 * so much goes through the other search, which is told of the best so far.
 */
#ifndef HRNETAE_SEARCH_MANY_H
#define HRNETAE_SEARCH_MANY_H

#include "search.h"

enum { BINS = 128, BINS_A_PERSON = 16, FEW_PERSONS = 8, EFFORT_A_PIXEL = 1 };

/* The persons that lack a joint. */
typedef struct {
    int count;
    int32_t *person;    /* [count] */
    HaeBest *best;      /* [count]: what they were offered */
    int32_t *start;     /* [bin, one past the last]: its first place in `listed` */
    int32_t *listed;    /* [BINS_A_PERSON * count]: places in `person` */
    float *lowest;      /* [bin]: no best score of those who are listed is below this */
    const float *means; /* of all persons */
} HaeMany;

/* Counts up with the tag, from bin to bin; tags that are equal to a bin modulo BINS share it. */
static inline uint32_t bin_of(float tag)
{
    const float limit = 0x1p18f;
    uint32_t bits;
    float place = tag * 2.0f;
    place = place < limit ? place : limit;
    place = place > -limit ? place : -limit;
    place += 0x1.8p23f; /* float32 has no fractions there: the lowest bits are the rounded number */
    memcpy(&bits, &place, sizeof bits);
    return bits;
}

static inline uint32_t bin_at(uint32_t row, uint32_t column)
{
    return row % BINS * BINS + column % BINS;
}

/* The bins of a person: rows first[0]..last[0], columns first[1]..last[1]. At most four each way. */
static inline void bins_of(const HaeMany *many, int place, int length, uint32_t first[2], uint32_t last[2])
{
    const float *mean = many->means + (size_t)many->person[place] * length;
    first[1] = last[1] = 0;
    for (int l = 0; l < length; l++) {
        first[l] = bin_of(mean[l] - 0.51f);
        last[l] = bin_of(mean[l] + 0.51f);
    }
}

/* Lists the persons from `from` on in their bins: a counting sort. */
static inline void list_in_bins(HaeMany *many, int from, int length)
{
    int32_t *start = many->start;
    memset(start, 0, (BINS * BINS + 1) * sizeof(int32_t));
    for (int filling = 0; filling < 2; filling++) {
        for (int place = from; place < many->count; place++) {
            uint32_t first[2], last[2];
            bins_of(many, place, length, first, last);
            for (uint32_t row = first[0]; row <= last[0]; row++)
                for (uint32_t column = first[1]; column <= last[1]; column++) {
                    int32_t *end = &start[bin_at(row, column)];
                    if (filling)
                        many->listed[--*end] = place;
                    else
                        ++*end;
                }
        }
        for (int bin = 0; !filling && bin < BINS * BINS; bin++)
            start[bin + 1] += start[bin];
    }
}

static inline void offer_pixel(const HaeSearch *search, HaeMany *many, float heat, const float tag[MAX_LENGTH],
                               int64_t index)
{
    const int length = search->field->length;
    const uint32_t bin = bin_at(bin_of(tag[0]), length == 2 ? bin_of(tag[1]) : 0);
    float lowest = INFINITY;
    if (!(heat >= many->lowest[bin]))
        return;
    for (int i = many->start[bin]; i < many->start[bin + 1]; i++) {
        const int place = many->listed[i];
        HaeBest *best = &many->best[place];
        const float *mean = many->means + (size_t)many->person[place] * length;
        const float away = tag[0] - mean[0], other_away = tag[length - 1] - mean[length - 1];
        const float squares = length == 2 ? away * away + other_away * other_away : away * away;
        const float score = hae_refine_score(heat, squares, search->field->settings->mode);
        if (score > best->score || (score == best->score && index < best->index))
            *best = (HaeBest){score, index};
        lowest = best->score < lowest ? best->score : lowest;
    }
    many->lowest[bin] = lowest;
}

/* Offers the pixels of a rectangle that was sampled. */
static inline void offer_part(const HaeSearch *search, HaeMany *many, HaeRect part)
{
    const int length = search->field->length;
    for (int y = part.top; y < part.bottom; y++) {
        const size_t start = (size_t)(y - part.top) * RECT_WIDTH;
        const float *heat = search->heat + start;
        const float *tag = search->tag[0] + start, *other_tag = search->tag[length - 1] + start;
        for (int x = 0; x < part.right - part.left; x++)
            offer_pixel(search, many, heat[x], (float[MAX_LENGTH]){tag[x], other_tag[x]},
                        (int64_t)y * search->field->width + part.left + x);
    }
}

static inline void offer_block(HaeSearch *search, HaeMany *many, int block)
{
    const HaeRect rect = rect_of_block(search, block);
    for (int top = rect.top; top < rect.bottom; top += RECT_HEIGHT)
        for (int left = rect.left; left < rect.right; left += RECT_WIDTH) {
            const HaeRect part = part_of_rect(rect, left, top);
            sample_part(search, part);
            offer_part(search, many, part);
        }
}

/* Whether the joint's searches have looked at so much that all pixels at once are cheaper for those who are left. */
static inline int takes_long(const HaeSearch *search, int left)
{
    const int64_t pixels = (int64_t)search->field->width * search->field->height;
    return search->values_are_plain && left >= FEW_PERSONS && search->effort > EFFORT_A_PIXEL * pixels;
}

/* Fills in many->best for the persons from `from` on. */
static inline void search_many(HaeSearch *search, HaeMany *many, int from)
{
    list_in_bins(many, from, search->field->length);
    for (int place = from; place < many->count; place++)
        many->best[place] = (HaeBest){-INFINITY, -1};
    for (int bin = 0; bin < BINS * BINS; bin++)
        many->lowest[bin] = -INFINITY;
    for (int block = 0; block < block_count(search); block++)
        offer_block(search, many, block);
}

/* Whether no pixel that was not offered to a person can be as good as the best that was. */
static inline int is_settled(const HaeSearch *search, HaeBest best)
{
    const float highest = highest_in(search->heat_bound, padded(block_count(search)));
    return best.score > hae_refine_score(highest, 1.0f, search->field->settings->mode);
}

#endif
