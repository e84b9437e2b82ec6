/* From the parameters that a user gives to what the steps need to know of one image. */
#ifndef HRNETAE_SETTINGS_H
#define HRNETAE_SETTINGS_H

#include "steps.h"

#include <hrnetae.h>

/* params: checked. first: the network's map of the first stage, a quarter of its input; finest: of the last one. */
void hae_fill_settings(const hrnetae_params *params, int image_width, int image_height, const HaeMaps *first,
                       const HaeMaps *finest, HaeSettings *settings);

#endif
