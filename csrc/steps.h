/* hrnetae: what the kernels share. Plain C99, no Python.
 *
 * The steps of the decoder, each in the file of its name, in the order in which data flows:
 *   project.c (with flip.h) -> heatmap_nms.c -> top_k.c -> group.c (with assignment.c) -> adjust.c, dark.c
 *   -> refine.c -> back_project.c;  decode.c runs them for one image.
 *
 * Maps are float32 or float16, channels x height x width, without gaps. Nothing here writes to an input.
 * A function that returns int returns 0, or -1 where memory ran out (and then it has freed what it took).
 */
#ifndef HRNETAE_STEPS_H
#define HRNETAE_STEPS_H

#include "arena.h"

#include <stddef.h>
#include <stdint.h>

/* ------------------------------------------------------------------ what comes in */

typedef struct {
    const void *data;
    int is_half; /* float16 bit patterns in place of float32 */
    int channels, height, width;
} HaeMaps;

/* One image's network outputs: `plain[scale * stages + stage]`, scales in descending order. `flipped` has the
 * same shape, or is NULL. Heatmaps are channels 0..joints-1 of every stage; the tag maps follow the heatmaps
 * in stage `tag_stage` of scale `tag_scale`. flip_index[k]: the channel of joint k in the mirrored output. */
typedef struct {
    const HaeMaps *plain, *flipped;
    int scales, stages, tag_scale, tag_stage;
    int joints;
    const int32_t *flip_index, *joint_order;
    const double *sigmas; /* per joint, of the object keypoint similarity */
} HaeOutputs;

enum { HAE_REFERENCE = 0, HAE_MMPOSE1 = 1 };
enum { HAE_SCORE_MEAN = 0, HAE_SCORE_FOUND = 1, HAE_SCORE_GEOMETRIC = 2 };
enum { HAE_FEATURES = 22 }; /* of a person, for rescoring: features.c */

typedef struct {
    int mode;
    int max_num_people, nms_kernel;
    double detection_threshold, tag_threshold;
    int use_detection_val, ignore_too_much, tag_per_joint, adjust, refine, align_corners, use_udp,
        score_per_joint;
    int resize;                     /* 0: maps stay at the network's size */
    int target_width, target_height; /* what `resize` resizes to */
    int image_width, image_height;
    int input_width, input_height; /* of the network, for mmpose1's way back */
    float center_shift;
    /* Options beyond the reference; the first value is off. */
    int tag_window;       /* 1; odd: side of the window over which a candidate's tag is averaged */
    int second_pass;      /* 0; grouping again, with everybody's final mean tag */
    int fit;              /* 0; sub-pixel positions by a parabola on the network's own map */
    int person_score;     /* HAE_SCORE_MEAN */
    double suppress_oks;  /* 1: persons more similar than this to a better one are dropped */
    float filled_floor;   /* 0: what the heat of a joint that is filled in must exceed */
    int exact_geometry;   /* 0; uses input_width and input_height */
    int rescore;          /* 0; scores by rescoring: the bias, then a weight per feature */
    int keep_features;    /* 0; HaePoses.features is filled */
    double rescoring[1 + HAE_FEATURES];
} HaeSettings;

/* ------------------------------------------------------------------ between the steps */

/* Tag vectors on dense maps: value l of joint k at (x, y) is data[k*joint + y*row + x*column + l*value], in floats.
 * joint = 0: one tag map for all joints. */
typedef struct {
    const float *data;
    ptrdiff_t joint, row, column, value;
    int length; /* L */
} HaeTags;

/* Heatmaps on dense maps: joints x height x width float32. */
typedef struct {
    const float *data;
    int joints, height, width;
} HaeHeat;

/* A rectangle of one joint's heat: pixel (x, y) of the map is data[(y - top) * stride + x - left]. width and height are
 * the whole map's; whoever reads a patch stays inside the rectangle. */
typedef struct {
    const float *data;
    int left, top, stride, width, height;
} HaePatch;

