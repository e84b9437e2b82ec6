/* hrnetae from C and C++: one network output in, the people of one image out.
 *
 *     hrnetae_params params = hrnetae_params_default();
 *     hrnetae_decoder *decoder;
 *     hrnetae_decoder_create(&params, NULL, &decoder, &error);
 *     hrnetae_decode(decoder, &output, &flipped, width, height, &people, &error);     for each image, in any thread
 *     hrnetae_people_free(&people);
 *     hrnetae_decoder_free(decoder);
 *
 * C99 or C++11 and newer. Nothing here needs Python. The answers are those of hrnetae.Decoder to the bit; the names, the
 * defaults and what is refused are those of hrnetae.DecodeParams. The manual is docs/cpp.md.
 *
 * Within a major version from 1 on, functions keep their arguments and structures keep their fields; new fields of
 * hrnetae_params come at its end.
 */
#ifndef HRNETAE_H
#define HRNETAE_H

#include <stddef.h>
#include <stdint.h>

/* The one place of the version: the package takes it from here. */
#define HRNETAE_VERSION "0.1.0"
#define HRNETAE_VERSION_NUMBER 100 /* major * 10000 + minor * 100 + patch */

/* Visible in a shared library that is made of the static one, whatever its own code is compiled with. */
#if defined(__GNUC__) || defined(__clang__)
#define HRNETAE_API __attribute__((visibility("default")))
#else
#define HRNETAE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The library's HRNETAE_VERSION and HRNETAE_VERSION_NUMBER, where it may be another than the header's. */
HRNETAE_API const char *hrnetae_version(void);
HRNETAE_API int32_t hrnetae_version_number(void);

/* ------------------------------------------------------------------ errors */

enum { HRNETAE_OK = 0, HRNETAE_BAD_ARGUMENT = 1, HRNETAE_NO_MEMORY = 2 };

/* What went wrong: the status that the call returned, and one line that names the argument, what came and what was
 * expected; an empty line after success. Wherever one is taken, NULL may be given. */
enum { HRNETAE_MESSAGE_BYTES = 252 };
typedef struct hrnetae_error {
    int32_t status;
    char message[HRNETAE_MESSAGE_BYTES];
} hrnetae_error;

/* ------------------------------------------------------------------ parameters */

enum { HRNETAE_REFERENCE = 0, HRNETAE_MMPOSE1 = 1 };                                         /* mode */
enum { HRNETAE_QUARTER = 0, HRNETAE_FIT = 1 };                                               /* subpixel */
enum { HRNETAE_SCORE_MEAN = 0, HRNETAE_SCORE_FOUND = 1, HRNETAE_SCORE_GEOMETRIC = 2 };       /* person_score */
enum { HRNETAE_RESCORING_NUMBERS = 23 };                                                     /* bias and weights */

/* The fields of hrnetae.DecodeParams, with its defaults in brackets. Switches are 0 or 1. */
typedef struct hrnetae_params {
    uint32_t size; /* sizeof(hrnetae_params), by which the library knows a program that was compiled earlier */
    int32_t mode;                 /* [HRNETAE_REFERENCE] mmpose 0.x; HRNETAE_MMPOSE1: mmpose 1.x's codec and head */
    int32_t max_num_people;       /* [30] candidates kept per joint */
    int32_t nms_kernel;           /* [5] odd: side of the max-pooling window */
    double detection_threshold;   /* [0.1] a candidate's heat must be larger */
    double tag_threshold;         /* [1.0] a candidate's tag must be nearer to a person's mean tag to join it */
    int32_t use_detection_val;    /* [1] assignment cost: rint(tag distance) * 100 - heat; 0: the tag distance */
    int32_t ignore_too_much;      /* [0] only the first max_num_people persons are matched against and returned */
    int32_t tag_per_joint;        /* [1]; 0: one tag map for all joints */
    int32_t adjust;               /* [1] the sub-pixel step */
    int32_t refine;               /* [1] the filling in of missing joints */
    int32_t project2image;        /* [1] maps are resized to the image before peaks are looked for */
    int32_t align_corners;        /* [0] the bilinear resize of UDP-trained networks */
    int32_t use_udp;              /* [0] the DARK sub-pixel step and UDP geometry */
    int32_t score_per_joint;      /* [0] a person's scores are its joint values */
    int32_t restore_heatmap_size; /* [1] with HRNETAE_MMPOSE1 alone, as center_shift */
    double center_shift;          /* [0.5] pixels */
    int32_t input_width;          /* [0] the network's input for HRNETAE_MMPOSE1 and exact_geometry; */
    int32_t input_height;         /* [0] 0 and 0: four times its first map */
    /* Beyond the reference, off by default: */
    int32_t tag_window;           /* [1] odd, at most 15: a candidate's tag is the mean over so many pixels squared */
    int32_t second_pass;          /* [0] joints are given away again by the persons' final mean tags */
    int32_t subpixel;             /* [HRNETAE_QUARTER]; HRNETAE_FIT: a parabola on the network's own map */
    int32_t person_score;         /* [HRNETAE_SCORE_MEAN] over all joints; over those found; their geometric mean */
    double suppress_oks;          /* [1.0] persons more similar than this to a better one are dropped */
    double filled_floor;          /* [0.0] a joint is filled in only where the heat is larger */
    int32_t exact_geometry;       /* [0] the way back undoes the letterbox to the pixel */
    const double *rescoring;      /* [NULL] HRNETAE_RESCORING_NUMBERS: the bias, then a weight for each feature */
} hrnetae_params;

