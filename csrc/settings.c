/* From the parameters that a user gives to what the steps need to know of one image. */
#include "settings.h"

#include <string.h>

static void set_input(const hrnetae_params *params, const HaeMaps *quarter, HaeSettings *settings)
{
    settings->input_width = params->input_width ? params->input_width : 4 * quarter->width;
    settings->input_height = params->input_height ? params->input_height : 4 * quarter->height;
}

/* What the maps are resized to, and what the way back starts from. */
static void set_sizes(const hrnetae_params *params, const HaeMaps *first, const HaeMaps *finest, HaeSettings *settings)
{
    if (settings->mode == HAE_MMPOSE1) {
        set_input(params, finest, settings);
        settings->resize = params->restore_heatmap_size;
        settings->target_width = settings->input_width;
        settings->target_height = settings->input_height;
        return;
    }
    if (params->exact_geometry)
        set_input(params, first, settings);
    settings->resize = params->project2image;
    settings->target_width = settings->image_width;
    settings->target_height = settings->image_height;
}

static void set_options(const hrnetae_params *params, HaeSettings *settings)
{
    settings->tag_window = params->tag_window;
    settings->second_pass = params->second_pass;
    settings->fit = params->subpixel == HRNETAE_FIT;
    settings->person_score = params->person_score;
    settings->suppress_oks = params->suppress_oks;
    settings->filled_floor = (float)params->filled_floor;
    settings->exact_geometry = params->exact_geometry;
    settings->rescore = params->rescoring != NULL;
    if (settings->rescore)
        memcpy(settings->rescoring, params->rescoring, sizeof settings->rescoring);
}

void hae_fill_settings(const hrnetae_params *params, int image_width, int image_height, const HaeMaps *first,
                       const HaeMaps *finest, HaeSettings *settings)
{
    *settings = (HaeSettings){
        .mode = params->mode == HRNETAE_MMPOSE1 ? HAE_MMPOSE1 : HAE_REFERENCE,
        .max_num_people = params->max_num_people,
        .nms_kernel = params->nms_kernel,
        .detection_threshold = params->detection_threshold,
        .tag_threshold = params->tag_threshold,
        .use_detection_val = params->use_detection_val,
        .ignore_too_much = params->ignore_too_much,
        .tag_per_joint = params->tag_per_joint,
        .adjust = params->adjust,
        .refine = params->refine,
        .align_corners = params->align_corners,
        .use_udp = params->use_udp,
        .score_per_joint = params->score_per_joint,
        .center_shift = (float)params->center_shift,
        .image_width = image_width,
        .image_height = image_height,
    };
    set_sizes(params, first, finest, settings);
    set_options(params, settings);
}
