/* Step 6's parts that other steps use. */
#ifndef HRNETAE_ADJUST_H
#define HRNETAE_ADJUST_H

#include "hrnetae.h"

/* The slopes at a pixel, from its four neighbours; outside the map its edge is repeated. */
HaeSlopes hae_slopes_at(const HaePatch *heat, int x, int y);

/* The quarter step, which the reference also gives a joint that is filled in. position: x, y. */
void hae_quarter_step(HaeSlopes slopes, float *position);

/* A joint's dense map as a patch. */
HaePatch hae_whole_map(const HaeHeat *heat, int joint);

#endif
