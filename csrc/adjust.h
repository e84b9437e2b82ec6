/* Step 6's parts that other steps use. */
#ifndef HRNETAE_ADJUST_H
#define HRNETAE_ADJUST_H

#include "steps.h"

/* Which way the heat rises at a pixel, from its four neighbours; outside the map its edge is repeated. */
HaeRise hae_rise_at(const HaePatch *heat, int x, int y);

/* The quarter step, which the reference also gives a joint that is filled in. position: x, y. */
void hae_quarter_step(HaeRise rise, float *position);

/* A joint's dense map as a patch. */
HaePatch hae_whole_map(const HaeHeat *heat, int joint);

#endif
