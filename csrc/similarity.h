/* How alike two found persons are: COCO's object keypoint similarity with one of them in the annotation's place. */
#ifndef HRNETAE_SIMILARITY_H
#define HRNETAE_SIMILARITY_H

#include "steps.h"
#include "numbers.h"

/* The box around the joints that a person has; sides of 1 pixel at least. */
typedef struct {
    double left, top, right, bottom;
} HaeBox;

static inline double hae_box_width(HaeBox box)
{
    return box.right - box.left + 1.0;
}

static inline double hae_box_height(HaeBox box)
{
    return box.bottom - box.top + 1.0;
}

/* Of the joints with a value above 0, or of those that `chosen` (may be NULL) marks. */
static inline HaeBox hae_box_of(const HaePersons *persons, int person, const unsigned char *chosen)
{
    HaeBox box = {INFINITY, INFINITY, -INFINITY, -INFINITY};
    const float *row = persons->rows + (size_t)person * persons->joints * (3 + persons->length);
    for (int joint = 0; joint < persons->joints; joint++, row += 3 + persons->length) {
        if (chosen ? !chosen[joint] : !(row[2] > 0.0f))
            continue;
        box.left = row[0] < box.left ? row[0] : box.left;
        box.top = row[1] < box.top ? row[1] : box.top;
        box.right = row[0] > box.right ? row[0] : box.right;
        box.bottom = row[1] > box.bottom ? row[1] : box.bottom;
    }
    return box.left <= box.right ? box : (HaeBox){0.0, 0.0, 0.0, 0.0};
}

/* The mean over all joints of exp(-d^2 / (2 area (2 sigma)^2)), d between the joints of two persons. Joints that are
 * so far apart that they add less than 2e-9 add nothing. */
static inline double hae_similarity(const HaePersons *persons, int one, int other, double area, const double *sigmas)
{
    const size_t stride = 3 + (size_t)persons->length;
    const float *a = persons->rows + (size_t)one * persons->joints * stride;
    const float *b = persons->rows + (size_t)other * persons->joints * stride;
    double sum = 0.0;
    for (int joint = 0; joint < persons->joints; joint++, a += stride, b += stride) {
        const double dx = (double)a[0] - b[0], dy = (double)a[1] - b[1], reach = 2.0 * sigmas[joint];
        const double exponent = (dx * dx + dy * dy) / (2.0 * area * reach * reach);
        if (exponent < 20.0)
            sum += exp(-exponent);
    }
    return sum / persons->joints;
}

#endif
