/* Step 4: per joint the M largest peaks, and the tag vectors that stand there.
 *
 * The reference leaves the order of equal values open; here it is value descending, then y, then x.
 */
#include "top_k.h"
#include "steps.h"
#include "tag_mean.h"
#include "numbers.h"

#include <stdlib.h>

static void sift_down(HaeRanked *entries, int count, int at)
{
    const HaeRanked moving = entries[at];
    for (;;) {
        int child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && hae_ranks_before(entries[child], entries[child + 1]))
            child++;
        if (hae_ranks_before(entries[child], moving))
            break;
        entries[at] = entries[child];
        at = child;
    }
    entries[at] = moving;
}

void hae_select(HaeSelection *selection, HaeRanked candidate)
{
    HaeRanked *entries = selection->entries;
    if (selection->count == selection->capacity) {
        if (hae_ranks_before(candidate, entries[0])) {
            entries[0] = candidate;
            sift_down(entries, selection->count, 0);
        }
        return;
    }
    int at = selection->count++;
    while (at > 0 && hae_ranks_before(entries[(at - 1) / 2], candidate)) {
        entries[at] = entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    entries[at] = candidate;
}

void hae_select_sort(HaeSelection *selection)
{
    HaeRanked *entries = selection->entries;
    for (int count = selection->count - 1; count > 0; count--) {
        const HaeRanked worst = entries[0];
        entries[0] = entries[count];
        entries[count] = worst;
        sift_down(entries, count, 0);
    }
}

int hae_candidates_make(HaeCandidates *candidates, int joints, int count, int length)
{
    const size_t places = (size_t)joints * count;
    candidates->joints = joints;
    candidates->count = count;
    candidates->length = length;
    candidates->value = malloc(places * (sizeof(float) + 2 * sizeof(int32_t) + (size_t)length * sizeof(float)) + 1);
    if (!candidates->value)
        return -1;
    candidates->x = (int32_t *)(candidates->value + places);
    candidates->y = candidates->x + places;
    candidates->tag = (float *)(candidates->y + places);
    return 0;
}

void hae_candidates_free(HaeCandidates *candidates)
{
    free(candidates->value);
    candidates->value = NULL;
}

static void look_up_tags(const HaeTags *tags, int joint, int x, int y, float *tag)
{
    const float *at = tags->data + joint * tags->joint + y * tags->row + x * tags->column;
    for (int l = 0; l < tags->length; l++)
        tag[l] = at[l * tags->value];
}

/* The mean over the finite tags of a window's pixels inside the map; float32 sums, row by row. */
static void average_tag(const HaeTags *tags, int joint, int x, int y, int height, int width, int reach, float *tag)
{
    HaeTagMean mean = {0};
    for (int v = y - reach < 0 ? 0 : y - reach; v <= y + reach && v < height; v++)
        for (int u = x - reach < 0 ? 0 : x - reach; u <= x + reach && u < width; u++) {
            look_up_tags(tags, joint, u, v, tag);
            hae_tag_mean_add(&mean, tag, tags->length);
        }
    hae_tag_mean_take(&mean, tag, tags->length);
}

void hae_average_tags(const HaeTags *tags, int height, int width, int window, HaeCandidates *candidates)
{
    for (int joint = 0; joint < candidates->joints; joint++)
        for (int place = 0; place < candidates->count; place++) {
            const size_t at = (size_t)joint * candidates->count + place;
            average_tag(tags, joint, candidates->x[at], candidates->y[at], height, width, window / 2,
                        candidates->tag + at * candidates->length);
        }
}

/* peaks: joints x height x width, after the NMS. candidates->count is at most height * width; every place of it
 * is filled, after the last peak with pixels of value 0 (the NMS leaves those). In maps that have not been through the
 * NMS a pixel that is not finite counts as below everything. */
int hae_top_k(const float *peaks, int height, int width, const HaeTags *tags, HaeCandidates *candidates)
{
    const size_t size = (size_t)height * width;
    HaeSelection selection = {malloc((size_t)candidates->count * sizeof(HaeRanked) + 1), 0, candidates->count};
    if (!selection.entries)
        return -1;
    for (int joint = 0; joint < candidates->joints; joint++, peaks += size) {
        selection.count = 0;
        for (size_t i = 0; i < size; i++) {
            const HaeRanked candidate = {hae_finite_or_lowest(peaks[i]), 0, 0, (int64_t)i};
            if (selection.count < selection.capacity || candidate.value > selection.entries[0].value)
                hae_select(&selection, candidate);
        }
        hae_select_sort(&selection);
        for (int place = 0; place < candidates->count; place++) {
            const size_t at = (size_t)joint * candidates->count + place;
            candidates->value[at] = selection.entries[place].value;
            candidates->x[at] = (int32_t)(selection.entries[place].index % width);
            candidates->y[at] = (int32_t)(selection.entries[place].index / width);
            look_up_tags(tags, joint, candidates->x[at], candidates->y[at], candidates->tag + at * candidates->length);
        }
    }
    free(selection.entries);
    return 0;
}
