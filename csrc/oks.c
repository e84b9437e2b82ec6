/* The inner loops of COCO's keypoint evaluation, in the arithmetic of pycocotools with NumPy: the same float64
 * operations in the same order, so that its numbers come out to the last bit. The exponential itself is left to NumPy
 * between the two steps, because its last bit depends on NumPy's build and on the processor.
 *
 * The matching is greedy, as COCO has it: found persons by falling score, each takes the free truth of the highest OKS,
 * the last of equals; truths that do not count come last and are taken only where nothing else fits. */
#include "oks.h"

#include <stdlib.h>
#include <string.h>

static double or_zero(double a)
{
    return 0 > a ? 0 : a;
}

static int joints_that_count(const double *truth, int joints)
{
    int count = 0;
    for (int k = 0; k < joints; k++)
        count += truth[3 * k + 2] > 0;
    return count;
}

/* Joints in the mean: those that count or, where none does, all. */
static int joints_in_mean(const double *truth, int joints)
{
    int count = joints_that_count(truth, joints);
    return count ? count : joints;
}

int64_t hae_oks_count(const HaeOksPersons *persons)
{
    int64_t total = 0;
    for (int i = 0; i < persons->images; i++) {
        int64_t found = persons->found_start[i + 1] - persons->found_start[i];
        for (int64_t row = persons->truth_start[i]; row < persons->truth_start[i + 1]; row++)
            total += found * joints_in_mean(persons->truth + row * persons->joints * 3, persons->joints);
    }
    return total;
}

/* -> behind the last exponent written. */
static double *pair_exponents(const HaeOksPersons *persons, int64_t found_row, int64_t truth_row, double *out)
{
    int joints = persons->joints;
    const double *found = persons->found + found_row * joints * 3;
    const double *truth = persons->truth + truth_row * joints * 3;
    const double *bounds = persons->bounds + truth_row * 4;
    double area = persons->truth_area[truth_row];
    int any = joints_that_count(truth, joints) > 0;

    for (int k = 0; k < joints; k++) {
        double x = found[3 * k], y = found[3 * k + 1], dx, dy;
        if (any) {
            if (!(truth[3 * k + 2] > 0))
                continue;
            dx = x - truth[3 * k];
            dy = y - truth[3 * k + 1];
        } else { /* how far outside the region */
            dx = or_zero(bounds[0] - x) + or_zero(x - bounds[2]);
            dy = or_zero(bounds[1] - y) + or_zero(y - bounds[3]);
        }
        *out++ = -((dx * dx + dy * dy) / persons->variances[k] / area / 2);
    }
    return out;
}

void hae_oks_exponents(const HaeOksPersons *persons, double *exponents)
{
    for (int i = 0; i < persons->images; i++)
        for (int64_t found = persons->found_start[i]; found < persons->found_start[i + 1]; found++)
            for (int64_t truth = persons->truth_start[i]; truth < persons->truth_start[i + 1]; truth++)
                exponents = pair_exponents(persons, found, truth, exponents);
}

/* numpy.sum of values in a row: eight sums side by side, and long rows in halves. */
static double pairwise_sum(const double *values, int count)
{
    if (count > 128) {
        int half = count / 2;
        half -= half % 8;
        return pairwise_sum(values, half) + pairwise_sum(values + half, count - half);
    }
    if (count < 8) {
        double sum = 0;
        for (int i = 0; i < count; i++)
            sum += values[i];
        return sum;
    }
    double part[8];
    int i = 8;
    memcpy(part, values, sizeof part);
    for (; i + 8 <= count; i += 8)
        for (int j = 0; j < 8; j++)
            part[j] += values[i + j];
    double sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    for (; i < count; i++)
        sum += values[i];
    return sum;
}

/* One image: oks is found x truths. */
typedef struct {
    int64_t first_truth, first_found;
    int truths, founds;
    double *oks;
    int *order;     /* the truths, ignored ones last */
    uint8_t *taken; /* truths */
} Image;

