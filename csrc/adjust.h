/* Step 6's parts that other steps use. */
#ifndef HRNETAE_ADJUST_H
#define HRNETAE_ADJUST_H

#include "hrnetae.h"

/* The quarter step, which the reference also gives a joint that is filled in. position: x, y. */
void hae_quarter_step(const HaePatch *heat, int x, int y, float *position);

/* A joint's dense map as a patch. */
HaePatch hae_whole_map(const HaeHeat *heat, int joint);

#endif
