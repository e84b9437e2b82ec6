/* The person score, which is taken between steps 6 and 7: of the joints that grouping found. */
#include "steps.h"
#include "numbers.h"

static int found_joints(const float *values, size_t joints, size_t stride)
{
    int found = 0;
    for (size_t joint = 0; joint < joints; joint++)
        found += values[joint * stride] > 0.0f;
    return found;
}

/* The mean over the joints that were found, and the geometric mean of this and the mean over all. */
static double other_score(float sum, size_t joints, int found, int formula)
{
    const double over_found = found ? (double)sum / found : 0.0;
    if (formula == HAE_SCORE_FOUND)
        return over_found;
    const double product = over_found * ((double)sum / (double)joints);
    return product > 0.0 ? sqrt(product) : 0.0;
}

/* HAE_SCORE_MEAN is the reference's: the float32 mean of a person's joint values, missing joints counting as 0. */
void hae_person_scores(const HaePersons *persons, int formula, float *scores)
{
    const size_t stride = 3 + (size_t)persons->length, joints = (size_t)persons->joints;
    for (int person = 0; person < persons->count; person++) {
        const float *values = persons->rows + person * joints * stride + 2;
        const float sum = hae_numpy_sum(values, joints, stride);
        if (formula == HAE_SCORE_MEAN)
            scores[person] = hae_clamp_finite(sum / (float)joints);
        else
            scores[person] = hae_clamp_finite(other_score(sum, joints, found_joints(values, joints, stride), formula));
    }
}

/* The joint values themselves, count x joints. */
void hae_joint_scores(const HaePersons *persons, float *scores)
{
    const size_t stride = 3 + (size_t)persons->length, count = (size_t)persons->count * persons->joints;
    for (size_t i = 0; i < count; i++)
        scores[i] = persons->rows[i * stride + 2];
}
