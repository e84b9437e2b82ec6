/* Many images, decoded by as many threads as call hae_decode_batch: each takes the next image until none is left. */
#ifndef HRNETAE_BATCH_H
#define HRNETAE_BATCH_H

#include "steps.h"

/* One image: what goes in, what comes out. failed: memory ran out. */
typedef struct {
    HaeOutputs outputs;
    HaeSettings settings;
    HaePoses poses;
    int failed;
} HaeImage;

/* next: the first image that no thread has taken, read and written as one step by each of them. */
typedef struct {
    HaeImage **images;
    int level;
    long count;
    volatile long next;
} HaeBatch;

/* Any number of threads may be in here at once, each with an arena of its own. */
void hae_decode_batch(HaeBatch *batch, HaeArena *arena);

/* The images that no thread has taken yet stay as they are. */
void hae_stop_batch(HaeBatch *batch);

#endif
