/* What the decoder knows of a person, for a score that is learnt from it. Beyond the reference.
 *
 * The order of the features is that of FEATURES in hrnetae/rescoring.py. All are finite.
 */
#include "similarity.h"

#include <stdlib.h>

enum { FLOOR_PIXELS = 4 }; /* added to the extent of found joints, which may be one alone */

static double bounded(double value, double most)
{
    return value < most ? (value > -most ? value : -most) : value >= most ? most : 0.0; /* NaN: 0 */
}

typedef struct {
    int found, filled;
    double sum, filled_sum, highest, lowest;
    double tag[2];
} Counts;

static Counts count_joints(const HaePersons *persons, int person, const unsigned char *found)
{
    Counts counts = {.lowest = INFINITY};
    const float *row = persons->rows + (size_t)person * persons->joints * (3 + persons->length);
    for (int joint = 0; joint < persons->joints; joint++, row += 3 + persons->length) {
        const double value = bounded(row[2], 1e6);
        if (found[joint]) {
            counts.found++;
            counts.sum += value;
            counts.highest = value > counts.highest ? value : counts.highest;
            counts.lowest = value < counts.lowest ? value : counts.lowest;
            for (int l = 0; l < 2; l++)
                counts.tag[l] += bounded(row[2 + (l < persons->length ? l + 1 : persons->length)], 1e6);
        } else if (value > 0.0) {
            counts.filled++;
            counts.filled_sum += value;
        }
    }
    for (int l = 0; l < 2 && counts.found; l++)
        counts.tag[l] /= counts.found;
    if (!counts.found)
        counts.lowest = 0.0;
    return counts;
}

/* Root of the mean squared distance of the found joints' tags from their mean. */
static double tag_spread(const HaePersons *persons, int person, const unsigned char *found, const Counts *counts)
{
    const float *row = persons->rows + (size_t)person * persons->joints * (3 + persons->length);
    double squares = 0.0;
    for (int joint = 0; joint < persons->joints; joint++, row += 3 + persons->length)
        for (int l = 0; l < persons->length && found[joint]; l++) {
            const double difference = bounded(row[3 + l], 1e6) - counts->tag[l];
            squares += difference * difference;
        }
    return counts->found ? sqrt(squares / counts->found) : 0.0;
}

typedef struct {
    double overlap, better_overlap, lead, tag_distance;
} Neighbours;

static Neighbours look_around(const HaePersons *persons, int person, double area, const double *sigmas,
                              const Counts *all)
{
    Neighbours near = {0.0, 0.0, 0.0, 9.0};
    const double mean = all[person].sum / persons->joints;
    for (int other = 0; other < persons->count; other++) {
        if (other == person)
            continue;
        const double across = all[person].tag[0] - all[other].tag[0], up = all[person].tag[1] - all[other].tag[1];
        const double distance = sqrt(across * across + (persons->length > 1 ? up * up : 0.0));
        const double alike = hae_similarity(persons, person, other, area / 2.0, sigmas);
        const double others_mean = all[other].sum / persons->joints;
        near.tag_distance = distance < near.tag_distance ? distance : near.tag_distance;
        if (alike > near.overlap) {
            near.overlap = alike;
            near.lead = mean - others_mean;
        }
        if (others_mean > mean && alike > near.better_overlap)
            near.better_overlap = alike;
    }
    return near;
}

static void describe(const HaeOutputs *outputs, const HaeSettings *settings, const HaePoses *poses, const Counts *all,
                     int person, double *feature)
{
    const HaePersons *persons = &poses->persons;
    const unsigned char *found = poses->found + (size_t)person * persons->joints;
    const Counts *own = &all[person];
    const double joints = persons->joints, mean = own->sum / joints, over_found = own->found ? own->sum / own->found : 0;
    const HaeBox box = hae_box_of(persons, person, NULL), core = hae_box_of(persons, person, found);
    const double width = hae_box_width(box), height = hae_box_height(box), area = width * height;
    const double core_width = core.right - core.left, core_height = core.bottom - core.top;
    const double side = settings->image_width > settings->image_height ? settings->image_width : settings->image_height;
    const Neighbours near = look_around(persons, person, area, outputs->sigmas, all);
    const double placed = (own->sum + own->filled_sum) / joints;
    *feature++ = mean;
    *feature++ = over_found;
    *feature++ = mean * over_found > 0.0 ? sqrt(mean * over_found) : 0.0;
    *feature++ = log((mean > 0.0 ? mean : 0.0) + 0.01);
    *feature++ = log((over_found > 0.0 ? over_found : 0.0) + 0.01);
    *feature++ = own->highest;
    *feature++ = own->lowest;
    *feature++ = own->found / joints;
    *feature++ = log(own->found > 1 ? own->found : 1.0);
    *feature++ = own->filled / joints;
    *feature++ = own->filled ? own->filled_sum / own->filled : 0.0;
    *feature++ = bounded(tag_spread(persons, person, found, own), 10.0);
    *feature++ = log(sqrt(area) / side);
    *feature++ = log(((core_width > core_height ? core_width : core_height) + FLOOR_PIXELS) / side);
    *feature++ = log(height / width);
    *feature++ = log((double)persons->count);
    *feature++ = near.overlap;
    *feature++ = near.better_overlap;
    *feature++ = near.lead;
    *feature++ = log(near.tag_distance > 0.01 ? near.tag_distance : 0.01);
    *feature++ = placed;
    *feature = log((placed > 0.0 ? placed : 0.0) + 0.01);
}

int hae_find_features(const HaeOutputs *outputs, const HaeSettings *settings, HaePoses *poses)
{
    const HaePersons *persons = &poses->persons;
    const size_t count = (size_t)persons->count;
    Counts *all = malloc(count * sizeof(Counts) + 1);
    poses->features = malloc(count * HAE_FEATURES * sizeof(double) + 1);
    if (!all || !poses->features) {
        free(all);
        return -1;
    }
    for (int person = 0; person < persons->count; person++)
        all[person] = count_joints(persons, person, poses->found + (size_t)person * persons->joints);
    for (int person = 0; person < persons->count; person++)
        describe(outputs, settings, poses, all, person, poses->features + (size_t)person * HAE_FEATURES);
    free(all);
    return 0;
}

/* A logistic model of the features; settings->rescoring: the bias, then a weight for each. */
void hae_rescore(const HaeSettings *settings, HaePoses *poses)
{
    for (int person = 0; person < poses->persons.count; person++) {
        const double *feature = poses->features + (size_t)person * HAE_FEATURES;
        double sum = settings->rescoring[0];
        for (int i = 0; i < HAE_FEATURES; i++)
            sum += settings->rescoring[1 + i] * feature[i];
        poses->scores[person] = (float)(1.0 / (1.0 + exp(-bounded(sum, 500.0))));
    }
}