/* Which way the heat rises at a pixel: 1 to the right or down, -1 the other way, 0 level. */
typedef struct {
    int across, down;
} HaeRise;

/* Top-k candidates: `count` of each joint, best first. tags: joints x count x length. */
typedef struct {
    float *value;
    int32_t *x, *y;
    float *tag;
    int joints, count, length;
} HaeCandidates;

/* Persons: count x joints x (3 + length) float32 rows of x, y, value, tags; map pixels. */
typedef struct {
    float *rows;
    int count, joints, length;
} HaePersons;

/* ------------------------------------------------------------------ the steps */

int hae_resize_map(const HaeMaps *maps, int channel, int mirrored, int width, int height, int align_corners,
                   float *out);

void hae_map_size(const HaeOutputs *outputs, const HaeSettings *settings, int *width, int *height);
int hae_project_heat(const HaeOutputs *outputs, const HaeSettings *settings, float *heat);
int hae_project_tags(const HaeOutputs *outputs, const HaeSettings *settings, float *tags);

int hae_heatmap_nms(const float *heat, int joints, int height, int width, int kernel, float *peaks);
int hae_top_k(const float *peaks, int height, int width, const HaeTags *tags, HaeCandidates *candidates);
size_t hae_assign_bytes(int columns);
void hae_assign(void *memory, int rows, int columns, int32_t *column_of_row);
/* Replaces the candidates' tags by window means; for window > 1. */
void hae_average_tags(const HaeTags *tags, int height, int width, int window, HaeCandidates *candidates);
int hae_group(const HaeCandidates *candidates, const int32_t *joint_order, const HaeSettings *settings,
              HaePersons *persons);
void hae_adjust(HaePersons *persons, const HaeHeat *heat, const HaeSettings *settings);
/* One joint's row. Needs the pixels around its position: one in each direction, two for the DARK step. */
void hae_adjust_joint(float *row, HaeRise rise, int width, int height, const HaeSettings *settings);
void hae_dark_step(float *row, const HaePatch *heat);
void hae_person_scores(const HaePersons *persons, int formula, float *scores);
void hae_joint_scores(const HaePersons *persons, float *scores);
/* The mean tag of a person, from `count` tags with a finite one each; 0 where there is no finite mean. */
int hae_mean_tag(const float *collected, int count, int length, float *mean);
/* Writes a found joint; needs the pixels next to (x, y). */
void hae_fill_in(float *row, const HaePatch *heat, int x, int y, const HaeSettings *settings);
int hae_refine(HaePersons *persons, const HaeHeat *heat, const HaeTags *tags, const HaeSettings *settings);
void hae_fit_positions(const HaeOutputs *outputs, HaePersons *persons, int width, int height);
void hae_back_project(HaePersons *persons, int width, int height, const HaeSettings *settings);

int hae_candidates_make(HaeCandidates *candidates, int joints, int count, int length);
void hae_candidates_free(HaeCandidates *candidates);

/* ------------------------------------------------------------------ one image, all steps */

/* The answer of one image; free it with hae_poses_free. scores: count x scores_per_person (1, or joints) float32.
 * found: count x joints, which joints grouping found; NULL where nobody asked. features: count x HAE_FEATURES, so too. */
typedef struct {
    HaePersons persons;
    float *scores;
    int scores_per_person;
    unsigned char *found;
    double *features;
} HaePoses;

/* features.c: what is known of each person, in image pixels, after everything else. */
int hae_find_features(const HaeOutputs *outputs, const HaeSettings *settings, HaePoses *poses);
void hae_rescore(const HaeSettings *settings, HaePoses *poses);
/* suppress.c: drops persons that are much like a better one. */
int hae_suppress(const HaeOutputs *outputs, const HaeSettings *settings, HaePoses *poses);

/* `level`: of dispatch.h; below 0: on dense maps, the slow and plain way. The answer's bits do not depend on it.
 * arena: this thread's. */
int hae_decode(const HaeOutputs *outputs, const HaeSettings *settings, int level, HaeArena *arena, HaePoses *poses);
void hae_poses_free(HaePoses *poses);

#endif
