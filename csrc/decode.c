/* One image: the steps in their order, on dense maps; and the choice between this way and the sparse one. */
#include "dispatch.h"

#include <stdlib.h>

typedef struct {
    float *heat, *tags, *peaks;
    HaeCandidates candidates;
} Workspace;

static void workspace_free(Workspace *work)
{
    free(work->heat);
    free(work->tags);
    free(work->peaks);
    hae_candidates_free(&work->candidates);
}

static int find_candidates(const HaeOutputs *outputs, const HaeSettings *settings, Workspace *work, const HaeHeat *heat,
                           const HaeTags *tags)
{
    if (hae_heatmap_nms(heat->data, outputs->joints, heat->height, heat->width, settings->nms_kernel, work->peaks)
        || hae_top_k(work->peaks, heat->height, heat->width, tags, &work->candidates))
        return -1;
    if (settings->tag_window > 1)
        hae_average_tags(tags, heat->height, heat->width, settings->tag_window, &work->candidates);
    return 0;
}

static int find_persons(const HaeOutputs *outputs, const HaeSettings *settings, Workspace *work, const HaeHeat *heat,
                        const HaeTags *tags, HaePersons *persons)
{
    const size_t size = (size_t)heat->width * heat->height;
    const int count = (size_t)settings->max_num_people < size ? settings->max_num_people : (int)size;
    work->peaks = malloc(outputs->joints * size * sizeof(float));
    return !work->peaks || hae_candidates_make(&work->candidates, outputs->joints, count, tags->length)
        || find_candidates(outputs, settings, work, heat, tags)
        || hae_group(&work->candidates, outputs->joint_order, settings, persons);
}

/* For what is asked of persons at the end: after refine a joint that was found looks like one that was filled in. */
static int note_found(HaePoses *poses)
{
    const HaePersons *persons = &poses->persons;
    const size_t count = (size_t)persons->count * persons->joints;
    poses->found = malloc(count + 1);
    if (!poses->found)
        return -1;
    for (size_t i = 0; i < count; i++)
        poses->found[i] = persons->rows[i * (3 + (size_t)persons->length) + 2] > 0.0f;
    return 0;
}

int hae_take_scores(const HaeSettings *settings, HaePoses *poses)
{
    const HaePersons *persons = &poses->persons;
    if ((settings->rescore || settings->keep_features) && note_found(poses))
        return -1;
    poses->scores_per_person = settings->score_per_joint ? persons->joints : 1;
    poses->scores = malloc(((size_t)persons->count * poses->scores_per_person + 1) * sizeof(float));
    if (!poses->scores)
        return -1;
    if (settings->score_per_joint)
        hae_joint_scores(persons, poses->scores);
    else
        hae_person_scores(persons, settings->person_score, poses->scores);
    return 0;
}

/* The reference's scores per joint are views into what refine fills in. */
static void retake_scores(const HaeSettings *settings, HaePoses *poses)
{
    if (settings->score_per_joint && settings->mode == HAE_REFERENCE)
        hae_joint_scores(&poses->persons, poses->scores);
}

int hae_finish_poses(const HaeOutputs *outputs, const HaeSettings *settings, int width, int height, HaePoses *poses)
{
    retake_scores(settings, poses);
    if (settings->fit)
        hae_fit_positions(outputs, &poses->persons, width, height);
    hae_back_project(&poses->persons, width, height, settings);
    if ((settings->rescore || settings->keep_features) && hae_find_features(outputs, settings, poses))
        return -1;
    if (settings->rescore)
        hae_rescore(settings, poses);
    return settings->suppress_oks < 1.0 ? hae_suppress(outputs, settings, poses) : 0;
}

static int finish_persons(const HaeOutputs *outputs, const HaeSettings *settings, const HaeHeat *heat,
                          const HaeTags *tags, HaePoses *poses)
{
    HaePersons *persons = &poses->persons;
    if (settings->adjust || settings->mode == HAE_MMPOSE1)
        hae_adjust(persons, heat, settings);
    if (hae_take_scores(settings, poses) || (settings->refine && hae_refine(persons, heat, tags, settings)))
        return -1;
    return hae_finish_poses(outputs, settings, heat->width, heat->height, poses);
}

static int decode_with(const HaeOutputs *outputs, const HaeSettings *settings, Workspace *work, HaePoses *poses)
{
    const int length = outputs->flipped ? 2 : 1, tag_maps = settings->tag_per_joint ? outputs->joints : 1;
    int width, height;
    hae_map_size(outputs, settings, &width, &height);
    const size_t size = (size_t)width * height;
    work->heat = malloc(outputs->joints * size * sizeof(float));
    work->tags = malloc(tag_maps * length * size * sizeof(float));
    if (!work->heat || !work->tags || hae_project_heat(outputs, settings, work->heat)
        || hae_project_tags(outputs, settings, work->tags))
        return -1;
    const HaeHeat heat = {work->heat, outputs->joints, height, width};
    const HaeTags tags = {work->tags, settings->tag_per_joint ? (ptrdiff_t)(length * size) : 0, width, 1,
                          (ptrdiff_t)size, length};
    return find_persons(outputs, settings, work, &heat, &tags, &poses->persons)
        || finish_persons(outputs, settings, &heat, &tags, poses) ? -1 : 0;
}

static int decode_dense(const HaeOutputs *outputs, const HaeSettings *settings, HaePoses *poses)
{
    Workspace work = {0};
    const int failed = decode_with(outputs, settings, &work, poses);
    workspace_free(&work);
    return failed;
}

/* What the sparse way does not cover: a threshold below 0, where suppressed pixels are candidates; very large windows;
 * scales that are put together at their own size and resized again, which makes maps of them anyway. */
static int needs_dense(const HaeOutputs *outputs, const HaeSettings *settings)
{
    return settings->detection_threshold < 0.0 || settings->nms_kernel > 17
        || (outputs->scales > 1 && !settings->resize);
}

typedef int (*DecodeSparse)(const HaeOutputs *, const HaeSettings *, HaeArena *, HaePoses *);

int hae_decode(const HaeOutputs *outputs, const HaeSettings *settings, int level, HaeArena *arena, HaePoses *poses)
{
    static const DecodeSparse sparse[HAE_LEVELS] = {
        hae_decode_sparse_baseline,
#ifdef HAE_X86_LEVELS
        hae_decode_sparse_avx2,
#endif
    };
    *poses = (HaePoses){0};
    hae_arena_reset(arena);
    const int failed = level < 0 || needs_dense(outputs, settings) ? decode_dense(outputs, settings, poses)
                                                                   : sparse[level](outputs, settings, arena, poses);
    if (failed)
        hae_poses_free(poses);
    return failed;
}

void hae_poses_free(HaePoses *poses)
{
    free(poses->persons.rows);
    free(poses->scores);
    free(poses->found);
    free(poses->features);
    *poses = (HaePoses){0};
}