/* -> behind the last exponential read. */
static const double *fill_oks(const HaeOksPersons *persons, Image *image, const double *exponentials)
{
    for (int found = 0; found < image->founds; found++)
        for (int truth = 0; truth < image->truths; truth++) {
            int count = joints_in_mean(persons->truth + (image->first_truth + truth) * persons->joints * 3,
                                       persons->joints);
            image->oks[(int64_t)found * image->truths + truth] = pairwise_sum(exponentials, count) / count;
            exponentials += count;
        }
    return exponentials;
}

static void put_ignored_last(Image *image, const uint8_t *ignored)
{
    int place = 0;
    for (int last = 0; last < 2; last++)
        for (int truth = 0; truth < image->truths; truth++)
            if (!ignored[truth] == !last)
                image->order[place++] = truth;
}

/* The truth that a found person takes, or -1. */
static int best_truth(const Image *image, const double *oks, const uint8_t *ignored, const uint8_t *crowd, double least)
{
    int best = -1;
    for (int place = 0; place < image->truths; place++) {
        int truth = image->order[place];
        if (image->taken[truth] && !crowd[truth])
            continue;
        if (best >= 0 && !ignored[best] && ignored[truth])
            break;
        if (oks[truth] < least)
            continue;
        least = oks[truth];
        best = truth;
    }
    return best;
}

static void match_image(Image *image, const HaeOksRules *rules, int64_t all_truths, int64_t all_founds, uint8_t *flags)
{
    const uint8_t *crowd = rules->truth_crowd + image->first_truth;
    const uint8_t *counts = rules->truth_counts + image->first_truth;
    for (int range = 0; range < rules->ranges; range++) {
        const uint8_t *ignored = rules->truth_ignored + range * all_truths + image->first_truth;
        const uint8_t *outside = rules->found_outside + range * all_founds + image->first_found;
        put_ignored_last(image, ignored);
        for (int t = 0; t < rules->thresholds; t++) {
            uint8_t *flag = flags + (range * (int64_t)rules->thresholds + t) * all_founds + image->first_found;
            memset(image->taken, 0, (size_t)image->truths);
            for (int found = 0; found < image->founds; found++) {
                const double *oks = image->oks + (int64_t)found * image->truths;
                int truth = best_truth(image, oks, ignored, crowd, rules->threshold[t]);
                int matched = truth >= 0 && counts[truth], ignore = truth >= 0 && ignored[truth];
                if (truth >= 0)
                    image->taken[truth] = 1;
                if (!matched && outside[found])
                    ignore = 1;
                flag[found] = (uint8_t)((matched ? HAE_OKS_MATCHED : 0) | (ignore ? HAE_OKS_IGNORED : 0));
            }
        }
    }
}

static int64_t most_rows(const int64_t *start, int images)
{
    int64_t most = 1;
    for (int i = 0; i < images; i++)
        if (start[i + 1] - start[i] > most)
            most = start[i + 1] - start[i];
    return most;
}

int hae_oks_match(const HaeOksPersons *persons, const double *exponentials, const HaeOksRules *rules, uint8_t *flags)
{
    size_t truths = (size_t)most_rows(persons->truth_start, persons->images);
    size_t founds = (size_t)most_rows(persons->found_start, persons->images);
    int64_t all_truths = persons->truth_start[persons->images], all_founds = persons->found_start[persons->images];
    Image image;
    image.oks = malloc(truths * founds * sizeof *image.oks);
    image.order = malloc(truths * sizeof *image.order);
    image.taken = malloc(truths);
    int failed = !image.oks || !image.order || !image.taken;
    for (int i = 0; i < persons->images && !failed; i++) {
        image.first_truth = persons->truth_start[i];
        image.first_found = persons->found_start[i];
        image.truths = (int)(persons->truth_start[i + 1] - image.first_truth);
        image.founds = (int)(persons->found_start[i + 1] - image.first_found);
        exponentials = fill_oks(persons, &image, exponentials);
        match_image(&image, rules, all_truths, all_founds, flags);
    }
    free(image.oks);
    free(image.order);
    free(image.taken);
    return failed ? -1 : 0;
}
