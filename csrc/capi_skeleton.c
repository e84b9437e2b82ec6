/* The C API's skeletons, and what is refused. The numbers and the rules are those of hrnetae/skeleton.py. */
#include "capi.h"

#include <stdlib.h>

/* For a skeleton without sigmas: about the middle of COCO's. */
static const double plain_sigma = 0.07;

static const int32_t order_of_17[] = {0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16};

/* COCO (Lin et al. 2014) */
static const int32_t coco_pairs[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const double coco_sigmas[] = {0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
                                     0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089};
static const hrnetae_skeleton coco17 = {17, 8, coco_pairs, NULL, coco_sigmas};

/* CrowdPose (Li et al. 2019) */
static const int32_t crowdpose_pairs[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const double crowdpose_sigmas[] = {0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107,
                                          0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079};
static const hrnetae_skeleton crowdpose14 = {14, 6, crowdpose_pairs, NULL, crowdpose_sigmas};

const hrnetae_skeleton *hrnetae_coco17(void)
{
    return &coco17;
}

const hrnetae_skeleton *hrnetae_crowdpose14(void)
{
    return &crowdpose14;
}

static int32_t check_counts(const hrnetae_skeleton *given, hrnetae_error *error)
{
    if (given->joints < 1 || given->joints > HAE_MOST_SIDE)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "skeleton: %d joints, expected 1 to %d", given->joints,
                          HAE_MOST_SIDE);
    if (given->flip_pairs < 0 || given->flip_pairs > given->joints / 2)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "skeleton: %d flip_pairs, expected 0 to %d of %d joints",
                          given->flip_pairs, given->joints / 2, given->joints);
    if (given->flip_pairs && !given->flip_pair)
        return hae_report(error, HRNETAE_BAD_ARGUMENT, "skeleton: flip_pair NULL, expected %d pairs", given->flip_pairs);
    return HRNETAE_OK;
}

static int32_t take_flip_index(const hrnetae_skeleton *given, int32_t *index, hrnetae_error *error)
{
    for (int32_t k = 0; k < given->joints; k++)
        index[k] = k;
    for (int32_t i = 0; i < given->flip_pairs; i++) {
        const int32_t a = given->flip_pair[2 * i], b = given->flip_pair[2 * i + 1];
        const int inside = a >= 0 && a < given->joints && b >= 0 && b < given->joints;
        if (!inside || a == b || index[a] != a || index[b] != b)
            return hae_report(error, HRNETAE_BAD_ARGUMENT,
                              "skeleton: flip pair (%d, %d), expected disjoint pairs of 0 to %d", a, b, given->joints - 1);
        index[a] = b;
        index[b] = a;
    }
    return HRNETAE_OK;
}

/* order: as given where it is complete; -1 marks what was not seen yet. */
static int32_t take_joint_order(const hrnetae_skeleton *given, int32_t *order, hrnetae_error *error)
{
    if (!given->joint_order) {
        for (int32_t k = 0; k < given->joints; k++)
            order[k] = given->joints == 17 ? order_of_17[k] : k;
        return HRNETAE_OK;
    }
    for (int32_t k = 0; k < given->joints; k++)
        order[k] = -1;
    for (int32_t turn = 0; turn < given->joints; turn++) {
        const int32_t joint = given->joint_order[turn];
        if (joint < 0 || joint >= given->joints || order[joint] >= 0)
            return hae_report(error, HRNETAE_BAD_ARGUMENT, "skeleton: joint_order[%d] %d, expected each of 0 to %d once",
                              turn, joint, given->joints - 1);
        order[joint] = turn;
    }
    for (int32_t turn = 0; turn < given->joints; turn++)
        order[turn] = given->joint_order[turn];
    return HRNETAE_OK;
}

static int32_t take_sigmas(const hrnetae_skeleton *given, double *sigmas, hrnetae_error *error)
{
    for (int32_t k = 0; k < given->joints; k++) {
        sigmas[k] = given->sigmas ? given->sigmas[k] : plain_sigma;
        if (!(sigmas[k] > 0.0))
            return hae_report(error, HRNETAE_BAD_ARGUMENT, "skeleton: sigmas[%d] %g, expected a positive number", k,
                              sigmas[k]);
    }
    return HRNETAE_OK;
}

int32_t hae_take_skeleton(const hrnetae_skeleton *given, hrnetae_decoder *decoder, hrnetae_error *error)
{
    const hrnetae_skeleton *skeleton = given ? given : &coco17;
    int32_t status = check_counts(skeleton, error);
    if (status)
        return status;
    const size_t joints = (size_t)skeleton->joints;
    decoder->joints = skeleton->joints;
    decoder->sigmas = malloc(joints * (sizeof(double) + 2 * sizeof(int32_t)));
    if (!decoder->sigmas)
        return hae_report(error, HRNETAE_NO_MEMORY, "skeleton: no memory for %d joints", skeleton->joints);
    decoder->flip_index = (int32_t *)(decoder->sigmas + joints);
    decoder->joint_order = decoder->flip_index + joints;
    status = take_flip_index(skeleton, decoder->flip_index, error);
    if (!status)
        status = take_joint_order(skeleton, decoder->joint_order, error);
    return status ? status : take_sigmas(skeleton, decoder->sigmas, error);
}
