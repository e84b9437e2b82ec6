/* Beyond the reference: of persons that are much alike only the best scored stays. */
#include "similarity.h"

#include <stdlib.h>

/* By falling score; equal ones keep their order. */
static void order_by_score(const float *scores, int count, int *order)
{
    for (int i = 0; i < count; i++) {
        int at = i;
        for (; at > 0 && scores[order[at - 1]] < scores[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

static void mark_kept(const HaePersons *persons, const double *sigmas, double most, const int *order,
                      unsigned char *kept)
{
    for (int i = 0; i < persons->count; i++) {
        const int person = order[i];
        kept[person] = 1;
        for (int j = 0; j < i && kept[person]; j++)
            if (kept[order[j]]) {
                const HaeBox box = hae_box_of(persons, order[j], NULL);
                const double area = hae_box_width(box) * hae_box_height(box);
                kept[person] = hae_similarity(persons, order[j], person, area, sigmas) <= most;
            }
    }
}

static void keep_marked(HaePoses *poses, const unsigned char *kept)
{
    HaePersons *persons = &poses->persons;
    const size_t floats = (size_t)persons->joints * (3 + persons->length);
    int count = 0;
    for (int person = 0; person < persons->count; person++) {
        if (!kept[person])
            continue;
        memmove(persons->rows + count * floats, persons->rows + person * floats, floats * sizeof(float));
        poses->scores[count] = poses->scores[person];
        if (poses->features)
            memmove(poses->features + (size_t)count * HAE_FEATURES, poses->features + (size_t)person * HAE_FEATURES,
                    HAE_FEATURES * sizeof(double));
        count++;
    }
    persons->count = count;
}

int hae_suppress(const HaeOutputs *outputs, const HaeSettings *settings, HaePoses *poses)
{
    const HaePersons *persons = &poses->persons;
    int *order = malloc((size_t)persons->count * (sizeof(int) + 1) + 1);
    if (!order)
        return -1;
    unsigned char *kept = (unsigned char *)(order + persons->count);
    order_by_score(poses->scores, persons->count, order);
    mark_kept(persons, outputs->sigmas, settings->suppress_oks, order, kept);
    keep_marked(poses, kept);
    free(order);
    return 0;
}