/* Writes the defaults into the first `size` bytes of `params`. hrnetae_params_default() calls it with the size that the
 * program was compiled with. HRNETAE_BAD_ARGUMENT for NULL and for a size that no version has had. */
HRNETAE_API int32_t hrnetae_params_fill(hrnetae_params *params, size_t size);

static inline hrnetae_params hrnetae_params_default(void)
{
    hrnetae_params params;
    hrnetae_params_fill(&params, sizeof params);
    return params;
}

/* ------------------------------------------------------------------ the joints of a person */

/* As hrnetae.Skeleton. The arrays are read when a decoder is created, and copied. */
typedef struct hrnetae_skeleton {
    int32_t joints;             /* K, 1 or more */
    int32_t flip_pairs;         /* how many */
    const int32_t *flip_pair;   /* flip_pairs x 2: joints that change places in a mirrored image; NULL for none */
    const int32_t *joint_order; /* K: the order in which grouping visits the joints; NULL: the reference's rule */
    const double *sigmas;       /* K: the constants of the object keypoint similarity; NULL: 0.07 each */
} hrnetae_skeleton;

/* COCO-17 and CrowdPose-14, in the order of their datasets. Never freed. */
HRNETAE_API const hrnetae_skeleton *hrnetae_coco17(void);
HRNETAE_API const hrnetae_skeleton *hrnetae_crowdpose14(void);

/* ------------------------------------------------------------------ the decoder */

typedef struct hrnetae_decoder hrnetae_decoder;

/* Creates a decoder; *decoder is NULL after an error. params: NULL for the defaults; skeleton: NULL for COCO-17; both
 * are copied. The instructions are the best that the processor has, or what the environment variable HRNETAE_LEVEL
 * names; the answers do not depend on them. */
HRNETAE_API int32_t hrnetae_decoder_create(const hrnetae_params *params, const hrnetae_skeleton *skeleton,
                                           hrnetae_decoder **decoder, hrnetae_error *error);

/* "dense", "baseline" or "avx2"; NULL for NULL. */
HRNETAE_API const char *hrnetae_decoder_level(const hrnetae_decoder *decoder);

/* Once no thread is decoding with it any more. NULL is allowed. */
HRNETAE_API void hrnetae_decoder_free(hrnetae_decoder *decoder);

/* ------------------------------------------------------------------ one image */

enum { HRNETAE_FLOAT32 = 0, HRNETAE_FLOAT16 = 1 };

/* An array channels x height x width without gaps, in the machine's byte order, at an address that is a multiple of
 * its numbers' size. It is read while an image is decoded, and never written to. */
typedef struct hrnetae_maps {
    const void *data;
    int32_t type; /* HRNETAE_FLOAT32 or HRNETAE_FLOAT16 */
    int32_t channels, height, width;
} hrnetae_maps;

/* The people of one image, P of K joints; all zeros for nobody. */
typedef struct hrnetae_people {
    int32_t count;             /* P */
    int32_t joints;            /* K */
    int32_t tag_length;        /* L: 2 with `flipped`, else 1 */
    int32_t scores_per_person; /* S: 1, or K with score_per_joint */
    float *keypoints;          /* P x K x 3: x, y in image pixels, joint value; 0 for a joint that was not found */
    float *scores;             /* P x S */
    float *tags;               /* P x K x L; 0 for joints that were filled in */
} hrnetae_people;

/* Decodes one image. Any number of threads may use a decoder at once.
 *
 * output: K heatmaps, then K tag maps (1 with tag_per_joint = 0). flipped: the same for the mirrored input, or NULL.
 * width, height: of the image, in pixels. people: overwritten, not freed; empty after an error.
 */
HRNETAE_API int32_t hrnetae_decode(hrnetae_decoder *decoder, const hrnetae_maps *output, const hrnetae_maps *flipped,
                                   int32_t width, int32_t height, hrnetae_people *people, hrnetae_error *error);

/* The same for networks of several stages, and for several test scales.
 *
 * output: scales x stages arrays, the stages of the first scale first; flipped: the same, or NULL. Every stage has K
 * heatmaps; the tag maps follow the heatmaps of one stage. scale: `scales` different numbers in any order, 1 among them,
 * whose tags are used; NULL where scales is 1.
 */
HRNETAE_API int32_t hrnetae_decode_stages(hrnetae_decoder *decoder, const hrnetae_maps *output,
                                          const hrnetae_maps *flipped, int32_t stages, const double *scale,
                                          int32_t scales, int32_t width, int32_t height, hrnetae_people *people,
                                          hrnetae_error *error);

/* Frees what hrnetae_decode made and leaves zeros. NULL and zeros are allowed. */
HRNETAE_API void hrnetae_people_free(hrnetae_people *people);

#ifdef __cplusplus
}
#endif

#endif
