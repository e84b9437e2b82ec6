/* The mean tag of a window of pixels, for the ways that read tags from whole maps and pixel by pixel. */
#ifndef HRNETAE_TAG_MEAN_H
#define HRNETAE_TAG_MEAN_H

#include "numbers.h"

/* A pixel has one tag value, or two with flip test. */
typedef struct {
    float sum[2];
    int count;
} HaeTagMean;

/* A tag that is not finite does not count. */
static inline void hae_tag_mean_add(HaeTagMean *mean, const float *tag, int length)
{
    if (!hae_is_finite(tag[0]) || !hae_is_finite(tag[length - 1]))
        return;
    mean->sum[0] += tag[0];
    mean->sum[1] += tag[length - 1];
    mean->count++;
}

/* Without a finite tag in the window the candidate's tag is not finite either. */
static inline void hae_tag_mean_take(const HaeTagMean *mean, float *tag, int length)
{
    for (int l = 0; l < length; l++)
        tag[l] = mean->count ? mean->sum[l] / (float)mean->count : NAN;
}

#endif
