/* The bounded selection behind top-k: the `capacity` best of a stream of candidates.
 *
 * Best is: larger value, then smaller pixel index (row by row). A heap with the worst kept candidate on top.
 */
#ifndef HRNETAE_TOP_K_H
#define HRNETAE_TOP_K_H

#include <stdint.h>

typedef struct {
    float value;
    int8_t across, down; /* which way the heat rises, where it is noted (peak_pixels.h) */
    int64_t index;
} HaeRanked;

typedef struct {
    HaeRanked *entries;
    int count, capacity;
} HaeSelection;

static inline int hae_ranks_before(HaeRanked a, HaeRanked b)
{
    return a.value > b.value || (a.value == b.value && a.index < b.index);
}

void hae_select(HaeSelection *selection, HaeRanked candidate);
/* Best first. */
void hae_select_sort(HaeSelection *selection);

#endif
