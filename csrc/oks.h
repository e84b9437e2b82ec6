/* Object keypoint similarity (OKS) and the matching of COCO's keypoint evaluation. Plain C99, no Python. */
#ifndef HRNETAE_OKS_H
#define HRNETAE_OKS_H

#include <stdint.h>

/* The persons of some images, one category: those of image i are rows start[i] to start[i + 1] - 1 on either side. */
typedef struct {
    int images, joints;
    const double *variances; /* joints: (2 sigma)^2 */

    const int64_t *truth_start; /* images + 1 */
    const double *truth;        /* rows x joints x 3: x, y, and whether it counts (> 0) */
    const double *bounds;       /* rows x 4: x0, y0, x1, y1 of the region around a person none of whose joints counts */
    const double *truth_area;   /* rows; not 0 */

    const int64_t *found_start; /* images + 1 */
    const double *found;        /* rows x joints x 3: x, y, anything; best first within an image */
} HaeOksPersons;

/* Which matches count, for one evaluation per area range and threshold. */
typedef struct {
    int ranges, thresholds;
    const double *threshold;      /* thresholds: the least OKS of a match */
    const uint8_t *truth_ignored; /* ranges x truth rows */
    const uint8_t *truth_crowd;   /* truth rows: matches any number of found persons */
    const uint8_t *truth_counts;  /* truth rows: 0 where a match with it is none in the end */
    const uint8_t *found_outside; /* ranges x found rows: ignored where unmatched */
} HaeOksRules;

enum { HAE_OKS_MATCHED = 1, HAE_OKS_IGNORED = 2 };

/* How many exponents there are: one per pair of persons of an image and joint that counts. */
int64_t hae_oks_count(const HaeOksPersons *persons);

/* OKS is the mean of exp(exponent) over a pair's joints; the exponents in order of image, found and truth row. */
void hae_oks_exponents(const HaeOksPersons *persons, double *exponents);

/* exponentials: exp() of these. flags: ranges x thresholds x found rows, HAE_OKS_ of each. */
int hae_oks_match(const HaeOksPersons *persons, const double *exponentials, const HaeOksRules *rules, uint8_t *flags);

#endif
