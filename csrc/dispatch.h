/* Which way an image is decoded, and for which instructions. */
#ifndef HRNETAE_DISPATCH_H
#define HRNETAE_DISPATCH_H

#include "steps.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAE_X86_LEVELS 1
#endif

enum { HAE_BASELINE = 0, HAE_AVX2 = 1, HAE_LEVELS = 2 };

int hae_decode_sparse_baseline(const HaeOutputs *outputs, const HaeSettings *settings, HaeArena *arena,
                               HaePoses *poses);
#ifdef HAE_X86_LEVELS
int hae_decode_sparse_avx2(const HaeOutputs *outputs, const HaeSettings *settings, HaeArena *arena,
                               HaePoses *poses);
#endif

/* Whether this processor has a level. */
int hae_has_level(int level);

/* The steps' shared ends: scores before refine, and all that comes after it. width, height: of the projected maps. */
int hae_take_scores(const HaeSettings *settings, HaePoses *poses);
int hae_finish_poses(const HaeOutputs *outputs, const HaeSettings *settings, int width, int height, HaePoses *poses);

#endif
